"""The faces of photos, as they are answered."""

from embedding.faces import Face, PhotoFaces
from service import schemas


def face_fields(face: Face) -> dict[str, object]:
    """The fields that every kind of face answer has."""
    quality = face.quality
    return {
        "box": schemas.BoxAnswer(
            left=face.box.left, top=face.box.top, right=face.box.right, bottom=face.box.bottom
        ),
        "landmarks": [(float(x), float(y)) for x, y in face.landmarks],
        "confidence": face.confidence,
        "quality": schemas.QualityAnswer(
            figure=quality.figure,
            size_px=quality.size_px,
            sharpness=quality.sharpness,
            brightness=quality.brightness,
            yaw_deg=quality.yaw_deg,
            pitch_deg=quality.pitch_deg,
            roll_deg=quality.roll_deg,
            reasons=list(quality.reasons),
        ),
        "num_quarter_turns": face.num_quarter_turns,
    }


def detect_answer(found: PhotoFaces) -> schemas.DetectAnswer:
    """The faces of a photo."""
    return schemas.DetectAnswer(
        width=found.width,
        height=found.height,
        faces=[schemas.FaceAnswer.model_validate(face_fields(face)) for face in found.faces],
        timings_ms=dict(found.timings_ms),
    )
