"""What an exchange file says is checked here, on the way out and on the way in.

Shapes: N rows, D embedding dimension.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid, ModelMismatch, NameInvalid, RequestInvalid
from index.checks import (
    check_external_id,
    check_figures,
    check_fingerprint,
    check_gallery_name,
    check_name,
    check_unit_vectors,
)
from index.details import (
    NO_DETAILS,
    DetailChange,
    Details,
    check_details,
    given_metadata,
    metadata_text,
)
from index.exchange.rows import ExchangeColumns, ExchangeHeader
from index.ids import ID_BYTES, NOBODY, check_id, id_bytes
from index.records import EMBEDDING_DIMENSION
from index.times import to_microseconds

_Made = TypeVar("_Made")
_Nothing = TypeVar("_Nothing")

MAX_PAIRS = 100_000
"""Of look-alikes, and of merged subjects: 8 MB each of the footer, which is read as a whole."""

_check_face_id = partial(check_name, what="face id", max_length=255)
_check_image_id = partial(check_name, what="image id", max_length=255)


def check_header(header: ExchangeHeader, *, fingerprint: str | None = None) -> None:
    """Pass a header.

    Args:
        header: of the file.
        fingerprint: of the model that the rows are wanted for; None for any.

    Raises:
        ModelMismatch: the file's embeddings are of another model.
        NameInvalid: the gallery's name cannot be one.
        RequestInvalid: the fingerprint is ill formed, the time has no zone, or a look-alike or
            merged subject is no subject's id.
    """
    check_fingerprint(header.fingerprint)
    if header.gallery is not None:
        check_gallery_name(header.gallery)
    if header.exported_at is not None and header.exported_at.tzinfo is None:
        raise RequestInvalid("the time of an export must have a time zone")
    _check_pairs(header.look_alikes, what="look-alike")
    _check_pairs(header.merged, what="merged subject")
    if len({gone for gone, _ in header.merged}) < len(header.merged):
        raise RequestInvalid("a merged subject is there twice; it lives on in one other")
    if fingerprint is not None and header.fingerprint != fingerprint:
        raise ModelMismatch(
            f"the file's embeddings are of model {header.fingerprint[:12]}, but model "
            f"{fingerprint[:12]} is wanted; embed the photos anew with it"
        )


def _check_pairs(pairs: Sequence[tuple[str, str]], *, what: str) -> None:
    if len(pairs) > MAX_PAIRS:
        raise RequestInvalid(f"a file holds at most {MAX_PAIRS} pairs of {what}s")
    for one, other in pairs:
        check_id(one, what=what)
        check_id(other, what=what)
        if one == other:
            raise RequestInvalid(f"a subject cannot be its own {what}; give pairs of two")


class RowCheck:
    """Checks the rows of a file, each by itself and all together.

    It keeps 80 bytes a row, to find ids and names that are there twice.
    """

    def __init__(self, header: ExchangeHeader) -> None:
        self._header = header
        self._num = 0
        self._template_ids: list[bytes] = []
        self._subjects: list[bytes] = []

    @property
    def num_rows(self) -> int:
        """How many rows were checked."""
        return self._num

    def add(self, columns: ExchangeColumns) -> ExchangeColumns:
        """Return the next rows as they are to be stored: names stripped and in form NFC.

        Raises:
            EmbeddingInvalid: an embedding is not float32, (D,), finite and of unit length.
            ModelMismatch: a row's fingerprint is not the header's.
            NameInvalid: a name, external id, face id or image id breaks the rules of `check_name`.
            RequestInvalid: an id is no UUID, a figure is out of range, a name has no subject.
        """
        embeddings_ND = self._embeddings(columns)
        template_ids = self._each(columns.template_id, _template_key)
        subject_ids = self._each(columns.subject_id, _subject_key)
        self._check_rows(columns)
        names = self._each(columns.name, check_name)
        external_ids = self._each(columns.external_id, check_external_id)
        face_ids = self._each(columns.face_id, _check_face_id)
        image_ids = self._each(columns.image_id, _check_image_id)
        details = self._details(columns)
        checked = replace(
            columns,
            embedding=embeddings_ND,
            name=_all_of(columns.name, names, nothing=None),
            external_id=_all_of(columns.external_id, external_ids, nothing=None),
            face_id=[face_ids[each] for each in columns.face_id],
            image_id=[image_ids[each] for each in columns.image_id],
            metadata=[metadata_text(each.metadata) for each in details],
            purpose=[each.purpose for each in details],
            consent=[each.consent for each in details],
            expires_at=[each.expires_at for each in details],
        )
        self._template_ids.append(b"".join([template_ids[each] for each in columns.template_id]))
        subjects = zip(
            _all_of(columns.subject_id, subject_ids, nothing=NOBODY),
            map(_text_key, checked.name),
            map(_text_key, checked.external_id),
            map(_details_key, details),
            strict=True,
        )
        self._subjects.append(b"".join(chain.from_iterable(subjects)))
        self._num += len(columns)
        return checked

    def finish(self) -> None:
        """Pass when all rows together make a gallery.

        Raises:
            RequestInvalid: a template id is there twice, a subject has two names, external ids or
                details, or two subjects have the same name or external id.
        """
        ids_N2 = _keys(b"".join(self._template_ids))
        _check_once(ids_N2, np.arange(len(ids_N2)), what="template id")
        keys_N8 = _keys(b"".join(self._subjects), width=8)
        rows_N = np.flatnonzero(keys_N8[:, :2].any(axis=1))
        order_N = rows_N[np.lexsort(keys_N8[rows_N, :2].T)]
        sorted_N8 = keys_N8[order_N]
        same_subject = (sorted_N8[1:, :2] == sorted_N8[:-1, :2]).all(axis=1)
        differs = same_subject & (sorted_N8[1:] != sorted_N8[:-1]).any(axis=1)
        if differs.any():
            place = int(np.argmax(differs))
            raise RequestInvalid(
                f"rows {min(order_N[place : place + 2])} and {max(order_N[place : place + 2])} "
                f"give one subject different names, external ids or details; give the same in all "
                f"its rows"
            )
        first_of_each = order_N[np.concatenate(([True], ~same_subject))[: len(order_N)]]
        for what, columns in (("name", slice(2, 4)), ("external id", slice(4, 6))):
            given = first_of_each[keys_N8[first_of_each, columns].any(axis=1)]
            _check_once(keys_N8[given, columns], given, what=f"{what} of another subject")

    def _details(self, columns: ExchangeColumns) -> list[Details]:
        """What is kept of each row's subject, once for those that come again."""
        made: dict[tuple[object, ...], Details] = {(None,) * 4: NO_DETAILS}
        found = []
        given = zip(
            columns.metadata, columns.purpose, columns.consent, columns.expires_at, strict=True
        )
        for number, (owner, one) in enumerate(
            zip(columns.subject_id, given, strict=True), start=self._num
        ):
            if one not in made:
                try:
                    made[one] = _checked_details(*one)
                except RequestInvalid as error:
                    raise RequestInvalid(f"row {number}: {error}") from error
            if owner is None and not made[one].empty:
                raise RequestInvalid(f"row {number}: details of a person without a subject id")
            found.append(made[one])
        return found

    def _embeddings(self, columns: ExchangeColumns) -> NDArray[np.float32]:
        try:
            embeddings_ND = np.asarray(columns.embedding)
            check_unit_vectors(embeddings_ND, dimension=EMBEDDING_DIMENSION)
        except (EmbeddingInvalid, ValueError):
            # One by one, to tell the row.
            for number, embedding in enumerate(columns.embedding, start=self._num):
                try:
                    check_unit_vectors(
                        np.asarray(embedding)[np.newaxis], dimension=EMBEDDING_DIMENSION
                    )
                except EmbeddingInvalid as error:
                    raise EmbeddingInvalid(f"row {number}: {error}") from error
            raise
        return embeddings_ND

    def _each(
        self, values: Sequence[str | None], check: Callable[[str], _Made]
    ) -> dict[str, _Made]:
        """What a check makes of each text, once for those that come again."""
        made: dict[str, _Made] = {}
        for place, value in enumerate(values):
            if value is not None and value not in made:
                try:
                    made[value] = check(value)
                except (RequestInvalid, NameInvalid) as error:
                    raise type(error)(f"row {self._num + place}: {error}") from error
        return made

    def _check_rows(self, columns: ExchangeColumns) -> None:
        """Pass what belongs together in a row, and its figures."""
        for number, (subject_id, name, external_id, fingerprint, at) in enumerate(
            zip(
                columns.subject_id,
                columns.name,
                columns.external_id,
                columns.fingerprint,
                columns.created_at,
                strict=True,
            ),
            start=self._num,
        ):
            if subject_id is None and (name is not None or external_id is not None):
                raise RequestInvalid(f"row {number}: a name or external id without a subject id")
            if fingerprint != self._header.fingerprint:
                raise ModelMismatch(
                    f"row {number}: the embedding is of another model than the file says"
                )
            if at is not None and at.tzinfo is None:
                raise RequestInvalid(f"row {number}: the time must have a time zone")
        if not figures_in_order(columns):
            for number, row in enumerate(columns.rows(), start=self._num):
                try:
                    check_figures(row)
                except RequestInvalid as error:
                    raise RequestInvalid(f"row {number}: {error}") from error


def figures_in_order(columns: ExchangeColumns) -> bool:
    """Return whether `check_figures` passes all rows; it says what is wrong where it does not."""
    try:
        scores_2N = np.array([columns.confidence, columns.quality], dtype=np.float64)
        norms_N = np.array(columns.norm, dtype=np.float64)
        boxes_N4 = np.array(columns.box, dtype=np.float64)
        sizes_N2 = np.array(columns.photo_size, dtype=np.float64)
        landmarks_N52 = np.asarray(columns.landmarks)
        figures = (norms_N, boxes_N4, landmarks_N52)
        num = len(columns)
        return bool(
            (boxes_N4.shape, sizes_N2.shape, landmarks_N52.shape)
            == ((num, 4), (num, 2), (num, 5, 2))
            and all(np.isfinite(each).all() for each in figures)
            and (norms_N > 0).all()
            and ((scores_2N >= 0) & (scores_2N <= 1)).all()
            and (boxes_N4[:, :2] <= boxes_N4[:, 2:]).all()
            and (sizes_N2 >= 1).all()
        )
    except ValueError:
        # Rows of different lengths.
        return False


def _check_once(keys_N2: NDArray[np.uint64], rows_N: NDArray[np.intp], *, what: str) -> None:
    order_N = np.lexsort(keys_N2.T)
    sorted_N2 = keys_N2[order_N]
    repeats = np.flatnonzero((sorted_N2[1:] == sorted_N2[:-1]).all(axis=1))
    if len(repeats):
        first, second = sorted(rows_N[order_N[repeats[0] : repeats[0] + 2]])
        raise RequestInvalid(f"row {second} has the {what} of row {first}; it must be there once")


def _keys(content: bytes, *, width: int = 2) -> NDArray[np.uint64]:
    return np.frombuffer(content, dtype=np.uint64).reshape(-1, width)


def _all_of(
    values: Sequence[str | None], made: Mapping[str, _Made], *, nothing: _Nothing
) -> list[_Made | _Nothing]:
    return [nothing if each is None else made[each] for each in values]


def _template_key(text: str) -> bytes:
    check_id(text, what="template id")
    return id_bytes(text)


def _subject_key(text: str) -> bytes:
    check_id(text, what="subject id")
    return id_bytes(text)


def _checked_details(
    metadata: str | None, purpose: str | None, consent: str | None, expires_at: datetime | None
) -> Details:
    change = DetailChange(
        metadata=None if metadata is None else given_metadata(metadata),
        purpose=purpose,
        consent=consent,
        expires_at=expires_at,
    )
    return check_details(change).applied_to(NO_DETAILS)


def _details_key(details: Details) -> bytes:
    if details.empty:
        return NOBODY
    at = None if details.expires_at is None else to_microseconds(details.expires_at)
    values = (metadata_text(details.metadata), details.purpose, details.consent, at)
    return _text_key(json.dumps(values))


def _text_key(text: str | None) -> bytes:
    if text is None:
        return NOBODY
    return hashlib.blake2b(text.encode(), digest_size=ID_BYTES).digest()
