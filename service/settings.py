"""What an operator can set: by command line, environment (``FACEGALLERY_...``) or a file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from embedding.errors import SettingsInvalid
from service.settings_file import FILE_VARIABLE, read_settings_file
from service.settings_sections.address import AddressSettings, check_address
from service.settings_sections.callers import CallersSettings, check_callers
from service.settings_sections.data import DataSettings, check_data
from service.settings_sections.deciding import DecidingSettings, check_deciding
from service.settings_sections.keeping import KeepingSettings
from service.settings_sections.load import LoadSettings
from service.settings_sections.watching import WatchingSettings

ENV_PREFIX = "FACEGALLERY_"
KEY_VARIABLE = "FACEGALLERY_KEY"  # read by the command line alone, never a setting


class Settings(
    BaseSettings,
    WatchingSettings,
    LoadSettings,
    DecidingSettings,
    AddressSettings,
    CallersSettings,
    KeepingSettings,
    DataSettings,
):
    """Everything that can be set; nothing is read before an instance is made.

    The sections are places for readers only: to operators all names are one list.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")


def load_settings(**given: object) -> Settings:
    """Settings: values that are given and not None, then the environment, then the file.

    Raises:
        SettingsInvalid: a value out of range, an unknown ``FACEGALLERY_`` variable, a file that
            cannot be used, or settings that do not fit each other.
    """
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    known |= {KEY_VARIABLE, FILE_VARIABLE}
    for variable in os.environ:
        if variable.upper().startswith(ENV_PREFIX) and variable.upper() not in known:
            raise SettingsInvalid(
                f"unknown setting {variable}; known are: {', '.join(sorted(known))}"
            )
    in_environment = {variable.upper() for variable in os.environ}
    on_top = {name: value for name, value in given.items() if value is not None}
    in_file = {
        name: value
        for name, value in _of_file(os.environ.get(FILE_VARIABLE)).items()
        if name not in on_top and ENV_PREFIX + name.upper() not in in_environment
    }
    values = in_file | on_top
    try:
        settings = Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(
            f"{_called('.'.join(map(str, item['loc'])), in_file)}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise SettingsInvalid(f"settings are not valid: {problems}") from error
    check_settings(settings)
    return settings


def _of_file(path: str | None) -> dict[str, object]:
    if not path:
        return {}
    secret = [n for n, f in Settings.model_fields.items() if SecretStr in get_args(f.annotation)]
    return read_settings_file(Path(path), known=Settings.model_fields.keys(), secret=secret)


def _called(name: str, in_file: Mapping[str, object]) -> str:
    """A setting as its user wrote it."""
    variable = ENV_PREFIX + name.upper()
    return f"{name} in the settings file" if name in in_file else variable


def check_settings(settings: Settings) -> None:
    """Returns when the settings fit each other.

    Raises:
        SettingsInvalid: they do not; says which and what to change.
    """
    check_deciding(settings)
    check_data(settings)
    check_callers(settings)
    check_address(settings)
    if settings.keep_crops and not settings.is_sealed:
        raise SettingsInvalid(
            "keep_crops needs sealing: crops of faces are never stored in the clear. Give "
            "sealing_key_file or sealing_keys, or leave keep_crops off"
        )
    if settings.audit_archive is not None and settings.audit_keep_days is None:
        raise SettingsInvalid(
            "audit_archive gets what is older than audit_keep_days, which is not set; give both"
        )
    if settings.num_processes > 1 and settings.database_url is None:
        raise SettingsInvalid(
            f"num_processes is {settings.num_processes}, but an SQLite data folder is held by one "
            "process; give database_url (PostgreSQL), or leave num_processes at 1: one process "
            "uses all cores"
        )
