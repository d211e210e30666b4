"""Galleries: made, changed, calibrated, moved as files, and deleted."""

from collections.abc import Sequence

from service import schemas
from service.calls.call import Call, delete, get, numbers, page, path_of, post


def galleries(*, limit: int = 100, cursor: str | None = None) -> Call[schemas.GalleriesAnswer]:
    """A page of the galleries that the key reaches, by name; ``limit`` is 1 to 1000."""
    return get(schemas.GalleriesAnswer, path_of("galleries"), page(limit, cursor))


def create_gallery(
    name: str, *, model: str | None = None, space: bool = False
) -> Call[schemas.GalleryAnswer]:
    """A new, empty gallery; the second time it exists.

    Args:
        name: 1 to 255 of ``A-Z a-z 0-9 . _ -``.
        model: name or fingerprint; the default one if None. It is kept for good.
        space: keep its vectors in a secret space of their own, which needs sealing.
    """
    body = {"name": name, "model": model, "space": space}
    return post(schemas.GalleryAnswer, path_of("galleries"), body, repeatable=False)


def gallery(name: str) -> Call[schemas.GalleryDetailsAnswer]:
    """A gallery with its rules, thresholds and calibration."""
    return get(schemas.GalleryDetailsAnswer, path_of("galleries", name))


def change_gallery(
    name: str,
    *,
    new_name: str | None = None,
    fusion: str | None = None,
    max_templates: int | None = None,
    smallest_lead: float | None = None,
) -> Call[schemas.GalleryDetailsAnswer]:
    """Renames a gallery, or says how it decides; what is None stays.

    Args:
        name: of the gallery.
        new_name: by itself, without the others; the old one is not found any more.
        fusion: how the templates of a subject become one similarity.
        max_templates: so many of a subject stay; 0 for any number.
        smallest_lead: of a match over the second candidate.
    """
    body = {"name": new_name, "fusion": fusion, "smallest_lead": smallest_lead}
    body = {field: value for field, value in body.items() if value is not None}
    if max_templates is not None:
        body["max_templates"] = max_templates or None
    return Call(
        answer_class=schemas.GalleryDetailsAnswer,
        method="PATCH",
        path=path_of("galleries", name),
        repeatable=new_name is None,
        body=body,
    )


def delete_gallery(name: str) -> Call[schemas.ErasedAnswer]:
    """Deletes a gallery with all its subjects; the second time it is not found."""
    return delete(schemas.ErasedAnswer, path_of("galleries", name), repeatable=False)


def gallery_erasure(name: str) -> Call[schemas.ReceiptAnswer]:
    """The receipt of the gallery of this name that was deleted last."""
    return get(schemas.ReceiptAnswer, path_of("galleries", name, "erasure"))


def calibrate(
    gallery: str, *, fpirs: Sequence[float] = (), max_probes: int | None = None
) -> Call[schemas.GalleryThresholdAnswer]:
    """Measures a gallery's thresholds on itself, and keeps them; twice takes twice as long.

    Args:
        gallery: its name.
        fpirs: wanted rates beside those in use.
        max_probes: searches of the gallery by itself at most; as many as usual if None.
    """
    probes = {} if max_probes is None else {"max_probes": max_probes}
    return post(
        schemas.GalleryThresholdAnswer,
        path_of("galleries", gallery, "calibrate"),
        {"fpirs": list(fpirs), **probes},
        repeatable=False,
    )


def threshold(gallery: str, *, fpir: float | None = None) -> Call[schemas.GalleryThresholdAnswer]:
    """The threshold for a wanted FPIR, or the one in use, and what it rests on."""
    path = path_of("galleries", gallery, "threshold")
    return get(schemas.GalleryThresholdAnswer, path, numbers(fpir=fpir))


def export_path(gallery: str) -> str:
    """Where a gallery's file is fetched; it is no answer that lies in memory."""
    return path_of("galleries", gallery, "export")


def import_gallery(gallery: str, content: bytes) -> Call[schemas.ImportAnswer]:
    """Writes a gallery's file into a gallery, all or nothing; twice all of it is there already."""
    return Call(
        answer_class=schemas.ImportAnswer,
        method="POST",
        path=path_of("galleries", gallery, "import"),
        repeatable=False,
        headers={"Content-Type": "application/vnd.apache.parquet"},
        content=content,
    )
