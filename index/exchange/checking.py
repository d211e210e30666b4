"""What an exchange file says is checked here, on the way out and on the way in.

Shapes: N rows, D embedding dimension.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

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
from index.exchange.rows import ExchangeHeader, ExchangeRow
from index.ids import ID_BYTES, NOBODY, check_id, id_bytes
from index.records import EMBEDDING_DIMENSION


def check_header(header: ExchangeHeader, *, fingerprint: str | None = None) -> None:
    """Pass a header.

    Args:
        header: of the file.
        fingerprint: of the model that the rows are wanted for; None for any.

    Raises:
        ModelMismatch: the file's embeddings are of another model.
        NameInvalid: the gallery's name cannot be one.
        RequestInvalid: the fingerprint is ill formed, or the time has no zone.
    """
    check_fingerprint(header.fingerprint)
    if header.gallery is not None:
        check_gallery_name(header.gallery)
    if header.exported_at is not None and header.exported_at.tzinfo is None:
        raise RequestInvalid("the time of an export must have a time zone")
    if fingerprint is not None and header.fingerprint != fingerprint:
        raise ModelMismatch(
            f"the file's embeddings are of model {header.fingerprint[:12]}, but model "
            f"{fingerprint[:12]} is wanted; embed the photos anew with it"
        )


class RowCheck:
    """Checks the rows of a file, each by itself and all together.

    It keeps 64 bytes a row, to find ids and names that are there twice.
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

    def add(self, rows: Sequence[ExchangeRow]) -> tuple[ExchangeRow, ...]:
        """Return the next rows as they are to be stored: names stripped and in form NFC.

        Raises:
            EmbeddingInvalid: an embedding is not float32, (D,), finite and of unit length.
            ModelMismatch: a row's fingerprint is not the header's.
            NameInvalid: a name, external id, face id or image id breaks the rules of `check_name`.
            RequestInvalid: an id is no UUID, a figure is out of range, a name has no subject.
        """
        if not rows:
            return ()
        self._check_embeddings(rows)
        checked = []
        for number, row in enumerate(rows, start=self._num):
            try:
                checked.append(self._checked(row))
            except (RequestInvalid, NameInvalid, ModelMismatch) as error:
                raise type(error)(f"row {number}: {error}") from error
        self._template_ids.append(b"".join(id_bytes(row.template_id) for row in checked))
        self._subjects.append(b"".join(map(_subject_bytes, checked)))
        self._num += len(checked)
        return tuple(checked)

    def finish(self) -> None:
        """Pass when all rows together make a gallery.

        Raises:
            RequestInvalid: a template id is there twice, a subject has two names or external ids,
                or two subjects have the same.
        """
        ids_N2 = _keys(b"".join(self._template_ids))
        _check_once(ids_N2, np.arange(len(ids_N2)), what="template id")
        keys_N6 = _keys(b"".join(self._subjects), width=6)
        rows_N = np.flatnonzero(keys_N6[:, :2].any(axis=1))
        order_N = rows_N[np.lexsort(keys_N6[rows_N, :2].T)]
        sorted_N6 = keys_N6[order_N]
        same_subject = (sorted_N6[1:, :2] == sorted_N6[:-1, :2]).all(axis=1)
        differs = same_subject & (sorted_N6[1:] != sorted_N6[:-1]).any(axis=1)
        if differs.any():
            place = int(np.argmax(differs))
            raise RequestInvalid(
                f"rows {min(order_N[place : place + 2])} and {max(order_N[place : place + 2])} "
                f"give one subject different names or external ids; give the same in all its rows"
            )
        first_of_each = order_N[np.concatenate(([True], ~same_subject))[: len(order_N)]]
        for what, columns in (("name", slice(2, 4)), ("external id", slice(4, 6))):
            given = first_of_each[keys_N6[first_of_each, columns].any(axis=1)]
            _check_once(keys_N6[given, columns], given, what=f"{what} of another subject")

    def _check_embeddings(self, rows: Sequence[ExchangeRow]) -> None:
        try:
            check_unit_vectors(
                np.stack([row.embedding for row in rows]), dimension=EMBEDDING_DIMENSION
            )
        except (EmbeddingInvalid, ValueError):
            # One by one, to tell the row.
            for number, row in enumerate(rows, start=self._num):
                try:
                    check_unit_vectors(
                        np.asarray(row.embedding)[np.newaxis], dimension=EMBEDDING_DIMENSION
                    )
                except EmbeddingInvalid as error:
                    raise EmbeddingInvalid(f"row {number}: {error}") from error
            raise

    def _checked(self, row: ExchangeRow) -> ExchangeRow:
        check_id(row.template_id, what="template id")
        if row.subject_id is not None:
            check_id(row.subject_id, what="subject id")
        elif row.name is not None or row.external_id is not None:
            raise RequestInvalid("a name or external id without a subject id")
        if row.fingerprint != self._header.fingerprint:
            raise ModelMismatch("the embedding is of another model than the file says")
        if row.created_at is not None and row.created_at.tzinfo is None:
            raise RequestInvalid("the time must have a time zone")
        check_figures(row)
        name = None if row.name is None else check_name(row.name)
        external_id = None if row.external_id is None else check_external_id(row.external_id)
        face_id = check_name(row.face_id, what="face id", max_length=255)
        image_id = check_name(row.image_id, what="image id", max_length=255)
        given = (row.name, row.external_id, row.face_id, row.image_id)
        if (name, external_id, face_id, image_id) == given:
            # A copy takes a third of the time of all checks, and texts are seldom changed.
            return row
        return replace(row, name=name, external_id=external_id, face_id=face_id, image_id=image_id)


def _check_once(keys_N2: NDArray[np.uint64], rows_N: NDArray[np.intp], *, what: str) -> None:
    order_N = np.lexsort(keys_N2.T)
    sorted_N2 = keys_N2[order_N]
    repeats = np.flatnonzero((sorted_N2[1:] == sorted_N2[:-1]).all(axis=1))
    if len(repeats):
        first, second = sorted(rows_N[order_N[repeats[0] : repeats[0] + 2]])
        raise RequestInvalid(f"row {second} has the {what} of row {first}; it must be there once")


def _keys(content: bytes, *, width: int = 2) -> NDArray[np.uint64]:
    return np.frombuffer(content, dtype=np.uint64).reshape(-1, width)


def _subject_bytes(row: ExchangeRow) -> bytes:
    subject = NOBODY if row.subject_id is None else id_bytes(row.subject_id)
    return subject + _text_bytes(row.name) + _text_bytes(row.external_id)


def _text_bytes(text: str | None) -> bytes:
    if text is None:
        return NOBODY
    return hashlib.blake2b(text.encode(), digest_size=ID_BYTES).digest()
