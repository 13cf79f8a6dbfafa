"""Plot: an inline SVG, drawn by a function that paints on a matplotlib figure.

Ink takes the page's own text colour and font, in light mode and dark mode. Colours that carry a meaning stay the same.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#010203"
"""A placeholder for the page's text colour."""
ACCENT, CONTRAST, REST = "#0072b2", "#d55e00", "#8a8a8a"
MAX_TEXT_CHARS = 20
"""The longest name or label in a plot; tables show all of it."""
RASTER_DPI = 160
_STYLE: Mapping[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # it comes with matplotlib, so the layout is the same everywhere
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.6,
    "axes.formatter.limits": (-4, 7),
    "axes.unicode_minus": True,
    "text.parse_math": False,  # a name may contain two dollar signs
    "svg.fonttype": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
_SVG = "{http://www.w3.org/2000/svg}"


@attrs.frozen
class Plot:
    """One plot of the page.

    Attributes:
        title: Its title.
        svg: The SVG element.
        width: Its natural width, in CSS pixels.
        note: A note below it; an empty text for none.
    """

    title: str
    svg: Markup
    width: int
    note: str = ""


def draw(title: str, paint: Callable[[Figure], None], size: tuple[float, float] = (4.2, 2.7), note: str = "") -> Plot:
    """Draw a figure.

    Args:
        title: The plot's title.
        paint: Adds axes to the figure and paints on them.
        size: Width and height, in inches.
        note: A note below the plot.
    """
    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": title}), warnings.catch_warnings():
        # The browser draws characters that the font lacks; a label too long for its plot is no fault.
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=size, dpi=RASTER_DPI, layout="constrained")
        paint(figure)
        # savefig would lay everything out twice.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return Plot(title, _to_inline(buffer.getvalue(), title), round(size[0] * 96), note)


def draw_axes(
    title: str, paint: Callable[[Axes], None], size: tuple[float, float] = (4.2, 2.7), note: str = ""
) -> Plot:
    """Draw a figure with one pair of axes."""
    return draw(title, lambda figure: paint(figure.subplots()), size, note)


def short(text: object, chars: int = MAX_TEXT_CHARS) -> str:
    """Return a text shortened for a plot: one line, without control characters, which XML cannot hold."""
    line = "".join(character if character.isprintable() else " " for character in str(text))
    return line if len(line) <= chars else f"{line[: chars - 1]}…"


def _to_inline(svg: str, title: str) -> Markup:
    """Turn an SVG file into an inline element: without namespaces, sizes, and ids that nothing refers to."""
    root = ET.fromstring(svg)  # noqa: S314  matplotlib's own words, texts without control characters
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    for metadata in root.findall(f"{_SVG}metadata"):
        root.remove(metadata)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        if element.tag in {"g", "image"}:
            element.attrib.pop("id", None)
        if "style" in element.attrib:
            style = re.sub(r"font-family: [^;]*;? ?", "", element.attrib["style"])
            element.attrib["style"] = style.replace(INK, "currentColor").strip()
        if element.tag != "text":
            element.text = (element.text or "").strip()
        element.tail = ""
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  ElementTree has escaped every text
