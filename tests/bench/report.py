"""Tables of figures on the terminal, and the same with plots as one HTML page and one PNG for each model."""

import html
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.load import Figures
from tests.bench.targets import COROLLA, FASTAPI, NGINX, RAW

REPORTS = Path(__file__).parent / "reports"
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em}pre{overflow-x:auto}img{max-width:100%}"
)
Measured = Mapping[str, Mapping[int, list[Figures]]]
mpl.use("agg")


class Report:
    """Prints tables and collects them for the page."""

    def __init__(self, about: str) -> None:
        REPORTS.mkdir(exist_ok=True)
        self._about = about
        self._parts: list[str] = []
        print(about)

    def add_throughput(self, model: str, measured: Measured) -> None:
        """Add the table and the plot of one model."""
        plot = REPORTS / f"{model}.png"
        _draw(model, measured, plot)
        self.add_lines(f"Throughput: {model}", throughput_lines(measured))
        self._parts.append(f'<img src="{plot.name}" alt="requests a second by connections, {model}">')

    def add_lines(self, title: str, lines: list[str]) -> None:
        """Add a table that is ready."""
        print(f"\n{title}", *lines, sep="\n", flush=True)
        self._parts.append(f"<h2>{html.escape(title)}</h2><pre>{html.escape(chr(10).join(lines))}</pre>")

    def close(self) -> None:
        """Write the page."""
        title = "<title>Corolla: benchmark</title>"
        head = f'<!doctype html><html lang="en"><meta charset="utf-8">{title}<style>{STYLE}</style>'
        body = f"<h1>Corolla: benchmark</h1><p>{html.escape(self._about)}</p>{''.join(self._parts)}</html>"
        (REPORTS / "index.html").write_text(head + body)
        print(f"\nwritten to {REPORTS.relative_to(Path.cwd())}/index.html")


def throughput_lines(measured: Measured, bases: Sequence[str] = (RAW, NGINX, FASTAPI)) -> list[str]:
    """Return the table of one model.

    Args:
        measured: The figures of each round.
        bases: The servers by whose throughput that of each server is divided.
    """
    lines = []
    for connections in next(iter(measured.values())):
        titles = "".join(f"{'/ ' + base.split()[0]:>13}" for base in bases if base in measured)
        lines.append(f"{connections:>4} connections{'requests/s':>25}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}{titles}")
        for name, by_connections in measured.items():
            rounds = by_connections[connections]
            shares = [ratio(rounds, measured[base][connections]) for base in bases if base in measured]
            ratios = "".join(f"{share:>13.2f}" for share in shares)
            latencies = f"{median(rounds, 'p50_ms'):>9.3f}{median(rounds, 'p99_ms'):>9.2f}"
            cells = f"{median(rounds, 'requests_per_s'):>11,.0f}{latencies}{median(rounds, 'cpu_us'):>9.1f}{ratios}"
            lines.append(f"  {name:<28}{cells}")
    return lines


def ratio_lines(measured: Measured, pairs: Mapping[str, str]) -> list[str]:
    """Return the table of ratios of servers to their baselines.

    Args:
        measured: The figures of each round.
        pairs: Each server, and its baseline.
    """
    lines = [f"{'connections':>11}  {'server':<28}{'requests/s':>12}{'CPU us':>9}"]
    for connections in next(iter(measured.values())):
        for name, baseline in pairs.items():
            rounds, base = measured[name][connections], measured[baseline][connections]
            rate, cpu = ratio(rounds, base), ratio(rounds, base, "cpu_us")
            lines.append(f"{connections:>11}  {name:<28}{rate:>12.3f}{cpu:>9.3f}")
    return lines


def median(rounds: list[Figures], what: str) -> float:
    """Return the median of the rounds."""
    return float(statistics.median(getattr(figures, what) for figures in rounds))


def ratio(rounds: list[Figures], base: list[Figures], what: str = "requests_per_s") -> float:
    """Return the median of the rounds' own ratios."""
    pairs = zip(rounds, base, strict=True)
    return float(statistics.median(getattr(mine, what) / getattr(theirs, what) for mine, theirs in pairs))


def _draw(model: str, measured: Measured, path: Path) -> None:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, by_connections in measured.items():
        heights = [median(rounds, "requests_per_s") for rounds in by_connections.values()]
        width = 2.5 if name == COROLLA else 1.2
        axes.plot([str(count) for count in by_connections], heights, marker="o", linewidth=width, label=name)
    axes.set(title=f"{model}: requests a second on one core", xlabel="connections", yscale="log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=130)
