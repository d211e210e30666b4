"""What callers may ask for, how often, and how many may follow events."""

from typing import Annotated

from pydantic import Field

from service.headers import origins_of
from service.settings_sections.section import Section


class CallersSettings(Section):
    """What is open to callers, and the limits of keys, sessions and followers of events."""

    embeddings_over_http: Annotated[
        bool,
        Field(
            description="Let admin keys ask for templates' vectors, which are faces, in the clear."
        ),
    ] = False
    http_export: Annotated[
        bool,
        Field(
            description="Lets admin keys fetch whole galleries over HTTP, templates and names in "
            "clear text."
        ),
    ] = False
    cors_origins: Annotated[
        str | None,
        Field(
            description="Origins whose pages may ask with a key, exactly as browsers send them, "
            "commas between. Unset: no other origin."
        ),
    ] = None
    key_max_per_minute: Annotated[
        int | None,
        Field(
            ge=1,
            description="Requests a minute of a key without a limit of its own, counted by all "
            "processes together. Unset: any number.",
        ),
    ] = None
    key_max_per_day: Annotated[
        int | None, Field(ge=1, description="Likewise a day, from midnight UTC, by all.")
    ] = None
    idempotency_hours: Annotated[
        float,
        Field(
            gt=0,
            le=24 * 366,
            allow_inf_nan=False,
            description="How long it is remembered what was done with an `Idempotency-Key`.",
        ),
    ] = 24.0
    idempotency_max_keys: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="Such keys that are remembered of one API key; the oldest make room. An "
            "enroll takes about 1 kB a photo.",
        ),
    ] = 10_000
    session_lifetime_s: Annotated[
        int,
        Field(
            ge=60,
            le=604_800,
            description="Seconds from signing in on the page until it asks for the key again; 8 "
            "hours are a shift.",
        ),
    ] = 28_800
    max_listeners: Annotated[
        int,
        Field(ge=1, le=10_000, description="Callers that follow events at once, in a process."),
    ] = 64
    max_listeners_per_key: Annotated[
        int, Field(ge=1, le=10_000, description="Likewise with one key.")
    ] = 8


def check_callers(settings: CallersSettings) -> None:
    """Returns when the origins are written as browsers send them.

    Raises:
        SettingsInvalid: they are not.
    """
    origins_of(settings.cors_origins)
