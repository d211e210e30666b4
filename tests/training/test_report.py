"""The page of a report says what its JSON says, to everybody, and needs nothing else."""

import copy
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedding.errors import DataInvalid
from tests.training.report_reading import SVG, Outline, labels, plots, words
from tests.training.report_samples import Json, sample_report
from training import report_numbers
from training.report import write_report

ATTACK = "<script>alert('x')</script>\"&$x_1^2$ $"
MAX_BYTES = 400_000


@pytest.fixture(scope="module")
def sample() -> Json:
    """Everything that a report can hold."""
    return sample_report()


@pytest.fixture
def small(sample: Json) -> Json:
    """One set of each kind, with groups; a copy to change."""
    parts = {key: sample[key][-1:] for key in ("verification", "identification")}
    return copy.deepcopy(sample | parts)


@pytest.fixture(scope="module")
def page(sample: Json, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the sample."""
    return render(sample, tmp_path_factory.mktemp("report"))


def render(report: Json, folder: Path) -> str:
    """The text of the page."""
    return write_report(report, folder).read_text(encoding="utf-8")


def test_both_files_hold_the_report(small: Json, tmp_path: Path) -> None:
    """The JSON is the report itself; the path of the page is returned."""
    path = write_report(small, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "report.html"
    assert json.loads((path.parent / "report.json").read_text(encoding="utf-8")) == small


def test_the_summary_says_the_most_important_figures_in_words(page: str, sample: Json) -> None:
    """With counts and interval, as they stand in the JSON."""
    text = words(page)
    for one in sample["identification"]:
        point = one["points"][0]
        low, high = point["fnir_interval"]
        assert (
            f"At FPIR 1 % with {one['num_subjects']:,} people enrolled, "
            f"{100 * point['fnir']['rate']:.1f} % of searches for enrolled people are missed "
            f"({point['fnir']['num_errors']:,} of {point['fnir']['num_trials']:,}; "
            f"95 %: {100 * low:.1f} to {100 * high:.1f} %)"
        ) in text
    assert "Of 6,000 pairs, 99.28 % are judged right: mean of 10 folds" in text


def test_tables_hold_the_numbers_of_the_json(page: str, sample: Json) -> None:
    """Thresholds, rates and counts of each row, next to each other."""
    text = words(page)
    for one in sample["identification"]:
        for point in one["points"]:
            low, high = point["threshold_interval"]
            assert f"{point['threshold']:.4f} 95 %: {low:.3f} to {high:.3f} " in text
            for rate in (point["fpir"], point["fnir"]):
                share = report_numbers.percent(rate["rate"]).replace("\N{NO-BREAK SPACE}", " ")
                assert f"{share} {rate['num_errors']:,} of {rate['num_trials']:,} 95 %" in text
        for row in one["by_size"]:
            assert f"{row['num_subjects']:,} {100 * row['rank1']:.2f} %" in text
        for group in one["groups"]:
            assert f"{group['num_subjects']:,} {100 * group['fnir']['rate']:.1f} %" in text
    for pairs in sample["verification"]:
        for row in pairs["tar_at_far"]:
            assert f"{row['threshold']:.4f} {report_numbers.percent(row['far']['rate'])}" in (
                text.replace(" %", "\N{NO-BREAK SPACE}%")
            )
        folds = " ".join(f"{100 * fold:.2f} %" for fold in pairs["accuracy"]["folds"])
        assert folds in text


def test_figures_with_few_errors_are_marked(
    page: str, sample: Json, small: Json, tmp_path: Path
) -> None:
    """Each of them, with a note that explains it; a report without such figures has neither."""

    def unreliable(part: Any) -> int:
        if isinstance(part, dict):
            return (part.get("is_reliable") is False) + sum(map(unreliable, part.values()))
        return sum(map(unreliable, part)) if isinstance(part, list) else 0

    # Every such figure once, again in the summary for the set of 240 pairs, and the note itself.
    assert page.count('href="#few-errors"') == unreliable(sample) + 1
    assert page.count('id="few-errors"') == 1
    firm = json.loads(json.dumps(small).replace('"is_reliable": false', '"is_reliable": true'))
    assert "few errors</" not in render(firm, tmp_path)


@pytest.mark.parametrize("place", ["set", "group", "licence", "warning", "name", "protocol"])
def test_whatever_a_user_writes_is_text(place: str, small: Json, tmp_path: Path) -> None:
    """Tags, quotes and formulas are shown, in the page as in its plots."""
    (identification,) = small["identification"]
    if place == "set":
        identification["set"] = small["verification"][0]["set"] = ATTACK
    elif place == "group":
        identification["groups"][0]["name"] = ATTACK
    elif place == "protocol":
        identification["protocol"] = ATTACK
    elif place == "warning":
        small["warnings"] = [ATTACK]
    else:
        small["model"][place] = ATTACK
    page = render(small, tmp_path)
    outline = Outline(page)
    assert not outline.opened
    assert "script" not in outline.tags
    assert ATTACK in words(page)
    assert len(plots(page)) == 5


def test_the_page_asks_for_nothing(page: str) -> None:
    """No script, no file but the JSON beside it, no address in a style."""
    outline = Outline(page)
    assert {address for address in outline.addresses if not address.startswith("#")} == {
        "report.json"
    }
    assert not {"script", "link", "img", "iframe", "object"} & set(outline.tags)
    assert not re.search(r"url\((?!#)|@import", page)
    assert not re.search(r"\son\w+=", page)
    assert len(page.encode()) < MAX_BYTES


def test_the_page_is_well_formed_and_its_references_lead_somewhere(page: str) -> None:
    """Every tag closes, no id is there twice, every link and clip path has its target."""
    outline = Outline(page)
    assert not outline.opened
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.references) <= set(outline.ids)


def test_headings_go_down_one_level_at_a_time(page: str) -> None:
    """One first heading, and none that is skipped."""
    levels = Outline(page).headings
    assert levels.count(1) == 1
    assert max(np.diff(levels)) == 1


def test_tables_are_named_and_their_headers_scoped(page: str) -> None:
    """A screen reader knows of each cell what it is about."""
    outline = Outline(page)
    assert outline.tags.count("table") == outline.tags.count("caption") > 10
    assert outline.unscoped == 0


def test_plots_are_xml_with_a_name_for_those_who_do_not_see_them(page: str) -> None:
    """Two ROC, and of three identification sets DET, sizes and discarding; groups once."""
    found = plots(page)
    assert len(found) == 2 + 3 * 3 + 1
    for title, plot in found.items():
        assert plot.get("role") == "img"
        assert title
        assert plot.findtext(f"{SVG}desc")
        assert plot.find(f"{SVG}metadata") is None
        assert plot.get("width") is None  # it fits into whatever column there is


def test_plots_take_their_colours_from_the_page(page: str) -> None:
    """So they can be read in a dark scheme and on paper: no black of Matplotlib's own."""
    for plot in plots(page).values():
        text = re.sub(r"var\(--\w+, #\w+\)", "", ET.tostring(plot, encoding="unicode"))
        assert not re.search(r"(?:fill|stroke): ?#", text)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_det_shows_its_axes_and_thresholds(page: str, sample: Json) -> None:
    """Labels in percent on both axes, and the thresholds of the table at the dots."""
    one = sample["identification"][0]
    texts = labels(plots(page)["DET of LFW, maximum"])
    assert {"0.01 %", "0.1 %", "1 %", "10 %", "100 %"} <= set(texts)
    assert "FNIR: searches that are missed" in texts
    assert "FPIR: searches for strangers that return somebody" in texts
    assert {f"{point['threshold']:.3f}" for point in one["points"]} <= set(texts)


def test_the_other_plots_show_what_they_are_about(page: str) -> None:
    """Gallery sizes with separated thousands, a legend of FPIRs, group names, shares."""
    found = plots(page)
    sizes = labels(found["FNIR against gallery size of staff, 2025, maximum"])
    assert {"10", "1,210", "FPIR 1 %", "FPIR 0.1 %", "People enrolled"} <= set(sizes)
    groups = labels(found["Error rates by group of staff, 2025, maximum"])
    assert groups.count("18 to 39") == 2
    assert groups.count("not measured") == 1
    assert "50 %" in labels(found["FNIR against the share refused, staff, 2025, maximum"])
    assert "TAR: pairs of one person accepted" in labels(found["ROC of LFW"])


def test_a_curve_has_the_form_of_its_data(tmp_path: Path, small: Json) -> None:
    """Steps of one width are drawn as such, and a fall of half as much by half as much."""
    discard = small["identification"][0]["discard"]
    discard |= {"share": [0.0, 0.25, 0.5], "fnir": [0.08, 0.04, 0.02], "num_left": [8, 6, 4]}
    plot = plots(render(small, tmp_path))["FNIR against the share refused, staff, 2025, maximum"]
    paths = [path.get("d", "") for path in plot.iter(f"{SVG}path") if path.get("clip-path")]
    (curve,) = (
        points
        for path in paths
        if len(points := np.array(re.findall(r"[ML] (\S+) (\S+)", path), float)) == 3
    )
    assert curve[1, 0] - curve[0, 0] == pytest.approx(curve[2, 0] - curve[1, 0], abs=0.05)
    assert curve[1, 1] - curve[0, 1] == pytest.approx(2 * (curve[2, 1] - curve[1, 1]), abs=0.05)
    assert curve[1, 1] > curve[0, 1]  # in SVG down is more


def test_the_same_report_gives_the_same_page(page: str, sample: Json, tmp_path: Path) -> None:
    """To the byte, so that two of them can be compared."""
    assert render(copy.deepcopy(sample), tmp_path) == page


def test_an_empty_report_says_that_nothing_was_measured(sample: Json, tmp_path: Path) -> None:
    """No sets, no warnings, no fingerprint: still a page."""
    model = sample["model"] | {"fingerprint": None, "licence": "", "norm_floor": 0.0}
    empty = {"verification": [], "identification": [], "warnings": [], "model": model}
    text = words(render(sample | empty, tmp_path))
    assert "Nothing was measured" in text
    assert "a run's checkpoint" in text
    assert "Warnings" not in text


def test_what_could_not_be_measured_is_a_dash(small: Json, tmp_path: Path) -> None:
    """Rates of null, curves without points, thresholds that nobody reaches."""
    (pairs,), (people,) = small["verification"], small["identification"]
    pairs |= {"tar_at_far": [], "roc": {"far": [0.0], "tar": [0.4], "threshold": [0.5]}}
    pairs["accuracy"]["folds"] = []
    for point in people["points"]:
        point |= {"fpir": None, "fnir": None, "fnir_interval": [None, None]}
        point |= {"threshold": float("inf"), "threshold_interval": [0.4, float("nan")]}
    people["det"] = {key: [] for key in people["det"]}
    people |= {"by_size": [], "groups": []}
    people["discard"] |= {"share": [], "fnir": [], "num_left": []}
    page = render(small, tmp_path)
    text = words(page)
    assert not plots(page)
    assert "No ROC" in text
    assert "No DET" in text
    assert f"95 %: 0.400 to {report_numbers.NOT_MEASURED}" in text
    assert "By group" not in text
    for nothing in ("None", "nan", "inf "):
        assert nothing not in text
    assert (
        json.loads((tmp_path / "report.json").read_text())["identification"][0]["points"][0][
            "threshold"
        ]
        is None
    )


def test_a_group_name_in_any_script_is_drawn(small: Json, tmp_path: Path) -> None:
    """Letters that Matplotlib lacks, a formula, a control character and a very long name."""
    groups = small["identification"][0]["groups"]
    for group, name in zip(groups, ("東京 $a_1$", "a\x07b", "x" * 99, "two\nlines"), strict=True):
        group["name"] = name
    texts = labels(plots(render(small, tmp_path))["Error rates by group of staff, 2025, maximum"])
    assert {"東京 $a_1$", "a\N{REPLACEMENT CHARACTER}b", "x" * 27 + "…", "two lines"} <= set(texts)


def test_numbers_of_numpy_are_numbers(small: Json, tmp_path: Path) -> None:
    """Arrays and their scalars are written as JSON writes them."""
    (pairs,) = small["verification"]
    roc = {key: np.array(values) for key, values in pairs["roc"].items()}
    changed = pairs | {"roc": roc, "num_same": np.int64(240)}
    path = write_report(small | {"verification": [changed], "identification": []}, tmp_path)
    found = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert found["verification"] == [pairs]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "of format 2"),
        ({"model": {}}, "lacks a part"),
        ({"identification": [{"set": "x"}]}, "lacks a part"),
        ({"verification": None}, "lacks a part"),
        ({"warnings": [object()]}, r"report\.warnings\[0\] is a object"),
    ],
)
def test_what_is_no_report_is_refused(
    change: Json, reason: str, small: Json, tmp_path: Path
) -> None:
    """With what is wrong, and before anything is written."""
    with pytest.raises(DataInvalid, match=reason):
        write_report(small | {"identification": []} | change, tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, report_numbers.NOT_MEASURED),
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (0.3124, "31.2 %"),
        (0.01, "1.0 %"),
        (0.00992, "0.99 %"),
        (0.00083, "0.083 %"),
        (0.9997, "99.97 %"),
        (0.9917, "99.17 %"),
        (0.99996, "99.996 %"),
        (1e-9, "0.0000 %"),
    ],
)
def test_shares_keep_the_digits_that_matter(share: float | None, text: str) -> None:
    """One decimal, and more only near 0 % and 100 %."""
    assert report_numbers.percent(share).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.28, 0.344), "28.0 to 34.4 %"),
        ((0.998114, 0.999941), "99.81 to 99.99 %"),
        ((0.0, 0.0012), "0.00 to 0.12 %"),
        ((0.0, 1.0), "0.0 to 100.0 %"),
    ],
)
def test_both_ends_of_an_interval_have_the_same_decimals(
    ends: tuple[float, float], text: str
) -> None:
    """Those of the end that needs fewer, and an end of exactly 0 or 1 asks for none."""
    assert report_numbers.interval(ends).replace("\N{NO-BREAK SPACE}", " ") == text
