"""A few people of synthetic vectors, for the tests of moves and merges."""

from index.gallery import Gallery
from tests.index.samples import identify, new_template, unit_vectors

VECTORS = unit_vectors(12)


def enroll(gallery: Gallery, *numbers: int, name: str | None = None) -> str:
    """Enroll vectors by their numbers as one subject; returns its id."""
    new = [new_template(VECTORS[number]) for number in numbers]
    return gallery.enroll(new, name=name).subject_id


def ids_of(gallery: Gallery, subject_id: str) -> list[str]:
    """The ids of a subject's templates."""
    return [each.id for each in gallery.templates(subject_id)]


def named_as(gallery: Gallery, number: int) -> str | None:
    """The id of whoever a vector is named as."""
    subject = identify(gallery, VECTORS[number]).subject
    return None if subject is None else subject.id


def counts(gallery: Gallery) -> tuple[int, int]:
    """Subjects and templates, as this process knows."""
    return gallery.num_subjects, gallery.num_templates
