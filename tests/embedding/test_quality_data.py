"""How often the quality limits object to the team's ordinary photos."""

from pathlib import Path

import numpy as np
import pytest

from embedding.align import align_face
from embedding.detect import MtcnnDetector
from embedding.photo import decode_photo
from embedding.quality import assess

pytestmark = pytest.mark.data


def test_few_ordinary_photos_get_a_reason(shared_data: Path) -> None:
    """At most 10 % of the largest faces have a reason, and none gets one in less light."""
    detector = MtcnnDetector()
    photos = sorted((shared_data / "photos").glob("*/*.jpg"))[::7]
    num_faces = num_refused = 0
    for file in photos:
        photo = decode_photo(file.read_bytes())
        faces = detector.detect(photo)
        if not faces:
            continue
        crop = align_face(photo, faces[0].landmarks)
        quality = assess(faces[0], crop, 20.0)
        dark = assess(faces[0], (crop * 0.4).astype(np.uint8), 20.0)
        assert set(dark.reasons) <= set(quality.reasons)
        num_faces += 1
        num_refused += bool(quality.reasons)
    assert num_refused <= 0.10 * num_faces
