"""What an operator can set: by command line, environment (``FACEGALLERY_...``) or a file."""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from embedding.errors import SettingsInvalid
from embedding.photo import PhotoLimits
from embedding.quality import QualityLimits
from service.headers import origins_of
from service.logs import LogFormat
from service.settings_file import FILE_VARIABLE, read_settings_file
from service.transport import networks_of

ENV_PREFIX = "FACEGALLERY_"
KEY_VARIABLE = "FACEGALLERY_KEY"  # read by the command line alone, never a setting

_PLACEHOLDER = re.compile(
    r"<.*|admin|(change|replace)(it|me|this)|default|example|facegallery|letmein|passw0rd"
    r"|(my|the|your)?pass(word)?1?|postgres(ql)?|root|secret|test|user|12345(6(7(89?)?)?)?"
)
"""Of passwords in lower case, without what stands between words."""

MiB = 1024 * 1024

_PHOTO, _QUALITY = PhotoLimits(), QualityLimits()  # the packages' own defaults


class Settings(BaseSettings):
    """Everything that can be set; nothing is read before an instance is made."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

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
    embeddings_over_http: Annotated[
        bool,
        Field(
            description="Let admin keys ask for templates' vectors, which are faces, in the clear."
        ),
    ] = False
    events: Annotated[
        bool,
        Field(
            description="Keep an event of each identified face, ids only, for doors and desks "
            "that follow them."
        ),
    ] = False
    events_hours: Annotated[
        float, Field(gt=0, le=8784, description="Hours that an event is kept.")
    ] = 24.0
    events_max: Annotated[
        int, Field(ge=1, le=10_000_000, description="Most events that are kept, of all galleries.")
    ] = 100_000
    max_listeners: Annotated[
        int,
        Field(ge=1, le=10_000, description="Callers that follow events at once, in a process."),
    ] = 64
    max_listeners_per_key: Annotated[
        int, Field(ge=1, le=10_000, description="Likewise with one key.")
    ] = 8
    reviews: Annotated[
        bool,
        Field(
            description="Have a queue of faces that a person should look at, for callers who ask "
            "for it."
        ),
    ] = False
    review_hours: Annotated[
        float,
        Field(gt=0, le=8784, description="Hours that a review is kept, decided or not."),
    ] = 24.0
    review_claim_s: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Seconds that a person who claims a review has it alone.",
        ),
    ] = 300.0
    keep_crops: Annotated[
        bool,
        Field(
            description="Keep the aligned crop, 112 x 112 pixels, of each face that is enrolled "
            "or queued for review; sealed, so only with sealing keys."
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
            description="Requests a minute of a key without a limit of its own, counted by each "
            "process. Unset: any number.",
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
    search_engine: Annotated[
        Literal["auto", "exact", "compressed"],
        Field(
            description="`exact` compares every template; `compressed` looks at short codes "
            "first; `auto` is exact up to half a million templates of a gallery."
        ),
    ] = "auto"
    vector_storage: Annotated[
        Literal["float32", "float16"],
        Field(
            description="How vectors lie in memory; `float16` takes half, at similarities that "
            "differ by about 4e-5."
        ),
    ] = "float32"
    host: Annotated[
        str,
        Field(
            description="Address to listen on. One that is not loopback needs TLS files, "
            "`trusted_proxies` or `insecure_listen`."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="TCP port; 0 takes a free one.")] = 8321
    tls_certificate: Annotated[
        Path | None, Field(description="PEM file with the certificate chain; HTTPS is served.")
    ] = None
    tls_key: Annotated[
        Path | None, Field(description="PEM file with the private key of the certificate.")
    ] = None
    insecure_listen: Annotated[
        bool,
        Field(
            description="Says that a proxy in front terminates TLS, so that plain HTTP may be "
            "served on an address that is not loopback."
        ),
    ] = False
    trusted_proxies: Annotated[
        str | None,
        Field(
            description="Addresses and networks of the proxies in front that terminate TLS, "
            "commas between; plain HTTP is then answered to these and this machine alone."
        ),
    ] = None
    model: Annotated[
        str | None,
        Field(
            description="Model of new galleries: the name of a shipped model, the path of a model "
            "directory, or a fingerprint. Unset: the shipped default."
        ),
    ] = None
    models_folder: Annotated[
        Path | None,
        Field(description="Folder with more model directories, beside the shipped ones."),
    ] = None
    fpir: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="False positive identification rate that `match` stands for: the share "
            "of strangers who would be named.",
        ),
    ] = 0.01
    review_fpir: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Rate that `review` stands for; larger than `fpir`.",
        ),
    ] = 0.05
    max_photo_bytes: Annotated[
        int, Field(ge=1024, description="Largest photo that is accepted, in bytes.")
    ] = _PHOTO.max_bytes
    max_photo_pixels: Annotated[
        int,
        Field(
            ge=1024,
            description="Most pixels a photo's header may announce; 50 million is "
            "more than any phone makes by default and 150 MB when decoded.",
        ),
    ] = _PHOTO.max_pixels
    max_photos: Annotated[
        int, Field(ge=1, le=1000, description="Most photos in one enroll request.")
    ] = 32
    max_request_bytes: Annotated[
        int,
        Field(ge=2048, description="Largest body of an enroll request, all photos together."),
    ] = 64 * MiB
    http_export: Annotated[
        bool,
        Field(
            description="Lets admin keys fetch whole galleries over HTTP, templates and names in "
            "clear text."
        ),
    ] = False
    max_import_bytes: Annotated[
        int,
        Field(
            ge=2048,
            description="Largest file of a gallery that is taken in over HTTP; it lies in memory, "
            "one at a time in a process.",
        ),
    ] = 256 * MiB
    transfer_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds that a gallery may take to be fetched over HTTP, or its file to "
            "come.",
        ),
    ] = 600.0
    num_processes: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Processes that `serve` runs behind one address; more than one need "
            "PostgreSQL.",
        ),
    ] = 1
    num_workers: Annotated[
        int | None,
        Field(
            ge=1,
            description="Photos worked on at the same time in a process. Unset: as many as CPU "
            "cores, shared out among the processes.",
        ),
    ] = None
    max_queued: Annotated[
        int,
        Field(
            ge=0,
            description="Requests with photos that may wait beside those that are worked on; "
            "more are answered 429.",
        ),
    ] = 64
    deadline_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds that a photo waits for a worker; then 503, and nothing is begun.",
        ),
    ] = 10.0
    body_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds that the body of a request may take to come.",
        ),
    ] = 60.0
    work_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds that the photos of an enroll may take together; it is stopped "
            "between two photos then: 503, and nothing is saved.",
        ),
    ] = 120.0
    batch_wait_ms: Annotated[
        float,
        Field(
            ge=0,
            le=1000,
            description="Milliseconds that a face waits for those of other photos in work, to "
            "share a run of the net; alone it never waits.",
        ),
    ] = 2.0
    num_threads: Annotated[
        int | None,
        Field(
            ge=1,
            description="Threads that the nets use: all for a run of the embedding net, shared "
            "out among the photos in work for the detector. Unset: the runtime decides, or with "
            "several processes their share of the cores.",
        ),
    ] = None
    min_face_px: Annotated[
        float, Field(ge=0, description="Shorter side of a face's box below which enroll refuses.")
    ] = _QUALITY.min_size_px
    min_sharpness: Annotated[
        float, Field(ge=0, description="Sharpness below which enroll refuses; 0 never does.")
    ] = _QUALITY.min_sharpness
    max_yaw_deg: Annotated[
        float,
        Field(gt=0, le=180, description="Turn of the head to a side beyond which enroll refuses."),
    ] = _QUALITY.max_yaw_deg
    max_pitch_deg: Annotated[
        float, Field(gt=0, le=180, description="Nod of the head beyond which enroll refuses.")
    ] = _QUALITY.max_pitch_deg
    min_confidence: Annotated[
        float,
        Field(ge=0, le=1, description="The detector's confidence below which enroll refuses."),
    ] = _QUALITY.min_confidence
    metrics_token_file: Annotated[
        Path | None,
        Field(
            description="File with one line, the token that opens `/metrics`; at least 32 random "
            "characters. Unset: there are no metrics."
        ),
    ] = None
    otlp_endpoint: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s@]+$",
            description="URL of a collector that takes traces as OTLP over HTTP, such as "
            "http://127.0.0.1:4318/v1/traces. Unset: there are none.",
        ),
    ] = None
    log_level: Annotated[
        str,
        Field(
            pattern="^(debug|info|warning|error)$",
            description="Least severe level that is logged: debug, info, warning or error.",
        ),
    ] = "info"
    log_format: Annotated[
        LogFormat, Field(description="`text` is one line an event, `json` one JSON object a line.")
    ] = "text"

    @property
    def scheme(self) -> str:
        """``https`` when TLS files are given, else ``http``."""
        return "https" if self.tls_certificate else "http"


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
    """Checks what settings promise together.

    Raises:
        SettingsInvalid: they do not fit each other; says which and what to change.
    """
    if settings.review_fpir <= settings.fpir:
        raise SettingsInvalid(
            f"review_fpir must be larger than fpir, got {settings.review_fpir} and {settings.fpir}"
        )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingsInvalid("tls_certificate and tls_key are given together or not at all")
    if settings.sealing_key_file is not None and settings.sealing_keys is not None:
        raise SettingsInvalid("give sealing_key_file or sealing_keys, not both")
    if settings.keep_crops and settings.sealing_key_file is None and settings.sealing_keys is None:
        raise SettingsInvalid(
            "keep_crops needs sealing: crops of faces are never stored in the clear. Give "
            "sealing_key_file or sealing_keys, or leave keep_crops off"
        )
    if settings.audit_archive is not None and settings.audit_keep_days is None:
        raise SettingsInvalid(
            "audit_archive gets what is older than audit_keep_days, which is not set; give both"
        )
    origins_of(settings.cors_origins)
    if settings.database_url is not None and _has_placeholder(
        settings.database_url.get_secret_value()
    ):
        raise SettingsInvalid(
            "the password in database_url is a placeholder or the user's own name; give the "
            "database a random one"
        )
    if settings.num_processes > 1 and settings.database_url is None:
        raise SettingsInvalid(
            f"num_processes is {settings.num_processes}, but an SQLite data folder is held by one "
            "process; give database_url (PostgreSQL), or leave num_processes at 1: one process "
            "uses all cores"
        )
    for path in (settings.tls_certificate, settings.tls_key):
        if path is not None and not path.is_file():
            raise SettingsInvalid(f"there is no file {path}; expected a PEM file for TLS")
    proxies = networks_of(settings.trusted_proxies)
    is_safe = is_loopback(settings.host) or settings.tls_certificate or proxies
    if not (is_safe or settings.insecure_listen):
        raise SettingsInvalid(
            f"{settings.host} is not a loopback address: keys and photos would cross the network "
            "in clear. Give tls_certificate and tls_key, list the proxies in front that terminate "
            "TLS in trusted_proxies, or set insecure_listen when nobody but these reaches the port"
        )


def _has_placeholder(url: str) -> bool:
    """Whether a database's address holds a password that everybody tries first."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False  # What is wrong with it is said by whoever opens it.
    password = unquote(parts.password or "").lower()
    named = password != "" and password == unquote(parts.username or "").lower()
    return named or _PLACEHOLDER.fullmatch(re.sub("[-_ .!]", "", password)) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
