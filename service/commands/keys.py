"""``facegallery keys``."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from index.checks import MAX_PAGE
from service import schemas
from service.auth import Role
from service.commands.asking import all_pages, client_for
from service.commands.options import EXIT_CODES, DataFolderOption, JsonOption, KeyOption
from service.commands.printing import add_row, new_table, print_json, print_line, print_table
from service.keys import MAX_LIMIT
from service.limits import Allowance

keys_app = typer.Typer(no_args_is_help=True, help="Keys of those who use the service over HTTP.")


@keys_app.command("create", epilog=EXIT_CODES)
def create_key(
    role: Annotated[
        Role,
        typer.Option(
            help="admin: all; operator: enroll, remove, identify; identifier: identify, decisions "
            "only; auditor: reads the log; listener: follows events."
        ),
    ],
    label: Annotated[str, typer.Option(help="What it is for, in your words.")] = "",
    gallery: Annotated[
        list[str] | None,
        typer.Option("--gallery", "-g", help="Tie it to this gallery; may be repeated."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="It expires after so many days.")
    ] = None,
    max_per_minute: Annotated[
        int | None, typer.Option(min=1, max=MAX_LIMIT, help="Most requests in a minute.")
    ] = None,
    max_per_day: Annotated[
        int | None, typer.Option(min=1, max=MAX_LIMIT, help="Most requests on a day.")
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once."""
    with client_for(data_folder, key) as client:
        created = client.create_key(
            role=role,
            label=label,
            galleries=gallery or None,
            expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
            allowance=Allowance(per_minute=max_per_minute, per_day=max_per_day),
        )
    if as_json:
        print_json(created)
    else:
        typer.echo(created.key)
        typer.echo(f"role {created.role}; it is not shown again, keep it safe", err=True)


@keys_app.command("list", epilog=EXIT_CODES)
def list_keys(
    data_folder: DataFolderOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """List all keys by id, without their secrets."""
    with client_for(data_folder, key) as client:
        pages = all_pages(lambda cursor: client.keys(limit=MAX_PAGE, cursor=cursor))
        found = [each for page in pages for each in page.keys]
    if as_json:
        print_json(schemas.KeysAnswer(keys=found, next_cursor=None))
        return
    table = new_table("id", "role", "label", "galleries", "since", "used", "expires", "revoked")
    for each in found:
        add_row(
            table,
            each.key_id,
            each.role,
            each.label,
            "all" if each.galleries is None else ", ".join(each.galleries),
            *(
                f"{at:%Y-%m-%d %H:%M}" if at else None
                for at in (
                    each.created_at,
                    each.last_used_at,
                    each.expires_at,
                    each.revoked_at,
                )
            ),
        )
    print_table(table)


@keys_app.command("revoke", epilog=EXIT_CODES)
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="Id, as `keys list` shows it.")],
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key: its next request is refused."""
    with client_for(data_folder, key) as client:
        revoked = client.revoke_key(key_id)
    print_line(revoked, f"revoked {revoked.key_id}", as_json=as_json)
