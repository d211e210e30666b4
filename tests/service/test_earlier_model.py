"""A gallery outlives a change of the shipped default model."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from embedding.errors import ModelMismatch
from embedding.model import default_model, shipped_models
from index.galleries import Galleries
from service.choosing import SubjectChoice
from service.embedders import Embedders
from service.recognizer import Recognizer
from service.settings import Settings

EARLIER = [name for name in shipped_models() if name != default_model()]


def recognizer(galleries: Galleries, settings: Settings) -> Recognizer:
    """A recognizer as the service makes it."""
    return Recognizer(
        galleries, Embedders(settings), settings=settings, secret=galleries.secret("service")
    )


@pytest.mark.parametrize("name", EARLIER)
def test_a_gallery_of_an_earlier_model_goes_on_with_it(
    name: str, tmp_path: Path, sample_photos: Mapping[str, Path]
) -> None:
    """Made when another model was the default, it still knows its people, by that model alone."""
    photo = sample_photos["astronaut"].read_bytes()
    then = Settings(data_folder=tmp_path, model=name)
    with Galleries.open(tmp_path) as galleries:
        fingerprint = Embedders(then).named().fingerprint
        galleries.create("old", fingerprint=fingerprint)
        recognizer(galleries, then).enroll(
            [photo], gallery="old", subject=SubjectChoice(name="one"), face="largest"
        )
    now = Settings(data_folder=tmp_path)
    with Galleries.open(tmp_path) as galleries:
        answer = recognizer(galleries, now).identify(photo, gallery="old").answers[0]
        assert (answer.decision, answer.candidates[0].subject.name) == ("match", "one")
        newer = Embedders(now).named()
        assert newer.fingerprint != fingerprint
        galleries.create("new", fingerprint=newer.fingerprint)
        vector = newer.analyze(photo).faces[0].embedding
        with pytest.raises(ModelMismatch):
            galleries.get("old").identify(
                vector,
                fingerprint=newer.fingerprint,
                match_threshold=0.5,
                review_threshold=0.4,
            )


def test_an_earlier_model_is_shipped() -> None:
    """The test above has something to test."""
    assert EARLIER
