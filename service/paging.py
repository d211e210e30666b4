"""How a page of a list is asked for."""

from typing import Annotated

from fastapi import Query

from index.checks import MAX_PAGE

PageLimit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="At most so many on the page.")]

PageCursor = Annotated[
    str | None,
    Query(max_length=1000, description="`next_cursor` of the page before, asked likewise."),
]
