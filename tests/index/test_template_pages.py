"""The templates of a subject: in pages, and erased one by one."""

import pytest

from embedding.errors import (
    RequestInvalid,
    SubjectNotFound,
    TemplateNotFound,
)
from index.galleries import Galleries
from index.gallery import Gallery
from tests.index.moved import VECTORS, enroll, ids_of, named_as
from tests.index.samples import new_template


def test_one_template_is_erased_with_a_receipt(galleries: Galleries, gallery: Gallery) -> None:
    """Its subject stays; the receipt names both, and becomes final with the purge."""
    anna = enroll(gallery, 0, 1, name="Anna")
    first, second = ids_of(gallery, anna)
    erasure = gallery.erase_template(first)
    assert (erasure.subject_id, erasure.template_id) == (anna, first)
    assert (erasure.num_templates, erasure.final) == (1, False)
    assert gallery.template_erasure(first) == erasure
    assert named_as(gallery, 0) is None
    galleries.maintain()
    assert gallery.template_erasure(first).final
    gallery.remove_subject(anna)
    assert gallery.template_erasure(second).subject_id == anna
    for absent in ("absent", anna):
        with pytest.raises(TemplateNotFound):
            gallery.template_erasure(absent)
        with pytest.raises(TemplateNotFound):
            gallery.erase_template(absent)


def test_templates_come_in_pages(gallery: Gallery) -> None:
    """The pages together are all of them, the oldest first; a cursor holds for one subject."""
    anna = gallery.enroll([new_template(each) for each in VECTORS[:5]]).subject_id
    bert = enroll(gallery, 6, 7)
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = gallery.template_page(anna, limit=2, cursor=cursor)
        found += [each.id for each in page.templates]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert found == ids_of(gallery, anna)
    of_subjects = gallery.subjects(limit=1).next_cursor
    for wrong in (cursor, of_subjects, "forged"):
        with pytest.raises(RequestInvalid):
            gallery.template_page(bert, cursor=wrong)
    for limit in (0, 1001):
        with pytest.raises(RequestInvalid):
            gallery.template_page(anna, limit=limit)
    with pytest.raises(SubjectNotFound):
        gallery.template_page("absent")
