"""The report of an evaluation: ``report.json`` for programs and ``report.html`` for people.

The page is made from the JSON alone and holds all that it needs: styles, plots and text. It asks
for nothing from a network and runs no script.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from embedding.errors import DataInvalid
from training import report_numbers
from training.report_plots import plots_of

FORMAT = 1
JSON_FILE, HTML_FILE = "report.json", "report.html"
TEMPLATE = "report.html.j2"
MAX_DISCARD_ROWS = 7

FUSIONS = {
    "maximum": "best of a person's templates",
    "centroid": "mean of a person's templates",
}


def write_report(report: Mapping[str, object], folder: Path) -> Path:
    """Writes ``report.json`` and ``report.html``; both are the same for the same report.

    Nothing is written where the page cannot be made. Numbers that are not finite, such as a
    threshold that nobody reaches, become null in the JSON and a dash on the page.

    Args:
        report: what the evaluation measured, of format 1.
        folder: for both files; it is made.

    Returns:
        The path of the page.

    Raises:
        DataInvalid: the report is of another format, lacks a part, or holds what JSON cannot.
    """
    plain = _plain(report, "report")
    if plain.get("format") != FORMAT:
        raise DataInvalid(
            f"the report is of format {plain.get('format')!r}; this version draws format "
            f"{FORMAT}: evaluate again"
        )
    page = _render(plain)
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    # A lone surrogate of a file name that is no UTF-8 must not cost the evaluation.
    (folder / JSON_FILE).write_text(text, encoding="utf-8", errors="backslashreplace")
    path = folder / HTML_FILE
    path.write_text(page, encoding="utf-8", errors="replace")
    return path


def _render(report: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": report_numbers.percent,
        "level": report_numbers.level,
        "interval": report_numbers.interval,
        "threshold": report_numbers.threshold,
        "threshold_interval": report_numbers.threshold_interval,
        "count": report_numbers.count,
        "hits": report_numbers.hits,
        "fusion": lambda name: FUSIONS.get(name, name),
    }
    try:
        return environment.get_template(TEMPLATE).render(
            report=report,
            plots=plots_of(report),
            wanted_by_size=[_wanted_by_size(one) for one in report["identification"]],
            discard_rows=[_discard_rows(one["discard"]) for one in report["identification"]],
            has_few_errors=_has_few_errors(report),
        )
    except (KeyError, IndexError, TypeError, ValueError, jinja2.UndefinedError) as error:
        raise DataInvalid(
            f"the report lacks a part or holds one of another form: {error}; evaluate again"
        ) from error


def _wanted_by_size(one: Mapping[str, Any]) -> list[float]:
    """The FPIRs of the table over gallery sizes, as they come first."""
    rows: Sequence[Any] = one["by_size"]
    return list(dict.fromkeys(point["fpir_wanted"] for row in rows for point in row["points"]))


def _discard_rows(discard: Mapping[str, Any]) -> list[tuple[float, float | None, int]]:
    """Share, FNIR and number of searches left, at most some rows evenly over the curve."""
    rows = list(zip(discard["share"], discard["fnir"], discard["num_left"], strict=True))
    if len(rows) <= MAX_DISCARD_ROWS:
        return rows
    places = np.linspace(0, len(rows) - 1, MAX_DISCARD_ROWS).round().astype(int)
    return [rows[place] for place in places]


def _has_few_errors(part: object) -> bool:
    """Whether any figure of the report carries the mark."""
    if isinstance(part, dict):
        return part.get("is_reliable") is False or any(map(_has_few_errors, part.values()))
    return isinstance(part, list) and any(map(_has_few_errors, part))


def _plain(part: object, place: str) -> Any:  # noqa: ANN401 (JSON is of any form)
    """The same of types that JSON knows."""
    if isinstance(part, np.generic | np.ndarray):
        part = part.tolist()
    if isinstance(part, Mapping):
        return {str(key): _plain(value, f"{place}.{key}") for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_plain(value, f"{place}[{at}]") for at, value in enumerate(part)]
    if isinstance(part, float):
        return part if math.isfinite(part) else None
    if part is None or isinstance(part, bool | int | str):
        return part
    raise DataInvalid(f"{place} is a {type(part).__name__}; a report holds what JSON can")
