"""``p99_ms=5,rss_mb=200`` -> Budget: what a host must keep to; knows nothing of how it is measured."""

import math

import attrs


@attrs.frozen
class Budget:
    """What a server may take; None is no bound.

    Attributes:
        p99_ms: The 99th percentile of its latency, in milliseconds.
        rss_mb: Its resident memory at its largest, in millions of bytes.
    """

    p99_ms: float | None = None
    rss_mb: float | None = None


def parse_budget(text: str) -> Budget:
    """Reads a budget.

    Raises:
        ValueError: If a part is no known key with a number above zero; the text says what was expected.
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
