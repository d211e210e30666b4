"""What an identification of many photos says: a row a face, and one for a photo without any."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from embedding.faces import Face, PhotoFaces
from index.batch.sources.source import SourcePhoto
from index.decision import Identification

COLUMNS: dict[str, type] = {
    "path": str,
    "face": int,
    "num_faces": int,
    "decision": str,
    "reasons": str,
    "subject_id": str,
    "name": str,
    "external_id": str,
    "similarity": float,
    "runner_up": float,
    "left": float,
    "top": float,
    "right": float,
    "bottom": float,
    "confidence": float,
    "quality": float,
    "error": str,
    "message": str,
    "metadata": str,
}
"""Of the file, in their order; a value that does not apply is empty."""

NO_FACE = "no_face"


def rows_of_photo(
    photo: SourcePhoto, found: PhotoFaces, answers: Sequence[Identification]
) -> list[dict[str, Any]]:
    """Return a row a face, or one that says that there is none."""
    common = {"path": photo.key, "metadata": photo.metadata, "num_faces": len(found.faces)}
    if not found.faces:
        return [common | {"error": NO_FACE, "message": "no face was found"}]
    return [
        common | {"face": number} | _of_face(face, answer)
        for number, (face, answer) in enumerate(zip(found.faces, answers, strict=True))
    ]


def row_of_failure(
    key: str, error: str, message: str, metadata: str | None = None
) -> list[dict[str, Any]]:
    """Return the row of a photo that could not be worked on."""
    return [{"path": key, "error": error, "message": message, "metadata": metadata}]


def packed(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as JSON."""
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def unpacked(text: str) -> Iterator[dict[str, Any]]:
    """Yield the rows again."""
    yield from json.loads(text)


def _of_face(face: Face, answer: Identification) -> dict[str, Any]:
    subject = answer.subject
    return {
        "decision": answer.decision,
        "reasons": ",".join(answer.reasons) or None,
        "subject_id": None if subject is None else subject.id,
        "name": None if subject is None else subject.name,
        "external_id": None if subject is None else subject.external_id,
        "similarity": _rounded(answer.similarity),
        "runner_up": _rounded(_second(answer)),
        "left": round(face.box.left, 2),
        "top": round(face.box.top, 2),
        "right": round(face.box.right, 2),
        "bottom": round(face.box.bottom, 2),
        "confidence": _rounded(face.confidence),
        "quality": _rounded(face.quality.figure),
    }


def _second(answer: Identification) -> float | None:
    return answer.candidates[1].similarity if len(answer.candidates) > 1 else None


def _rounded(figure: float | None) -> float | None:
    # Similarities agree to 1e-3 between processors; more digits would say nothing.
    return None if figure is None else round(figure, 6)
