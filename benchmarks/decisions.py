"""What fusion rules, and quality as a guard, do to the misses at an equal rate of false names.

Two sets of people, both by the shipped default model: those held out of the training folder, on
whom a rule may be chosen, and LFW's, which test the method and choose nothing that ships. People
with more images than templates are enrolled; see ``python -m training evaluate``. Needs
../shared/data; the embeddings are made once and kept in ``runs/features``, which takes minutes.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.conflict_check import told
from benchmarks.face_features import Features, features_of
from benchmarks.fusion_rules import (
    FPIRS,
    RuleAt,
    compare,
    missed_by_rescoring,
    search_by_rules,
)
from benchmarks.holdout import DATA, held_out
from benchmarks.open_set import LFW
from benchmarks.quality_guard import FPIR as GUARD_FPIR
from benchmarks.quality_guard import (
    Guarded,
    Part,
    by_parts,
    refuse_at_enroll,
    refuse_at_identify,
    search,
    unguarded,
)
from benchmarks.report import print_report, print_table
from benchmarks.runner_up import FPIR as LEAD_FPIR
from benchmarks.runner_up import by_leads
from benchmarks.template_cap import compare_caps
from embedding.error_rates import RateAtThreshold, rate_with_interval
from index.fusion import FUSION_RULES, MAXIMUM
from training.data.opening import open_store
from training.data.split import Selection, select_all
from training.evaluation.open_set import OpenSet, plan_open_set
from training.evaluation.searches import Searches

NUM_TEMPLATES, MANY_TEMPLATES = 3, 5
SETS = (("holdout", NUM_TEMPLATES), ("holdout", MANY_TEMPLATES), ("lfw", NUM_TEMPLATES))
CAPS = (("holdout", 10, 3), ("holdout", 10, 5), ("lfw", 6, 3))
"""People, images enrolled, and how many of them stay."""
CAPPED_RULES = ("maximum", "centroid-best-two")


def people_of() -> dict[str, tuple[Selection, Features]]:
    """The people by the name of their set, with the features of all their images."""
    people = {"holdout": held_out(), "lfw": select_all(open_store(LFW))}
    return {name: (each, features_of(each, name=name)) for name, each in people.items()}


def _planned(people: Selection, name: str, num_templates: int) -> OpenSet:
    return plan_open_set(
        people.labels_N, num_templates=num_templates, stranger_max_images=1, name=name
    )


def _text(rate: RateAtThreshold, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{rate.rate:.1%} [{low:.1%}, {high:.1%}]"


def _cells(ats: Sequence[RuleAt]) -> tuple[str, ...]:
    """FNIR at every wanted FPIR, and the gain at the first."""
    low, high = ats[0].gain_interval
    gain = f"{ats[0].gain:+.1%} [{low:+.1%}, {high:+.1%}]"
    return *(_text(at.rates.fnir, at.fnir_interval) for at in ats), gain


def _rule_figures(at: RuleAt) -> dict[str, object]:
    return {
        "fnir": round(at.rates.fnir.rate, 4),
        "interval": [round(each, 4) for each in at.fnir_interval],
        "gain_over_maximum": round(at.gain, 4),
        "gain_interval": [round(each, 4) for each in at.gain_interval],
        "threshold": round(at.rates.threshold, 4),
        "false_positives": f"{at.rates.fpir.num_errors} of {at.rates.fpir.num_trials}",
    }


def fusion_report(
    name: str, features: Features, open_set: OpenSet
) -> tuple[Sequence[tuple[object, ...]], dict[str, object]]:
    """Rows and figures of every rule on one set."""
    found = search_by_rules(features, open_set)
    table = compare(open_set, found)
    borrowed = table[MAXIMUM.name][0].rates.threshold
    rows = [(name, rule, *_cells(ats)) for rule, ats in table.items()]
    figures: dict[str, object] = {
        "protocol": open_set.protocol,
        "num_subjects": open_set.num_subjects,
        "rules": {
            rule: {
                f"fpir_{fpir:g}": _rule_figures(at) for fpir, at in zip(FPIRS, ats, strict=True)
            }
            for rule, ats in table.items()
        },
        "leads": {rule: lead_figures(open_set, found[rule]) for rule in CAPPED_RULES},
        "fpir_at_the_threshold_of_the_maximum": {
            rule: _named(open_set, searches, borrowed) for rule, searches in found.items()
        },
        "not_first_in_a_shorter_list_of_200": missed_by_rescoring(features, open_set),
    }
    return rows, figures


def _named(open_set: OpenSet, searches: Searches, threshold: float) -> dict[str, object]:
    """The share of strangers' searches that are named at a threshold of another rule."""
    best_N = searches.best_other_R[open_set.is_stranger_R]
    rate = rate_with_interval(int((best_N >= threshold).sum()), len(best_N))
    return {"fpir": round(rate.rate, 4), "interval": [round(rate.low, 4), round(rate.high, 4)]}


def lead_figures(open_set: OpenSet, searches: Searches) -> list[dict[str, object]]:
    """What a smallest lead takes and gives."""
    return [
        {
            "lead": each.lead,
            "matched": round(each.num_right / each.num_mated, 4),
            "as_somebody_else": f"{each.num_wrong} of {each.num_mated}",
            "strangers": f"{each.num_strangers_named} of {each.num_strangers}",
        }
        for each in by_leads(open_set, searches)
    ]


def cap_report(
    name: str, features: Features, open_set: OpenSet, *, cap: int
) -> tuple[Sequence[tuple[object, ...]], dict[str, object]]:
    """Rows and figures of every way to keep at most so many templates."""
    rows: list[tuple[object, ...]] = []
    figures: dict[str, object] = {"num_subjects": open_set.num_subjects}
    for rule in CAPPED_RULES:
        table = compare_caps(features, open_set, cap=cap, rule=FUSION_RULES[rule])
        rows += [(name, rule, kept, *_cells(ats)) for kept, ats in table.items()]
        figures[rule] = {kept: _rule_figures(ats[0]) for kept, ats in table.items()}
    return rows, figures


def quality_report(
    name: str, features: Features, open_set: OpenSet
) -> tuple[Sequence[tuple[object, ...]], dict[str, object]]:
    """Rows and figures of both signals, and of a random one, on one set."""
    random_B = np.random.default_rng(0).random(len(features.norm_B)).astype(np.float32)
    signals = {
        "quality figure": features.quality_B,
        "embedding norm": features.norm_B,
        "chance": random_B,
    }
    searches = search(features, open_set)
    nothing = unguarded(open_set, searches)
    rows: list[tuple[object, ...]] = [
        (name, "nothing refused", _rate(nothing.answered), _rate(nothing.all_mated), "")
    ]
    figures: dict[str, object] = {"nothing_refused": _guard_figures(nothing)}
    for signal, figure_B in signals.items():
        parts = by_parts(figure_B, open_set, searches)
        for number, part in enumerate(parts, 1):
            where = f"{signal}, fifth {number} ({part.low:.3g} to {part.high:.3g})"
            rows.append((name, where, _rate(part.fnir), "", _rate(part.fpir)))
        at_identify = refuse_at_identify(figure_B, open_set, searches)
        at_enroll = refuse_at_enroll(figure_B, features, open_set)
        for what, one in (("identify", at_identify), ("enroll", at_enroll)):
            where = f"{signal}, worst tenth refused at {what}"
            rows.append((name, where, _rate(one.answered), _rate(one.all_mated), ""))
        figures[signal] = {
            "fifths": [_part_figures(part) for part in parts],
            "refused_at_identify": _guard_figures(at_identify),
            "refused_at_enroll": _guard_figures(at_enroll),
        }
    return rows, figures


def _rate(rate: RateAtThreshold) -> str:
    return _text(rate, (rate.low, rate.high))


def _part_figures(part: Part) -> dict[str, object]:
    return {
        "from": round(part.low, 4),
        "to": round(part.high, 4),
        "fnir": round(part.fnir.rate, 4),
        "interval": [round(part.fnir.low, 4), round(part.fnir.high, 4)],
        "fpir": round(part.fpir.rate, 4),
        "false_positives": f"{part.fpir.num_errors} of {part.fpir.num_trials}",
    }


def _guard_figures(one: Guarded) -> dict[str, object]:
    return {
        "threshold": round(one.threshold, 4),
        "fnir_answered": round(one.answered.rate, 4),
        "fnir_with_refused_as_misses": round(one.all_mated.rate, 4),
        "num_mated": one.all_mated.num_trials,
        "subjects_without_templates": one.num_lost,
    }


def main() -> None:
    """Measures and prints."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if not (DATA.is_dir() and LFW.is_dir()):
        raise SystemExit(f"needs the team's face data in {DATA} and {LFW}")
    people = people_of()
    rows: list[tuple[object, ...]] = []
    guard_rows: list[tuple[object, ...]] = []
    cap_rows: list[tuple[object, ...]] = []
    figures: dict[str, object] = {"fpir_of_leads_and_guard": [LEAD_FPIR, GUARD_FPIR]}
    for name, num_templates in SETS:
        selection, features = people[name]
        title = f"{name}, {num_templates} templates"
        open_set = _planned(selection, name, num_templates)
        some, figures[title] = fusion_report(title, features, open_set)
        rows += some
        if num_templates == NUM_TEMPLATES:
            some, figures[f"quality: {title}"] = quality_report(title, features, open_set)
            guard_rows += some
            figures[f"check at enroll: {title}"] = told(features, open_set)
    for name, num_enrolled, cap in CAPS:
        selection, features = people[name]
        title = f"{name}, {cap} of {num_enrolled} templates"
        some, figures[title] = cap_report(
            title, features, _planned(selection, name, num_enrolled), cap=cap
        )
        cap_rows += some
    columns = tuple(f"FNIR at FPIR {fpir:.0%}" for fpir in FPIRS)
    print_table(
        "a cap of templates a subject, and which stay",
        ("people", "fusion", "kept", *columns, "gain over all at 1%"),
        cap_rows,
    )
    print_table(
        f"quality as a guard, maximum, at FPIR {GUARD_FPIR:.0%}",
        ("people", "searches", "FNIR", "FNIR, refused = missed", "FPIR at this threshold"),
        guard_rows,
    )
    print_report(
        "decisions",
        ("people", "fusion", *columns, "gain at 1%"),
        rows,
        figures,
    )


if __name__ == "__main__":
    main()
