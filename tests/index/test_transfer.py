"""Galleries as streams and from memory, on each kind of database."""

import numpy as np
import pytest

from embedding.errors import GalleryNotFound, ModelMismatch, RequestInvalid
from index.galleries import Galleries
from index.gallery import Gallery
from index.transfer import export_stream, import_into
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_NUM = 5000
"""More than two pages and than a row group."""


def _fill(gallery: Gallery) -> np.ndarray:
    vectors_ND = unit_vectors(_NUM)
    gallery.enroll([new_template(each) for each in vectors_ND], name="Ann")
    return vectors_ND


def test_a_gallery_comes_back_as_it_was(galleries: Galleries, gallery: Gallery) -> None:
    """Every template, under its id, found in the very next search; twice changes nothing."""
    vectors_ND = _fill(gallery)
    subject = gallery.find_subject(name="Ann")
    assert subject is not None
    before = [each.id for each in gallery.templates(subject.id)]
    content = b"".join(export_stream(galleries, "people"))
    galleries.delete("people")
    again = galleries.create("people", fingerprint=FINGERPRINT)
    assert import_into(galleries, "people", content).imported.num_templates == _NUM
    assert sorted(each.id for each in again.templates(subject.id)) == sorted(before)
    assert (again.num_templates, again.num_subjects) == (_NUM, 1)
    for number in (0, 1999, 2000, 4096, _NUM - 1):
        assert identify(again, vectors_ND[number]).similarity == pytest.approx(1.0, abs=1e-5)
    assert import_into(galleries, "people", content).imported.num_present == _NUM


def test_who_is_enrolled_meanwhile_is_not_in_it(galleries: Galleries, gallery: Gallery) -> None:
    """The file ends with the newest template of its beginning; other changes are not held up."""
    _fill(gallery)
    parts = export_stream(galleries, "people")
    content = next(parts)
    late = gallery.enroll([new_template(unit_vectors(1, seed=9)[0])], name="Late")
    content += b"".join(parts)
    gallery.remove_subject(late.subject_id)
    done = import_into(galleries, "people", content).imported
    assert (done.num_present, done.num_templates) == (_NUM, 0)


def test_what_does_not_fit_changes_nothing(galleries: Galleries, gallery: Gallery) -> None:
    """No such gallery, another model, ids of another gallery, half a file."""
    _fill(gallery)
    content = b"".join(export_stream(galleries, "people"))
    other = galleries.create("other", fingerprint=FINGERPRINT)
    foreign = galleries.create("foreign", fingerprint="b" * 64)
    with pytest.raises(GalleryNotFound):
        import_into(galleries, "absent", content)
    with pytest.raises(ModelMismatch):
        import_into(galleries, "foreign", content)
    with pytest.raises(RequestInvalid, match="another gallery"):
        import_into(galleries, "other", content)
    with pytest.raises(RequestInvalid, match="the file cannot be read"):
        import_into(galleries, "other", content[: len(content) // 2])
    assert (other.num_templates, foreign.num_templates) == (0, 0)
    assert gallery.num_templates == _NUM
