"""The people of a gallery, and who of them look alike."""

from collections.abc import Mapping

from service import schemas
from service.calls.call import Call, delete, get, page, path_of, post
from service.people_calls import patch_json


def subjects(
    gallery: str,
    *,
    limit: int = 100,
    cursor: str | None = None,
    name: str | None = None,
    external_id: str | None = None,
) -> Call[schemas.SubjectsAnswer]:
    """A page of subjects, or the one who is called so."""
    path = path_of("galleries", gallery, "subjects")
    query = page(limit, cursor, name=name, external_id=external_id)
    return get(schemas.SubjectsAnswer, path, query)


def subject(gallery: str, subject_id: str) -> Call[schemas.SubjectAnswer]:
    """A subject with all that is kept besides the templates."""
    return get(schemas.SubjectAnswer, path_of("galleries", gallery, "subjects", subject_id))


def change_subject(
    gallery: str, subject_id: str, patch: Mapping[str, object], *, version: str | None = None
) -> Call[schemas.SubjectAnswer]:
    """Changes a subject by a merge patch (`docs/subjects.md`): None takes away.

    For one version it can be done once, and without one any number of times.

    Args:
        gallery: its name.
        subject_id: whose.
        patch: `name`, `external_id`, `metadata`, `purpose`, `consent_reference` and
            `expires_at` (aware), as far as they change.
        version: `SubjectAnswer.version` that the change is meant for; None for any.
    """
    return Call(
        answer_class=schemas.SubjectAnswer,
        method="PATCH",
        path=path_of("galleries", gallery, "subjects", subject_id),
        repeatable=version is None,
        body=patch_json(patch),
        headers={} if version is None else {"If-Match": f'"{version}"'},
    )


def remove_subject(gallery: str, subject_id: str) -> Call[schemas.ErasedAnswer]:
    """Removes a subject with its templates; the second time it is not found."""
    path = path_of("galleries", gallery, "subjects", subject_id)
    return delete(schemas.ErasedAnswer, path, repeatable=False)


def erasure(gallery: str, subject_id: str) -> Call[schemas.ReceiptAnswer]:
    """The receipt of a removed subject, final once all is purged."""
    path = path_of("galleries", gallery, "subjects", subject_id, "erasure")
    return get(schemas.ReceiptAnswer, path)


def merge_subjects(
    gallery: str, subject_id: str, *, into: str, dry_run: bool = False
) -> Call[schemas.MergeAnswer]:
    """Gives all that one subject has to another, and deletes the one.

    Args:
        gallery: its name.
        subject_id: who goes; the second time this one is not found.
        into: id of the one that stays.
        dry_run: change nothing.
    """
    path = path_of("galleries", gallery, "subjects", subject_id, "merge")
    body = {"into": into, "dry_run": dry_run}
    return post(schemas.MergeAnswer, path, body, repeatable=dry_run)


def look_alikes(
    gallery: str, *, limit: int = 100, cursor: str | None = None
) -> Call[schemas.LookAlikesAnswer]:
    """A page of declared pairs."""
    path = path_of("galleries", gallery, "look-alikes")
    return get(schemas.LookAlikesAnswer, path, page(limit, cursor))


def look_alikes_of(gallery: str, subject_id: str) -> Call[schemas.SubjectLookAlikesAnswer]:
    """The declared look-alikes of a subject."""
    path = path_of("galleries", gallery, "subjects", subject_id, "look-alikes")
    return get(schemas.SubjectLookAlikesAnswer, path)


def declare_look_alikes(gallery: str, one: str, other: str) -> Call[schemas.LookAlikeAnswer]:
    """Says that a photo may not tell two subjects apart; a second time changes nothing."""
    return Call(
        answer_class=schemas.LookAlikeAnswer,
        method="PUT",
        path=_pair_path(gallery, one, other),
        repeatable=False,
    )


def withdraw_look_alikes(gallery: str, one: str, other: str) -> Call[schemas.LookAlikeAnswer]:
    """Takes such a declaration back; a second time changes nothing, and says so."""
    return delete(schemas.LookAlikeAnswer, _pair_path(gallery, one, other), repeatable=False)


def _pair_path(gallery: str, one: str, other: str) -> str:
    return path_of("galleries", gallery, "subjects", one, "look-alikes", other)
