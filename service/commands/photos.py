"""Photos on disk: which to take, and reading them within limits."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from embedding.detect import Box
from embedding.errors import (
    FaceError,
    FaceGalleryError,
    FaceQualityTooLow,
    NameInvalid,
    PhotoError,
    PhotoTooLarge,
    PhotoUnreadable,
    RequestInvalid,
)

AnyChoice = TypeVar("AnyChoice", bound=str)

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

OF_ONE_PHOTO = (PhotoError, FaceError, NameInvalid)
"""Errors that are about one photo: the others go on."""

MAX_FILE_BYTES = 1024 * 1024 * 1024
"""The service has the real limit; this one only keeps a disk image out of memory."""


class Failure(BaseModel):
    """Why a photo was not taken."""

    code: str
    detail: str
    reasons: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonPhoto:
    """A photo and whom it shows."""

    subject: str
    path: Path


def photos_of_people(folder: Path, *, subject: str | None) -> tuple[PersonPhoto, ...]:
    """The photos of a folder: of one person, or of one person a subfolder.

    Raises:
        RequestInvalid: nothing there; says what is expected.
    """
    if subject is not None:
        paths = [folder] if folder.is_file() else _photos_in(folder)
        found = [PersonPhoto(subject=subject, path=path) for path in paths]
    elif folder.is_dir():
        found = [
            PersonPhoto(subject=person.name, path=path)
            for person in sorted(folder.iterdir())
            if person.is_dir()
            for path in _photos_in(person)
        ]
    else:
        found = []
    if not found:
        raise RequestInvalid(
            f"no photos in {folder}: expected one subfolder a person with .jpg, .jpeg, .png or "
            ".webp files, or such files and --subject NAME"
        )
    return tuple(found)


def shown(name: Path | str) -> str:
    """The name of a file or folder as text that can be printed, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "replace")


def read_photo(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        PhotoUnreadable: it cannot be read.
        PhotoTooLarge: far too large for a photo.
    """
    try:
        num_bytes = path.stat().st_size
        if num_bytes > MAX_FILE_BYTES:
            raise PhotoTooLarge(f"the file has {num_bytes} bytes, which no photo has")
        return path.read_bytes()
    except OSError as error:
        raise PhotoUnreadable(f"the file cannot be read: {error.strerror}") from error


def failure_of(error: FaceGalleryError) -> Failure:
    """What the table and the JSON say of a photo that was not taken."""
    reasons = list(error.reasons) if isinstance(error, FaceQualityTooLow) else []
    return Failure(code=error.code, detail=str(error), reasons=reasons)


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Four numbers from ``left,top,right,bottom``.

    Raises:
        RequestInvalid: not four numbers.
    """
    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError as error:
        raise RequestInvalid(f"a box is left,top,right,bottom in pixels, got {text!r}") from error
    return left, top, right, bottom


def box_or(face: AnyChoice, box: str | None) -> AnyChoice | Box:
    """The box that an option gives, or else the choice.

    Raises:
        RequestInvalid: not four numbers.
    """
    if box is None:
        return face
    left, top, right, bottom = parse_box(box)
    return Box(left=left, top=top, right=right, bottom=bottom)


def _photos_in(folder: Path) -> Sequence[Path]:
    files: Iterable[Path] = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in files if path.suffix.lower() in SUFFIXES and path.is_file())
