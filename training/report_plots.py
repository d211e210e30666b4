"""Which plots the page of a report holds, drawn from its JSON.

A curve with nothing to draw is no plot, and the page says so in its place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.figures.axes import Caption, Mark
from training.figures.groups import GroupBars, draw_groups
from training.figures.rates import SizeSeries, draw_by_size, draw_det, draw_discard, draw_roc
from training.report_numbers import level

MAX_DRAWN_GROUPS = 40  # more make a picture that nobody reads; the table has them all


def plots_of(report: Mapping[str, Any]) -> dict[str, str]:
    """SVG by name, such as ``roc-0`` for the first verification set.

    Raises:
        KeyError: the report lacks a part.
    """
    plots: dict[str, str | None] = {}
    for at, one in enumerate(report["verification"]):
        plots[f"roc-{at}"] = _roc(one, f"roc-{at}")
    for at, one in enumerate(report["identification"]):
        plots[f"det-{at}"] = _det(one, f"det-{at}")
        plots[f"size-{at}"] = _by_size(one, f"size-{at}")
        plots[f"discard-{at}"] = _discard(one, f"discard-{at}")
        plots[f"groups-{at}"] = _groups(one, f"groups-{at}")
    return {name: svg for name, svg in plots.items() if svg is not None}


def _roc(one: Mapping[str, Any], name: str) -> str | None:
    far_K, tar_K = _numbers(one["roc"]["far"]), _numbers(one["roc"]["tar"])
    if not (np.isfinite(tar_K) & (far_K > 0)).any():
        return None
    marks = _marks(one["tar_at_far"], "far", "tar")
    caption = Caption(
        name=name,
        title=f"ROC of {one['set']}",
        description="The share of pairs of one person that are accepted, against the share of "
        "pairs of different people that are. The dots are the rows of the table.",
    )
    return draw_roc(far_K, tar_K, caption, marks)


def _det(one: Mapping[str, Any], name: str) -> str | None:
    det = {key: _numbers(one["det"][key]) for key in ("fpir", "fnir", "fnir_low", "fnir_high")}
    if not ((det["fpir"] > 0) & (det["fnir"] > 0)).any():
        return None
    marks = _marks(one["points"], "fpir", "fnir")
    caption = Caption(
        name=name,
        title=f"DET of {one['set']}, {one['fusion']}",
        description="The share of searches for enrolled people that are missed, against the "
        "share of searches for strangers that return somebody, with a band of 95 %. The dots "
        "are the rows of the table.",
    )
    return draw_det(det["fpir"], det["fnir"], (det["fnir_low"], det["fnir_high"]), caption, marks)


def _by_size(one: Mapping[str, Any], name: str) -> str | None:
    known: dict[float, list[tuple[float, ...]]] = {}
    for row in sorted(one["by_size"], key=lambda row: int(row["num_subjects"])):
        for point in row["points"]:
            if _rate(point["fnir"]) is not None:
                ends = point["fnir_interval"] or (None, None)
                known.setdefault(point["fpir_wanted"], []).append(
                    (row["num_subjects"], point["fnir"]["rate"], *ends)
                )
    if not known:
        return None
    series = []
    for fpir, rows in known.items():
        sizes_S, fnir_S, low_S, high_S = (_numbers(column) for column in zip(*rows, strict=True))
        series.append(
            SizeSeries(
                label=f"FPIR {level(fpir)}",
                num_subjects_S=sizes_S,
                fnir_S=fnir_S,
                low_S=low_S,
                high_S=high_S,
            )
        )
    caption = Caption(
        name=name,
        title=f"FNIR against gallery size of {one['set']}, {one['fusion']}",
        description="The share of searches that are missed, against the number of people "
        "enrolled, a line each FPIR. The table beside it holds the numbers.",
    )
    return draw_by_size(series, caption)


def _discard(one: Mapping[str, Any], name: str) -> str | None:
    share_K, fnir_K = _numbers(one["discard"]["share"]), _numbers(one["discard"]["fnir"])
    if not (np.isfinite(share_K) & np.isfinite(fnir_K)).any():
        return None
    caption = Caption(
        name=name,
        title=f"FNIR against the share refused, {one['set']}, {one['fusion']}",
        description="The share of searches that are missed among those that remain when the "
        "poorest photos are refused. The dotted line is where nothing is refused.",
    )
    return draw_discard(share_K, fnir_K, caption)


def _groups(one: Mapping[str, Any], name: str) -> str | None:
    groups = one["groups"][:MAX_DRAWN_GROUPS]
    panels = []
    for key, label in (
        ("fnir", "FNIR: searches that are missed"),
        ("fpir", "FPIR: strangers' searches that return somebody"),
    ):
        rates = [group[key] or {"rate": None, "low": None, "high": None} for group in groups]
        if any(_rate(rate) is not None for rate in rates):
            panels.append(
                GroupBars(
                    label=label,
                    rate_G=_numbers([rate["rate"] for rate in rates]),
                    low_G=_numbers([rate["low"] for rate in rates]),
                    high_G=_numbers([rate["high"] for rate in rates]),
                    is_reliable_G=[group["is_reliable"] for group in groups],
                )
            )
    if not panels:
        return None
    caption = Caption(
        name=name,
        title=f"Error rates by group of {one['set']}, {one['fusion']}",
        description="Bars with intervals of 95 %, a row each group. Hatched bars have few "
        "errors. The table holds the numbers.",
    )
    return draw_groups([group["name"] for group in groups], panels, caption)


def _marks(rows: Sequence[Mapping[str, Any]], x: str, y: str) -> list[Mark]:
    """The rows of a table that have both rates and a threshold."""
    marks = []
    for row in rows:
        across, up = _rate(row[x]), _rate(row[y])
        if across is not None and up is not None and row["threshold"] is not None:
            label = f"{row['threshold']:.3f}".replace("-", "\N{MINUS SIGN}")
            marks.append(Mark(x=across, y=up, label=label))
    return marks


def _rate(rate: Mapping[str, Any] | None) -> float | None:
    return None if rate is None else rate["rate"]


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    """As floats, NaN where there is none."""
    try:
        return np.array([np.nan if one is None else one for one in values], np.float64)
    except (TypeError, ValueError) as error:
        raise DataInvalid(f"a curve of the report holds what is no number: {error}") from error
