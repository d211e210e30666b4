"""Puts the parts together on one data folder, for the HTTP service and the command line alike."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from embedding.cores import num_cores
from embedding.detect import Detector
from embedding.errors import GalleryExists
from index.audit.cutting import AuditRetention
from index.checks import check_gallery_name
from index.encryption import AesGcmSealer
from index.events import EventRules
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from index.repeats import Repeatable
from index.sealing import Sealer
from index.store.stored_gallery import StoredGallery
from service.calibrating import Calibrating
from service.choosing import DEFAULT_GALLERY as DEFAULT_GALLERY
from service.embedders import Embedders
from service.keys import Keys
from service.limits import Allowance, Limits
from service.limits_sharing import sharing
from service.metrics import Metrics
from service.metrics_state import health_of, sizes_of
from service.recognizer import Recognizer
from service.repeats import Repeats
from service.results import Observer
from service.sessions import Sessions
from service.settings import ENV_PREFIX, Settings, check_settings
from service.tracing import Tracing, open_tracing
from service.version import version

_KEYS = f"{ENV_PREFIX}SEALING_KEYS"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Everything that answers a request, opened on a data folder that this process holds.

    Attributes:
        settings: that it was opened with.
        galleries: of the data folder.
        embedders: of this installation.
        recognizer: on both.
        calibrating: likewise.
        keys: of the data folder.
        repeats: requests that come again.
        sessions: of the page, on these keys.
        metrics: what is counted from now on.
        tracing: where spans go; None where the settings name no collector.
    """

    settings: Settings
    galleries: Galleries
    embedders: Embedders
    recognizer: Recognizer
    calibrating: Calibrating
    keys: Keys
    repeats: Repeats
    sessions: Sessions
    metrics: Metrics
    tracing: Tracing | None

    @property
    def num_workers(self) -> int:
        """Photos that are worked on at the same time."""
        if self.settings.num_workers is not None:
            return self.settings.num_workers
        return num_cores()

    def create_gallery(
        self,
        name: str,
        *,
        model: str | None = None,
        space: bool = False,
        repeatable: Repeatable[StoredGallery] | None = None,
    ) -> Gallery:
        """A new, empty gallery of an installed model; None means the default one.

        Args:
            name: of the gallery.
            model: name or fingerprint.
            space: store its vectors in a secret space of their own, which needs sealing.
            repeatable: how it is remembered that it was made; None for not.

        Raises:
            GalleryExists: there is one with this name.
            NameInvalid: the name is not accepted.
            ModelError: the model is not installed or damaged.
            RequestInvalid: a space without sealing.
        """
        check_gallery_name(name)
        fingerprint = self.embedders.named(model).fingerprint
        return self.galleries.create(
            name, fingerprint=fingerprint, space=space, repeatable=repeatable
        )

    def warm_up(self) -> None:
        """Opens the model of the default gallery, so that the first request does not wait for it.

        A model that is missing is told to whoever uses the gallery; other galleries still work.
        """
        if self.default_gallery_ready():
            self.embedders.of_gallery(self.galleries.get(DEFAULT_GALLERY).fingerprint)

    def default_gallery_ready(self) -> bool:
        """Whether the default gallery exists and its model is installed."""
        fingerprints = {model.card.fingerprint for model in self.embedders.installed()}
        return any(
            gallery.name == DEFAULT_GALLERY and gallery.fingerprint in fingerprints
            for gallery in self.galleries.list()
        )


@contextmanager
def open_parts(settings: Settings, *, detector: Detector | None = None) -> Iterator[Parts]:
    """The parts, on the data folder of the settings; a new folder gets the gallery ``default``.

    Args:
        settings: where and how.
        detector: instead of the built-in one.

    Raises:
        SettingsInvalid: settings that do not fit each other, or whose packages are absent.
        StoreError: the data folder is in use, damaged or not accessible.
        ModelError: a new data folder, and the model for new galleries cannot be opened.
    """
    check_settings(settings)
    embedders = Embedders(settings, detector=detector)
    url = settings.database_url
    with (
        open_tracing(settings.otlp_endpoint, version=version()) as tracing,
        Galleries.open(
            settings.data_folder,
            database_url=None if url is None else url.get_secret_value(),
            sealer=sealer_of(settings),
            ledger=settings.removal_ledger,
            audit_anchor=settings.audit_anchor,
            audit_retention=_retention(settings),
            options=MemoryOptions(engine=settings.search_engine, storage=settings.vector_storage),
            event_rules=EventRules(
                max_age_s=settings.events_hours * 3600.0, max_events=settings.events_max
            ),
        ) as galleries,
    ):
        secret = galleries.secret("service")
        allowance = Allowance(
            per_minute=settings.key_max_per_minute, per_day=settings.key_max_per_day
        )
        limits = Limits()
        keys = Keys(galleries.keys, secret=secret, allowance=allowance, limits=limits)
        if not galleries.list() and not keys.list():
            # Where services share a new database, another one may be quicker.
            with suppress(GalleryExists):
                galleries.create(DEFAULT_GALLERY, fingerprint=embedders.named().fingerprint)
        metrics = Metrics(
            lambda: sizes_of(galleries), lambda: health_of(galleries), version=version()
        )
        observers: tuple[Observer, ...] = (metrics,) if tracing is None else (metrics, tracing)
        with sharing(limits, galleries.keys):
            yield Parts(
                settings=settings,
                galleries=galleries,
                embedders=embedders,
                recognizer=Recognizer(
                    galleries, embedders, settings=settings, secret=secret, observers=observers
                ),
                calibrating=Calibrating(galleries, embedders, settings=settings),
                keys=keys,
                repeats=Repeats(galleries, settings=settings, secret=secret),
                sessions=Sessions(
                    keys,
                    secret=secret,
                    folder=settings.data_folder,
                    lifetime_s=settings.session_lifetime_s,
                ),
                metrics=metrics,
                tracing=tracing,
            )


def _retention(settings: Settings) -> AuditRetention | None:
    if settings.audit_keep_days is None:
        return None
    return AuditRetention(keep_days=settings.audit_keep_days, archive=settings.audit_archive)


def sealer_of(settings: Settings) -> Sealer | None:
    """What seals the templates; None where they lie in the clear.

    Raises:
        SealKeyMissing: no such file, or no key in it.
        SettingsInvalid: the file lies in the data folder, others can read it, or a line is wrong.
    """
    if settings.sealing_key_file is not None:
        return KeyFileSealer(settings.sealing_key_file, data_folder=settings.data_folder)
    if settings.sealing_keys is not None:
        given = {_KEYS: settings.sealing_keys.get_secret_value()}
        return AesGcmSealer(KeyRing.from_environment(given, variable=_KEYS))
    return None
