"""What the thresholds of ``POST /v1/verify`` give on LFW: FAR and TAR by number of templates.

Needs ../shared/data, which is never committed. The card that gives the thresholds has not seen
these people.

Shapes: B crops, D embedding dimension, P pairs.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.lfw_embeddings import LFW, EmbeddedCrops, lfw_embeddings
from benchmarks.report import print_report
from index.calibration.asked import card_at_most

RATES = (0.05, 0.01, 0.001)
NUM_TEMPLATES = (1, 3, 6, 9)
STRANGERS_EACH = 200


def lfw_pairs(crops: EmbeddedCrops) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Similarities (P,) of the pairs of LFW's protocol: of one person, and of two."""
    people = sorted(path for path in LFW.iterdir() if path.is_dir())
    names = [file.stem for person in people for file in sorted(person.glob("*.jpg"))]
    place = {name: number for number, name in enumerate(names)}
    found: tuple[list[float], list[float]] = ([], [])
    for line in (LFW.parent / "pairs.txt").read_text().splitlines()[1:]:
        words = line.split("\t")
        is_same = len(words) == 3
        one, other = (words[0], words[1]), (words[0] if is_same else words[2], words[-1])
        first, second = (place[f"{name}_{int(number):04d}"] for name, number in (one, other))
        similarity = float(crops.vectors_BD[first] @ crops.vectors_BD[second])
        found[not is_same].append(similarity)
    return np.array(found[0], np.float32), np.array(found[1], np.float32)


def subjects(
    crops: EmbeddedCrops, num_templates: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Of each person with crops enough the best similarities of strangers, and of one more."""
    rng = np.random.default_rng(0)
    everybody = np.arange(len(crops.person_B))
    for person in np.unique(crops.person_B):
        own = rng.permutation(np.flatnonzero(crops.person_B == person))
        if len(own) < num_templates:
            continue
        templates_ND = crops.vectors_BD[own[:num_templates]]
        strangers = rng.choice(np.setdiff1d(everybody, own), STRANGERS_EACH, replace=False)
        probe_D = crops.vectors_BD[own[num_templates : num_templates + 1]]
        yield (
            (crops.vectors_BD[strangers] @ templates_ND.T).max(axis=1),
            (probe_D @ templates_ND.T).max(axis=1),
        )


def rates(
    crops: EmbeddedCrops,
    same_P: NDArray[np.float32],
    different_P: NDArray[np.float32],
    *,
    num_templates: int,
    name: str,
) -> Iterator[tuple[str, float]]:
    """FAR and TAR at each wanted rate."""
    for rate in RATES:
        threshold = card_at_most(crops.card, rate=rate, num_subjects=num_templates).value
        yield f"{name}_far_at_{rate:g}", float((different_P >= threshold).mean())
        yield f"{name}_tar_at_{rate:g}", float((same_P >= threshold).mean())


def main() -> None:
    """Measures and prints."""
    crops = lfw_embeddings()
    same_P, different_P = lfw_pairs(crops)
    figures = dict(rates(crops, same_P, different_P, num_templates=1, name="pairs"))
    counts: dict[str, int] = {"pairs_same": len(same_P), "pairs_different": len(different_P)}
    for num in NUM_TEMPLATES:
        strangers, mated = zip(*subjects(crops, num), strict=True)
        same_P, different_P = _joined(mated), _joined(strangers)
        name = f"templates_{num}"
        figures |= dict(rates(crops, same_P, different_P, num_templates=num, name=name))
        counts |= {f"{name}_same": len(same_P), f"{name}_different": len(different_P)}
    print_report(
        "verification",
        ("aligned LFW crops", "share"),
        list(figures.items()),
        {**{name: round(value, 5) for name, value in figures.items()}, **counts},
    )


def _joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
