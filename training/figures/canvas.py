"""Turns figures into PNG files, and into SVG that a page can hold among its own text.

An SVG takes its colours and its font from variables of the page, so that one picture fits a light
scheme, a dark one and paper.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

DPI = 150
POINTS_PER_INCH = 72
FONT_SIZE = 11  # on a plot 374 points wide: 9 px on a phone of 360 px, 15 px in a column

# Colours are drawn as these values and written as variables that fall back to them. The series
# are Okabe and Ito's blue and vermillion, which differ for every kind of colour blindness.
INK, PAPER, GRID, FIRST, SECOND = "#1b1f24", "#fffffe", "#d5d9de", "#0072b2", "#d55e00"
VARIABLES = {
    INK: "--ink",
    PAPER: "--paper",
    GRID: "--grid",
    FIRST: "--first",
    SECOND: "--second",
}
STYLE: dict[str, object] = {
    "svg.fonttype": "none",  # text stays text: small, sharp, and found by a search
    "svg.hashsalt": "facegallery",
    "text.parse_math": False,  # a name with a dollar is a name
    "font.size": FONT_SIZE,
    "font.family": "DejaVu Sans",
    "axes.prop_cycle": cycler("color", [FIRST]),  # also of what is not seen, as of caps
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "hatch.linewidth": 1.2,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
SVG_NAMESPACE = "http://www.w3.org/2000/svg"
ROUNDED_ATTRIBUTES = ("d", "transform", "x", "y", "width", "height")


def save_png(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG of 150 dots an inch; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=DPI)


@contextmanager
def page_style() -> Iterator[None]:
    """Inside, figures are made and saved as `svg_text` needs them; outside nothing changes."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        # The browser has the letters of a name that Matplotlib's font lacks.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield


def svg_text(figure: Figure, *, name: str, title: str, description: str) -> str:
    """An ``<svg>`` element to put into a page; the same for the same figure.

    It has no size of its own, only a ``viewBox`` in points, and no id that does not begin with
    `name`. Call it inside `page_style`.

    Args:
        figure: what to draw.
        name: unlike that of every other picture of the page; letters, digits and hyphens.
        title: what a screen reader says the picture is.
        description: what is to be seen on it.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    root = ET.fromstring(stream.getvalue())  # noqa: S314 (it was written the line before)
    _drop(root, "metadata", "style")
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG_NAMESPACE}}}")
        _tidy(element)
    _rename_ids(root, name)
    width, height = (round(POINTS_PER_INCH * inches, 2) for inches in figure.get_size_inches())
    root.attrib.clear()
    root.attrib |= {
        "xmlns": SVG_NAMESPACE,
        "viewBox": f"0 0 {width:g} {height:g}",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = printable(text)
        root.insert(place, element)
    return ET.tostring(root, encoding="unicode")


def printable(text: str) -> str:
    """The text on one line, without characters that XML cannot hold."""
    letters = " ".join(text.split())
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in letters)


def _drop(root: ET.Element, *tags: str) -> None:
    """Matplotlib's metadata names its version, and its style would reach the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{{{SVG_NAMESPACE}}}{tag}" for tag in tags}:
                parent.remove(child)


def _tidy(element: ET.Element) -> None:
    """Shorter numbers, links without a namespace, colours and font of the page."""
    for key, value in list(element.attrib.items()):
        if key.endswith("}href"):
            del element.attrib[key]
            element.set("href", value)
        elif key in ROUNDED_ATTRIBUTES:
            shorter = re.sub(r"-?\d+\.\d+", _rounded, value)
            element.set(key, " ".join(shorter.split()))
        elif key in ("style", "fill", "stroke"):
            for colour, variable in VARIABLES.items():
                value = value.replace(colour, f"var({variable}, {colour})")
            element.set(key, value.replace("'DejaVu Sans'", "var(--sans, sans-serif)"))
    for attribute in ("text", "tail"):
        # Line breaks between elements are a sixth of the file.
        if (content := getattr(element, attribute)) is not None and not content.strip():
            setattr(element, attribute, None)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number.group()):.2f}".rstrip("0").rstrip(".")


def _rename_ids(root: ET.Element, name: str) -> None:
    """Ids that something refers to are numbered behind the name; all others go."""
    used: dict[str, str] = {}

    def renamed(reference: re.Match[str]) -> str:
        new = used.setdefault(reference[2], f"{name}-{len(used)}")
        return f"{reference[1]}#{new}"

    for element in root.iter():
        for key, value in element.attrib.items():
            # Not every # begins a reference: colours do too.
            pattern = r"^()#(.+)$" if key == "href" else r"(url\()#([^)]+)"
            element.set(key, re.sub(pattern, renamed, value))
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in used:
            element.set("id", used[old])
