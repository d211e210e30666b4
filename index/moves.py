"""What crosses the border of this package when templates get another subject."""

from dataclasses import dataclass

from index.records import Subject, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatePage:
    """A part of a subject's templates, the oldest first.

    Attributes:
        templates: at most as many as were asked for.
        next_cursor: for the next page; None on the last one.
    """

    templates: tuple[Template, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedTemplates:
    """What a move did, or would do.

    Attributes:
        subject_id: whose the templates are now; of a dry run that would make a new subject, None.
        created: whether that subject is new.
        template_ids: of those that were moved, oldest first.
        similarities: of each to the nearest template that the subject had before; None where it
            had none.
        dropped_ids: of the subject's templates that went, because the gallery keeps no more of
            one subject (`index.rules`); moved ones may be among them.
        num_left: templates of the subject that they were taken from.
    """

    subject_id: str | None
    created: bool
    template_ids: tuple[str, ...]
    similarities: tuple[float | None, ...]
    dropped_ids: tuple[str, ...]
    num_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedSubjects:
    """What a merge did, or would do.

    Attributes:
        subject: that stays, as it is afterwards.
        merged_id: of the one that went.
        template_ids: of those that were moved, oldest first.
        similarity: of the two nearest templates of both; None where one had none.
        dropped_ids: as of a move.
        lost_name: of the one that went, where the other keeps its own.
        lost_external_id: likewise.
        num_look_alikes: declarations that were taken over.
    """

    subject: Subject
    merged_id: str
    template_ids: tuple[str, ...]
    similarity: float | None
    dropped_ids: tuple[str, ...]
    lost_name: str | None
    lost_external_id: str | None
    num_look_alikes: int
