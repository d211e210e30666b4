"""What metrics look up when they are asked for: sizes, ages, and how busy the workers are."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from embedding.errors import GalleryNotFound, StoreError
from index.calibration.kept import KeptCalibration, read_calibration
from index.galleries import Galleries
from index.gallery import Gallery

logger = logging.getLogger(__name__)

STALENESS: Final = "facegallery_staleness_seconds"
UPKEEP_FAILING: Final = "facegallery_upkeep_failing_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class GallerySize:
    """A gallery as it is now.

    Attributes:
        name: of the gallery.
        num_subjects: gallery size N.
        num_templates: of all subjects.
        threshold_age_s: seconds since it was calibrated; None where it was not, or unknown.
        threshold_stale: whether it should be calibrated again; None likewise.
    """

    name: str
    num_subjects: int
    num_templates: int
    threshold_age_s: float | None
    threshold_stale: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy the workers are.

    Attributes:
        num_working: photos, or enrolls, that are worked on.
        num_queued: those that wait for a worker.
        num_runs: of the embedding nets so far; None where nobody counts them.
        num_crops: faces in these runs; several a run where photos share one.
    """

    num_working: int
    num_queued: int
    num_runs: int | None = None
    num_crops: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How late a process is with what it does by itself.

    Attributes:
        staleness_s: how long ago all changes of other services were known; 0 when alone.
        upkeep_failing_s: for how long the upkeep has failed; 0 while it works.
    """

    staleness_s: float
    upkeep_failing_s: float


def sizes_of(galleries: Galleries) -> tuple[GallerySize, ...]:
    """All galleries as this process knows them.

    Raises:
        StoreError: they are closed.
    """
    return tuple(_size_of(gallery) for gallery in galleries.list())


def health_of(galleries: Galleries) -> Health:
    """How late this process is."""
    return Health(staleness_s=galleries.staleness_s, upkeep_failing_s=galleries.upkeep_failing_s)


def _size_of(gallery: Gallery) -> GallerySize:
    kept = _kept(gallery)
    age_s = None
    if kept is not None:
        age_s = (datetime.now(UTC) - kept.calibration.made_at).total_seconds()
    return GallerySize(
        name=gallery.name,
        num_subjects=gallery.num_subjects,
        num_templates=gallery.num_templates,
        threshold_age_s=age_s,
        threshold_stale=None if kept is None else kept.stale,
    )


def _kept(gallery: Gallery) -> KeptCalibration | None:
    """The calibration of a gallery; None where it has none, or cannot be asked now.

    Metrics are read when things go wrong: a database that does not answer must not hide the rest.
    """
    try:
        return read_calibration(gallery.store, rule=gallery.store.rules().fusion)
    except (StoreError, GalleryNotFound) as error:
        logger.warning("no age of thresholds gallery=%s: %s", gallery.id, error)
        return None


class SizesCollector(Collector):
    """What is the same in all processes of a service: galleries, looked up at each call."""

    def __init__(self, sizes: Callable[[], Iterable[GallerySize]]) -> None:
        self._sizes = sizes

    def describe(self) -> Iterable[Metric]:
        """The names, without looking anything up: nothing is open yet."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """The values."""
        subjects, templates, age, stale = families = _families()
        for gallery in self._sizes():
            subjects.add_metric([gallery.name], gallery.num_subjects)
            templates.add_metric([gallery.name], gallery.num_templates)
            if gallery.threshold_age_s is not None:
                age.add_metric([gallery.name], gallery.threshold_age_s)
            if gallery.threshold_stale is not None:
                stale.add_metric([gallery.name], float(gallery.threshold_stale))
        return families


class OwnCollector(Collector):
    """What each process has by itself: how busy and how late it is."""

    def __init__(self, health: Callable[[], Health], load: Callable[[], Load | None]) -> None:
        self._health = health
        self._load = load

    def describe(self) -> Iterable[Metric]:
        """The names, likewise."""
        nothing = Load(num_working=0, num_queued=0, num_runs=0, num_crops=0)
        return own_families(Health(staleness_s=0.0, upkeep_failing_s=0.0), nothing)

    def collect(self) -> Iterable[Metric]:
        """The values."""
        return own_families(self._health(), self._load())


def _families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily("facegallery_gallery_subjects", "Gallery size N.", labels=("gallery",)),
        GaugeMetricFamily(
            "facegallery_gallery_templates", "Templates of a gallery.", labels=("gallery",)
        ),
        GaugeMetricFamily(
            "facegallery_threshold_age_seconds",
            "Since a gallery's own thresholds were calibrated; absent where it has none.",
            labels=("gallery",),
        ),
        GaugeMetricFamily(
            "facegallery_threshold_stale",
            "1 where a gallery's calibration no longer holds, or is not for its rule or model.",
            labels=("gallery",),
        ),
    )


def own_families(health: Health, load: Load | None) -> tuple[Metric, ...]:
    """What a process has by itself, without labels."""
    families: list[Metric] = [
        GaugeMetricFamily(
            STALENESS,
            "Since this service knew all that others on its database had enrolled.",
            health.staleness_s,
        ),
        GaugeMetricFamily(
            UPKEEP_FAILING,
            "For how long purging, snapshots or sealing anew have failed; 0 while they work.",
            health.upkeep_failing_s,
        ),
    ]
    if load is None:
        return tuple(families)
    families += [
        GaugeMetricFamily(
            "facegallery_working", "Photos and enrolls in the workers.", load.num_working
        ),
        GaugeMetricFamily(
            "facegallery_queue_depth", "Photos and enrolls that wait.", load.num_queued
        ),
    ]
    if load.num_runs is not None and load.num_crops is not None:
        families += [
            CounterMetricFamily(
                "facegallery_embedding_runs", "Runs of the embedding nets.", load.num_runs
            ),
            CounterMetricFamily(
                "facegallery_embedding_crops", "Faces in these runs.", load.num_crops
            ),
        ]
    return tuple(families)
