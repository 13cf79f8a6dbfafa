"""``p99_ms=5,rss_mb=200`` -> Budget: the limits that a server must keep on this host."""

import math

import attrs


@attrs.frozen
class Budget:
    """The limits of a server; None is no limit.

    Attributes:
        p99_ms: The limit of the 99th percentile of the latency, in milliseconds.
        rss_mb: The limit of the peak RSS, in millions of bytes.
    """

    p99_ms: float | None = None
    rss_mb: float | None = None


def parse_budget(text: str) -> Budget:
    """Parse a budget.

    Raises:
        ValueError: If a part is not a known key with a number above zero; the text says what was expected.
    """
    known = [field.name for field in attrs.fields(Budget)]
    bounds: dict[str, float] = {}
    for part in text.split(","):
        key, _, number = part.partition("=")
        if key not in known or key in bounds:
            raise ValueError(
                f"expected each of {', '.join(known)} at most once, as in p99_ms=5,rss_mb=200, got {part!r}"
            )
        bounds[key] = _positive(key, number)
    return Budget(**bounds)


def _positive(key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"expected a number above 0 for {key}, got {text!r}")
    return number
