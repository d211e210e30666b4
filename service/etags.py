"""Entity tags of subjects (RFC 9110, 8.8.3): always strong, one for each version."""

import re
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Header, Request

from index.records import Subject

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag_of(subject: Subject) -> str:
    """The tag of a subject as it is."""
    return f'"{subject.version}"'


def _versions_asked(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="Only if the subject still has this `ETag`; else 412.",
            examples=['"9f86d081884c7d65-3"'],
        ),
    ] = None,
) -> frozenset[str] | None:
    """The versions of `If-Match`, of which the subject must have one; None for any.

    A tag that is weak, or none at all, fits no version.
    """
    given = request.headers.getlist("if-match")
    if not given or [each.strip() for each in given] == ["*"]:
        return None
    return frozenset(tag for weak, tag in _tags(given) if not weak)


def _versions_known(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="If-None-Match",
            description="304 without a body if the subject still has this `ETag`.",
            examples=['"9f86d081884c7d65-3"'],
        ),
    ] = None,
) -> frozenset[str] | None:
    """The versions of `If-None-Match`, which the caller has; None for every version."""
    given = request.headers.getlist("if-none-match")
    if [each.strip() for each in given] == ["*"]:
        return None
    return frozenset(tag for _weak, tag in _tags(given))


def _tags(given: list[str]) -> Iterator[tuple[bool, str]]:
    for found in _TAG.finditer(",".join(given)):
        yield found[1] is not None, found[2]


IfMatch = Annotated[frozenset[str] | None, Depends(_versions_asked)]
IfNoneMatch = Annotated[frozenset[str] | None, Depends(_versions_known)]
