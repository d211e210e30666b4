"""Templates: looked at, given to other people, and removed."""

from collections.abc import Sequence

from service import schemas
from service.calls.call import Call, delete, get, page, path_of, post


def templates(
    gallery: str, subject_id: str, *, limit: int = 100, cursor: str | None = None
) -> Call[schemas.TemplatesAnswer]:
    """A page of a subject's templates, the oldest first."""
    path = path_of("galleries", gallery, "subjects", subject_id, "templates")
    return get(schemas.TemplatesAnswer, path, page(limit, cursor))


def template(
    gallery: str, template_id: str, *, embedding: bool = False
) -> Call[schemas.TemplateAnswer]:
    """A template; with its vector where key and settings allow it."""
    path = path_of("galleries", gallery, "templates", template_id)
    return get(schemas.TemplateAnswer, path, {"embedding": "true"} if embedding else None)


def template_crop(gallery: str, template_id: str) -> Call[schemas.CropAnswer]:
    """The face that a template was made of, where the service keeps crops."""
    return get(schemas.CropAnswer, path_of("galleries", gallery, "templates", template_id, "crop"))


def remove_template(gallery: str, template_id: str) -> Call[schemas.ErasedTemplateAnswer]:
    """Removes one template; its subject stays. The second time it is not found."""
    path = path_of("galleries", gallery, "templates", template_id)
    return delete(schemas.ErasedTemplateAnswer, path, repeatable=False)


def template_erasure(gallery: str, template_id: str) -> Call[schemas.ReceiptAnswer]:
    """The receipt of a removed template, final once it is purged."""
    path = path_of("galleries", gallery, "templates", template_id, "erasure")
    return get(schemas.ReceiptAnswer, path)


def move_templates(
    gallery: str,
    subject_id: str,
    template_ids: Sequence[str],
    *,
    to_subject_id: str | None = None,
    to_name: str | None = None,
    to_external_id: str | None = None,
    dry_run: bool = False,
) -> Call[schemas.MoveAnswer]:
    """Gives templates of one subject to another, all or none.

    Args:
        gallery: its name.
        subject_id: whose they are; the second time they are not this one's.
        template_ids: of this subject.
        to_subject_id: who gets them; excludes the other two.
        to_name: or the name; found or created.
        to_external_id: or the caller's own id; found or created.
        dry_run: change nothing.
    """
    return post(
        schemas.MoveAnswer,
        path_of("galleries", gallery, "subjects", subject_id, "templates", "move"),
        {
            "templates": list(template_ids),
            "to_subject_id": to_subject_id,
            "to_name": to_name,
            "to_external_id": to_external_id,
            "dry_run": dry_run,
        },
        repeatable=dry_run,
    )
