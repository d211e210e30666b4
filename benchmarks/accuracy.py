"""What the shipped system reaches on the team's data: detection, open set, LFW.

Needs ../shared/data, which is never committed. The default model is measured as it is served.
"""

import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import print_report
from embedding.detect import Box, MtcnnDetector
from embedding.embedder import FaceEmbedder
from embedding.error_rates import RateAtThreshold, rate_with_interval
from embedding.errors import FaceError
from embedding.model import ModelDirectory, find_model
from embedding.photo import decode_photo
from embedding.runtime import EmbeddingNet
from index.galleries import Galleries
from service.choosing import SubjectChoice
from service.embedders import Embedders
from service.recognizer import Recognizer
from service.settings import Settings

DATA = Path(__file__).parents[2] / "shared" / "data"
MIN_IOU = 0.4
NUM_ENROLLED, NUM_TEMPLATES = 20, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionFigures:
    """Counts over the scenes."""

    num_boxes: int
    num_found: int
    num_false: int
    num_in_faceless: int
    num_t1: int


def detection(folder: Path) -> DetectionFigures:
    """Faces of the scenes against hand-made boxes; each box is found at most once."""
    detector = MtcnnDetector()
    boxes = json.loads((folder / "boxes.json").read_text())
    totals: Counter[str] = Counter()
    for name, truth in boxes.items():
        found = [face.box for face in detector.detect(decode_photo((folder / name).read_bytes()))]
        if not truth:
            totals["faceless"] += len(found)
            continue
        free = list(found)
        for left, top, right, bottom in truth:
            box = Box(left=left, top=top, right=right, bottom=bottom)
            best = max(free, key=box.iou, default=None)
            if best is not None and box.iou(best) >= MIN_IOU:
                totals["hits"] += 1
                free.remove(best)
        totals["boxes"] += len(truth)
        totals["false"] += len(free)
    t1 = detector.detect(decode_photo((folder / "group_t1.jpg").read_bytes()))
    return DetectionFigures(
        num_boxes=totals["boxes"],
        num_found=totals["hits"],
        num_false=totals["false"],
        num_in_faceless=totals["faceless"],
        num_t1=len(t1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSetFigures:
    """Counts of enroll and identify with ``face=largest`` on raw photographs."""

    with_face: RateAtThreshold
    rank1: RateAtThreshold
    fnir: RateAtThreshold
    fpir: RateAtThreshold
    review_strangers: int
    refused_at_enroll: int


def open_set(folder: Path) -> OpenSetFigures:
    """Enrolls three photos of each of twenty people; everybody else is a stranger.

    A photo without a face is a miss for an enrolled person and no false positive for a stranger.
    """
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    totals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(data_folder=Path(data))
        embedders = Embedders(settings)
        with Galleries.open(Path(data)) as galleries:
            galleries.create("default", fingerprint=embedders.named().fingerprint)
            recognizer = Recognizer(
                galleries, embedders, settings=settings, secret=galleries.secret("service")
            )
            probes = []
            for number, person in enumerate(people):
                files = sorted(person.glob("*.jpg"))
                if number < NUM_ENROLLED:
                    for file in files[:NUM_TEMPLATES]:
                        totals["refused"] += not _enrolled(recognizer, person.name, file)
                    files = files[NUM_TEMPLATES:]
                probes += [(person.name, number < NUM_ENROLLED, file) for file in files]
            for name, is_mated, file in probes:
                _count(totals, recognizer, name, is_mated, file)
    return OpenSetFigures(
        with_face=rate_with_interval(totals["face"], totals["mated"] + totals["strangers"]),
        rank1=rate_with_interval(totals["rank1"], totals["mated"]),
        fnir=rate_with_interval(totals["mated"] - totals["named"], totals["mated"]),
        fpir=rate_with_interval(totals["false"], totals["strangers"]),
        review_strangers=totals["review_strangers"],
        refused_at_enroll=totals["refused"],
    )


def _enrolled(recognizer: Recognizer, name: str, file: Path) -> bool:
    try:
        recognizer.enroll(
            [file.read_bytes()],
            gallery="default",
            subject=SubjectChoice(name=name),
            face="largest",
        )
    except FaceError:
        return False
    return True


def _count(
    totals: Counter[str], recognizer: Recognizer, name: str, is_mated: bool, file: Path
) -> None:
    answer = recognizer.identify(file.read_bytes(), gallery="default")
    totals["mated" if is_mated else "strangers"] += 1
    if not answer.answers:
        return
    totals["face"] += 1
    largest = answer.answers[0]  # faces come largest first
    first = largest.candidates[0].subject.name if largest.candidates else None
    if is_mated:
        totals["rank1"] += first == name
        totals["named"] += largest.decision == "match" and first == name
    else:
        totals["false"] += largest.decision == "match"
        totals["review_strangers"] += largest.decision == "review"


def lfw(folder: Path) -> dict[str, object]:
    """LFW through the shipped file and the serving runtime."""
    from training.export import lfw_figures

    net = EmbeddingNet(ModelDirectory.open(find_model(None)))
    return lfw_figures(net, folder)


def _text(rate: RateAtThreshold) -> str:
    return (
        f"{rate.rate:.1%} ({rate.num_errors} of {rate.num_trials}; "
        f"95 %: {rate.low:.1%} to {rate.high:.1%})"
    )


def main() -> None:
    """Measures and prints."""
    if not DATA.is_dir():
        raise SystemExit(f"needs the team's face data in {DATA}")
    found, people, verification = (
        detection(DATA / "scenes"),
        open_set(DATA / "photos"),
        lfw(DATA / "lfw"),
    )
    rows: list[tuple[str, object]] = [
        ("scenes: recall", f"{found.num_found} of {found.num_boxes} boxes"),
        ("scenes: false faces on boxed photos", found.num_false),
        ("scenes: faces in photos without faces", found.num_in_faceless),
        ("scenes: faces in group_t1", found.num_t1),
        ("photos: yield a face", _text(people.with_face)),
        ("photos: refused at enroll", f"{people.refused_at_enroll} of 60"),
        ("photos: rank-1", _text(people.rank1)),
        ("photos: FNIR", _text(people.fnir)),
        ("photos: FPIR", _text(people.fpir)),
        ("photos: strangers in review", people.review_strangers),
        *((f"LFW: {name}", value) for name, value in verification.items()),
    ]
    figures = {
        "recall": found.num_found / found.num_boxes,
        "false_faces": found.num_false,
        "faceless": found.num_in_faceless,
        "t1": found.num_t1,
        "photos_with_face": people.with_face.rate,
        "rank1": people.rank1.rate,
        "fnir": people.fnir.rate,
        "fpir": people.fpir.rate,
        "model": FaceEmbedder.open().fingerprint[:12],
        **verification,
    }
    print_report("accuracy", ("what", "measured"), rows, figures)


if __name__ == "__main__":
    main()
