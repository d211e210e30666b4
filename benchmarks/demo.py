"""``make demo``: the main job, over HTTP, on photos that ship inside Python packages.

Six people of one group photo are enrolled; they must be found in changed copies of it, and two
other people must be unknown. Exits with 1 if a decision is wrong.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps
from rich.console import Console
from rich.table import Table

from benchmarks.samples import find_samples
from benchmarks.server import RunningServer, running_server
from embedding.detect import Box
from service.http_client import HttpClient
from service.schemas import BoxAnswer, IdentifiedFace, IdentifyAnswer

NUM_PEOPLE = 6
EXIF_ORIENTATION = 0x0112
EXIF_TURNED = 6  # the camera was held upright: viewers turn the stored picture by 90 degrees
NAMES = tuple(f"Person {letter}" for letter in "ABCDEF")
Point = tuple[float, float]
GALLERY = "default"
COLOURS = {"match": "#1fa34a", "review": "#d98e04", "unknown": "#8a8f98"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedCopy:
    """A changed copy of the group photo, and where a point of the original lies in it."""

    title: str
    photo: bytes
    moved: Callable[[Point], Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One face of one photo with what was decided and what should have been."""

    photo: str
    expected: str
    decision: str
    subject: str
    similarity: float | None
    threshold: float
    ms: float

    @property
    def is_right(self) -> bool:
        """The right person as a match, or unknown for a stranger."""
        if self.expected == "unknown":
            return self.decision == "unknown"
        return self.decision == "match" and self.subject == self.expected


def jpeg(image: Image.Image, *, quality: int = 92, orientation: int | None = None) -> bytes:
    """The image as JPEG bytes, with an EXIF orientation if one is given."""
    exif = Image.Exif()
    if orientation is not None:
        exif[EXIF_ORIENTATION] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def changed_copies(original: Image.Image) -> list[ChangedCopy]:
    """The copies that the six people must be found in."""
    half = original.resize((original.width // 2, original.height // 2), Image.Resampling.LANCZOS)
    dark = original.point([round(0.45 * value) for value in range(256)] * 3)
    turned = original.transpose(Image.Transpose.ROTATE_90)
    return [
        ChangedCopy(
            title="mirrored",
            photo=jpeg(ImageOps.mirror(original)),
            moved=lambda point: (original.width - point[0], point[1]),
        ),
        ChangedCopy(
            title="half size",
            photo=jpeg(half),
            moved=lambda point: (point[0] / 2, point[1] / 2),
        ),
        ChangedCopy(
            title="JPEG quality 40", photo=jpeg(original, quality=40), moved=lambda point: point
        ),
        ChangedCopy(
            title="darker and blurred",
            photo=jpeg(dark.filter(ImageFilter.GaussianBlur(1.5))),
            moved=lambda point: point,
        ),
        ChangedCopy(
            title="turned by EXIF",
            photo=jpeg(turned, orientation=EXIF_TURNED),
            moved=lambda point: point,
        ),
    ]


def centre(box: BoxAnswer) -> Point:
    """The middle of a box of an answer."""
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def enroll_everybody(client: HttpClient, photo: bytes) -> list[tuple[str, Point]]:
    """Enrolls each face of the group photo by its box; names go from left to right."""
    boxes = [face.box for face in client.detect(photo).faces]
    if len(boxes) != NUM_PEOPLE:
        raise SystemExit(f"expected {NUM_PEOPLE} faces in the group photo, found {len(boxes)}")
    people = []
    for name, box in zip(NAMES, sorted(boxes, key=lambda one: one.left), strict=True):
        client.enroll([photo], gallery=GALLERY, subject=name, face=Box(**box.model_dump()))
        people.append((name, centre(box)))
    return people


def identify(client: HttpClient, photo: bytes) -> tuple[IdentifyAnswer, float]:
    """The answer for one photo, and the milliseconds it took the caller."""
    started = time.perf_counter()
    answer = client.identify(photo, gallery=GALLERY)
    return answer, 1000 * (time.perf_counter() - started)


def rows_of_copy(
    answer: IdentifyAnswer, copy: ChangedCopy, people: list[tuple[str, Point]], ms: float
) -> list[Row]:
    """One row an enrolled person; a person whose face was not found is a wrong decision."""
    rows = []
    for name, place in people:
        x, y = copy.moved(place)
        at_place = [face for face in answer.faces if _holds(face.box, x, y)]
        rows.append(_row(copy.title, name, at_place[0] if at_place else None, answer, ms))
    return rows


def _holds(box: BoxAnswer, x: float, y: float) -> bool:
    return box.left <= x <= box.right and box.top <= y <= box.bottom


def _row(
    title: str, expected: str, face: IdentifiedFace | None, answer: IdentifyAnswer, ms: float
) -> Row:
    if face is None:
        return Row(
            photo=title, expected=expected, decision="no face", subject="", similarity=None,
            threshold=answer.match.value, ms=ms,
        )  # fmt: skip
    named = face.subject or next(iter(face.candidates), None)
    return Row(
        photo=title,
        expected=expected,
        decision=face.decision,
        subject=(named and named.name) or "" if face.decision != "unknown" else "",
        similarity=face.similarity,
        threshold=answer.match.value,
        ms=ms,
    )


def annotated(photo: bytes, answer: IdentifyAnswer) -> Image.Image:
    """The upright photo with a box and a label for each face."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("RGB")
    draw = ImageDraw.Draw(image)
    size = max(11, image.width // 70)
    font = ImageFont.load_default(size=size)
    for face in answer.faces:
        box, colour = face.box, COLOURS[face.decision]
        corners = (box.left, box.top, box.right, box.bottom)
        draw.rectangle(corners, outline=colour, width=3)
        name = (face.subject and face.subject.name) or ""
        label = f"{face.decision} {name} {face.similarity or 0:.2f}".replace("  ", " ")
        rightmost = image.width - draw.textlength(label, font=font)
        place = (min(box.left, rightmost), max(0.0, box.top - size - 6))
        draw.rectangle(draw.textbbox(place, label, font=font), fill=colour)
        draw.text(place, label, fill="white", font=font)
    return image


def side_by_side(images: list[Image.Image], *, height: int = 620) -> Image.Image:
    """The pictures in one row, of equal height."""
    scaled = [one.resize((round(one.width * height / one.height), height)) for one in images]
    sheet = Image.new("RGB", (sum(one.width for one in scaled) + 8 * len(scaled), height), "white")
    left = 0
    for one in scaled:
        sheet.paste(one, (left, 0))
        left += one.width + 8
    return sheet


def run(server: RunningServer) -> tuple[list[Row], Image.Image]:
    """Enrolls and identifies; gives the rows of the table and the annotated picture."""
    samples = find_samples()
    group = samples["t1"].read_bytes()
    people = enroll_everybody(server.api, group)
    rows, pictures = [], []
    with Image.open(io.BytesIO(group)) as original:
        copies = changed_copies(original.convert("RGB"))
    for copy in copies:
        answer, ms = identify(server.api, copy.photo)
        rows += rows_of_copy(answer, copy, people, ms)
        if copy.title == "mirrored":
            pictures.append(annotated(copy.photo, answer))
    for name in ("hopper", "astronaut"):
        photo = samples[name].read_bytes()
        answer, ms = identify(server.api, photo)
        title = f"stranger ({name})"
        rows += [_row(title, "unknown", face, answer, ms) for face in answer.faces]
        if not answer.faces:
            rows.append(_row(title, "unknown", None, answer, ms))
        pictures.append(annotated(photo, answer))
    return rows, side_by_side(pictures)


def print_rows(rows: list[Row]) -> None:
    """The table of the demo."""
    table = Table(title="Who is it?")
    for column in ("photo", "face", "decision", "subject", "similarity", "threshold", "ms", ""):
        table.add_column(column, justify="right" if column in {"similarity", "ms"} else "left")
    for row in rows:
        similarity = "" if row.similarity is None else f"{row.similarity:.3f}"
        mark = "[green]right[/]" if row.is_right else "[red]WRONG[/]"
        table.add_row(
            row.photo, row.expected, row.decision, row.subject, similarity,
            f"{row.threshold:.3f}", f"{row.ms:.0f}", mark,
        )  # fmt: skip
    Console(width=110).print(table)


def main() -> None:
    """Runs the demo and exits with 1 if a decision is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("facegallery-demo.jpg"))
    parser.add_argument("--started", type=float, help="when make began, in seconds since 1970")
    options = parser.parse_args()
    installed = time.time()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder) / "data") as server,
    ):
        print(f"service at {server.url}, ready after {server.seconds_to_ready:.1f} s")
        rows, picture = run(server)
    picture.save(options.out, quality=90)
    print_rows(rows)
    num_right = sum(row.is_right for row in rows)
    print(f"{num_right} of {len(rows)} decisions right; picture: {options.out.resolve()}")
    print("A face is a match from the threshold on, which keeps false names of strangers at 1 %.")
    if options.started:
        total, install = time.time() - options.started, installed - options.started
        print(
            f"{total:.1f} s in all, {install:.1f} s of them installation ({install / total:.0%})"
        )
    sys.exit(0 if num_right == len(rows) else 1)


if __name__ == "__main__":
    main()
