"""Where the data lies, what seals it, and what remembers it."""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, SecretStr

from embedding.errors import SettingsInvalid
from service.settings_sections.section import Section

_PLACEHOLDER = re.compile(
    r"<.*|admin|(change|replace)(it|me|this)|default|example|facegallery|letmein|passw0rd"
    r"|(my|the|your)?pass(word)?1?|postgres(ql)?|root|secret|test|user|12345(6(7(89?)?)?)?"
)
"""Of passwords in lower case, without what stands between words."""


class DataSettings(Section):
    """Database, sealing keys, removal ledger and audit log."""

    data_folder: Annotated[
        Path, Field(description="Folder of the database and the server's secret.")
    ] = Path("facegallery-data")
    database_url: Annotated[
        SecretStr | None,
        Field(
            description="PostgreSQL database that several services share, "
            "postgresql://user:password@host/database. Unset: SQLite in the data folder."
        ),
    ] = None
    sealing_key_file: Annotated[
        Path | None,
        Field(
            description="File with the keys that templates are sealed with, outside the data "
            "folder. Unset: templates lie in the clear."
        ),
    ] = None
    sealing_keys: Annotated[
        SecretStr | None,
        Field(description="The lines of such a file, commas between; instead of the file."),
    ] = None
    removal_ledger: Annotated[
        Path | None,
        Field(
            description="File that remembers what was removed, outside the data folder and the "
            "backups; a restored backup then brings nobody back. Unset: nothing remembers."
        ),
    ] = None
    audit_anchor: Annotated[
        Path | None,
        Field(
            description="File that remembers how far the audit log went, outside the data folder. "
            "Unset: `audit.anchor` in the data folder."
        ),
    ] = None
    audit_keep_days: Annotated[
        float | None,
        Field(
            gt=0,
            le=36_600,
            description="Entries of the audit log that are older are cut off its beginning, once "
            "a day. Unset: all stay.",
        ),
    ] = None
    audit_archive: Annotated[
        Path | None,
        Field(
            description="Folder, outside the data folder, that gets entries as files before they "
            "are cut off. Unset: they are deleted."
        ),
    ] = None
    audit_identifies: Annotated[
        bool, Field(description="Enter every identification into the audit log, too.")
    ] = True

    @property
    def is_sealed(self) -> bool:
        """Whether templates are sealed."""
        return self.sealing_key_file is not None or self.sealing_keys is not None


def check_data(settings: DataSettings) -> None:
    """Returns when the data can be kept so.

    Raises:
        SettingsInvalid: two sources of sealing keys, or a password that everybody tries first.
    """
    if settings.sealing_key_file is not None and settings.sealing_keys is not None:
        raise SettingsInvalid("give sealing_key_file or sealing_keys, not both")
    if settings.database_url is not None and _has_placeholder(
        settings.database_url.get_secret_value()
    ):
        raise SettingsInvalid(
            "the password of database_url, in it or in PGPASSWORD, is a placeholder or the user's "
            "own name; give the database a random one"
        )


def _has_placeholder(url: str) -> bool:
    """Whether a database's address holds a password that everybody tries first."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False  # What is wrong with it is said by whoever opens it.
    options = dict(parse_qsl(parts.query))
    # As the driver looks for them, which takes an option before the rest.
    user = options.get("user") or unquote(parts.username or "")
    given = options.get("password") or unquote(parts.password or "")
    password = (given or os.environ.get("PGPASSWORD", "")).lower()
    named = password != "" and password == user.lower()
    return named or _PLACEHOLDER.fullmatch(re.sub("[-_ .!]", "", password)) is not None
