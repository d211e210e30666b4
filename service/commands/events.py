"""``facegallery events`` and ``facegallery reviews``."""

from itertools import islice
from typing import Annotated

import typer

from index.checks import MAX_PAGE
from index.events import ReviewState, Verdict
from service import schemas
from service.commands.asking import all_pages, client_for
from service.commands.options import (
    EXIT_CODES,
    AnyGalleryOption,
    DataFolderOption,
    JsonOption,
    KeyOption,
)
from service.commands.printing import add_row, new_table, print_json, print_line, print_table

events_app = typer.Typer(no_args_is_help=True, help="What was decided, as doors and desks hear.")
reviews_app = typer.Typer(no_args_is_help=True, help="Faces that a person should look at.")


@events_app.callback()
def _events() -> None:
    """A group, also while it has one command."""


@events_app.command("follow", epilog=EXIT_CODES)
def follow_events(
    gallery: AnyGalleryOption = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="Id of an event, to go on behind it; `oldest` for all that is kept. Absent: what "
            "comes from now on."
        ),
    ] = None,
    num: Annotated[
        int | None, typer.Option("--num", "-n", min=1, help="End after so many events.")
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print events as they come, one line each, until it is interrupted."""
    with client_for(data_folder, key) as client:
        for event in islice(client.follow(after=after, gallery=gallery), num):
            typer.echo(event.model_dump_json() if as_json else _line(event))


def _line(event: schemas.EventAnswer) -> str:
    words = (
        f"{event.at:%Y-%m-%dT%H:%M:%S}Z",
        event.gallery,
        event.verdict or event.decision,
        event.subject_id,
        event.source,
        event.id,
    )
    return " ".join("-" if each is None else each for each in words)


@reviews_app.command("list", epilog=EXIT_CODES)
def list_reviews(
    gallery: AnyGalleryOption = None,
    state: Annotated[
        ReviewState | None, typer.Option(help="Only those in this state; all if absent.")
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List reviews, the oldest first."""
    with client_for(data_folder, key) as client:
        pages = all_pages(
            lambda cursor: client.reviews(
                state=state, gallery=gallery, limit=MAX_PAGE, cursor=cursor
            )
        )
        reviews = [each for page in pages for each in page.reviews]
    if as_json:
        print_json(schemas.ReviewsAnswer(reviews=reviews, next_cursor=None))
        return
    table = new_table("id", "gallery", "subject", "similarity", "why", "source", "since", "state")
    for each in reviews:
        add_row(
            table,
            each.id,
            each.gallery,
            each.subject_id,
            f"{each.similarity:.3f}",
            ", ".join(each.reasons),
            each.source,
            f"{each.created_at:%Y-%m-%d %H:%M}",
            each.verdict or each.state,
        )
    print_table(table)


@reviews_app.command("decide", epilog=EXIT_CODES)
def decide_review(
    review_id: Annotated[str, typer.Argument(help="Id, as `reviews list` shows it.")],
    verdict: Annotated[Verdict, typer.Argument(help="Is the face the candidate's?")],
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a review's face is the candidate's, once and for all."""
    with client_for(data_folder, key) as client:
        decided = client.decide_review(review_id, verdict)
    print_line(decided, f"{decided.id} is decided: {decided.verdict}", as_json=as_json)
