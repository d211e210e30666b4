"""Who is enrolled, who is searched for, and who is a stranger, in a set of identities.

Shape legend: B images, I identities, S subjects, T templates of a subject, R searches.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid

MIN_SUBJECTS = 2
NOBODY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSet:
    """The parts that identities and their images play.

    A person is a subject (0 to S - 1) or, from S on, an identity that is nobody's: people are
    what a bootstrap draws as wholes.

    Attributes:
        subjects_S: identity of each subject.
        templates_ST: images that are enrolled.
        probes_R: image of each search.
        own_R: the searcher's subject, `NOBODY` for one who is not enrolled.
        person_R: who searches.
        is_mated_R: whether the search counts as one of an enrolled person.
        is_stranger_R: whether it counts as one of a stranger: the own subject is then left out
            of the gallery.
        num_stranger_people: people with strangers' searches.
        protocol: all this in words.
    """

    subjects_S: NDArray[np.int64]
    templates_ST: NDArray[np.int64]
    probes_R: NDArray[np.int64]
    own_R: NDArray[np.int64]
    person_R: NDArray[np.int64]
    is_mated_R: NDArray[np.bool_]
    is_stranger_R: NDArray[np.bool_]
    num_stranger_people: int
    protocol: str

    @property
    def num_subjects(self) -> int:
        """S, the gallery's size."""
        return len(self.subjects_S)


def check_protocol(num_templates: int, stranger_max_images: int) -> None:
    """Refuses numbers of images that would make one person enrolled and a stranger.

    Raises:
        DataInvalid: fewer than one, or strangers with more images than templates.
    """
    if num_templates < 1:
        raise DataInvalid(f"--templates is {num_templates}; it must be at least 1")
    if not 1 <= stranger_max_images <= num_templates:
        raise DataInvalid(
            f"--strangers-up-to is {stranger_max_images}; it must be from 1 to the number of "
            f"templates, {num_templates}: who has more images is enrolled"
        )


def plan_open_set(
    labels_B: NDArray[np.int64],
    *,
    num_templates: int,
    stranger_max_images: int,
    name: str,
) -> OpenSet:
    """Gives each image its part.

    Identities with more images than templates are enrolled with their first ones, and searched
    for with the rest. Identities with at most `stranger_max_images` are strangers. Where there
    are none of these, every image of the enrolled searches once more, as a stranger, in the
    gallery of everybody else.

    Args:
        labels_B: identity of each image, rising.
        num_templates: T, images that are enrolled.
        stranger_max_images: at most as many as templates.
        name: of the set, for a message.

    Raises:
        DataInvalid: fewer than two identities, or fewer than two with enough images.
    """
    check_protocol(num_templates, stranger_max_images)
    first_I = np.flatnonzero(np.append(True, labels_B[1:] != labels_B[:-1])[: len(labels_B)])
    counts_I = np.diff(np.append(first_I, len(labels_B)))
    subjects_S = np.flatnonzero(counts_I > num_templates)
    if len(subjects_S) < MIN_SUBJECTS:
        raise DataInvalid(
            f"{name} has {len(counts_I)} identities, {len(subjects_S)} of them with at least "
            f"{num_templates + 1} images; searching needs at least {MIN_SUBJECTS} such people "
            f"({num_templates} images to enroll and one to search with): add people or images, "
            "or enroll fewer with --templates"
        )
    templates_ST = first_I[subjects_S][:, None] + np.arange(num_templates)
    strangers = np.flatnonzero(counts_I <= stranger_max_images)
    identity_B = np.repeat(np.arange(len(counts_I)), counts_I)
    subject_I = np.full(len(counts_I), NOBODY)
    subject_I[subjects_S] = np.arange(len(subjects_S))
    is_template_B = np.zeros(len(labels_B), bool)
    is_template_B[templates_ST.ravel()] = True
    is_subject_B = subject_I[identity_B] != NOBODY
    if not len(strangers):
        probes_R = np.flatnonzero(is_subject_B)
        own_R = person_R = subject_I[identity_B[probes_R]]
        is_stranger_R = np.ones(len(probes_R), bool)
    else:
        person_I = subject_I.copy()
        person_I[strangers] = len(subjects_S) + np.arange(len(strangers))
        person_B = person_I[identity_B]
        probes_R = np.flatnonzero((person_B != NOBODY) & ~is_template_B)
        own_R, person_R = subject_I[identity_B[probes_R]], person_B[probes_R]
        is_stranger_R = own_R == NOBODY
    is_mated_R = (own_R != NOBODY) & ~is_template_B[probes_R]
    return OpenSet(
        subjects_S=subjects_S,
        templates_ST=templates_ST,
        probes_R=probes_R,
        own_R=own_R,
        person_R=person_R,
        is_mated_R=is_mated_R,
        is_stranger_R=is_stranger_R,
        num_stranger_people=len(strangers) or len(subjects_S),
        protocol=_in_words(
            num_subjects=len(subjects_S),
            num_templates=num_templates,
            num_mated=int(is_mated_R.sum()),
            num_searches=int(is_stranger_R.sum()),
            num_strangers=len(strangers),
            stranger_max_images=stranger_max_images,
            num_unused=len(counts_I) - len(subjects_S) - len(strangers),
        ),
    )


def _in_words(
    *,
    num_subjects: int,
    num_templates: int,
    num_mated: int,
    num_searches: int,
    num_strangers: int,
    stranger_max_images: int,
    num_unused: int,
) -> str:
    """The protocol as one sentence."""
    templates = "image" if num_templates == 1 else f"{num_templates} images"
    enrolled = (
        f"{num_subjects:,} people with at least {num_templates + 1} images are enrolled with "
        f"their first {templates} and searched for with their other {num_mated:,} (mated)"
    )
    if not num_strangers:
        return (
            f"{enrolled}; there are no people with at most {stranger_max_images} images to serve "
            f"as strangers, so each of the {num_searches:,} images of the enrolled also searches "
            "the gallery of everybody else (leave one out)"
        )
    at_most = (
        "exactly one image"
        if stranger_max_images == 1
        else (f"at most {stranger_max_images} images")
    )
    unused = (
        f"; {num_unused:,} people with a number of images between these take no part"
        if num_unused
        else ""
    )
    return (
        f"{enrolled}; {num_strangers:,} people with {at_most} are strangers and search with "
        f"{num_searches:,}{unused}"
    )
