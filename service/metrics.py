"""What Prometheus reads: counts, times and sizes of this process, never a person.

Labels are routes, statuses, stages, decisions and names of galleries. All but the last come from
the program, so that no caller can make more of them.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from embedding.errors import GalleryNotFound, StoreError
from embedding.faces import PhotoFaces
from index.calibration.kept import read_calibration
from index.galleries import Galleries
from index.gallery import Gallery
from service.results import Enrollment, Recognition

logger = logging.getLogger(__name__)

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
DECISIONS: Final = ("match", "review", "unknown")

# A photo takes about 0.1 s on a core; the last bounds show what queues and large photos add.
REQUEST_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30)
STAGE_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
# Strangers lie around 0 to 0.4, and thresholds at 0.4 to 0.7.
SIMILARITY_BUCKETS: Final = tuple(round(0.05 * step, 2) for step in range(-2, 21))


@dataclass(frozen=True, slots=True, kw_only=True)
class GallerySize:
    """A gallery as it is now.

    Attributes:
        name: of the gallery.
        num_subjects: gallery size N.
        num_templates: of all subjects.
        threshold_age_s: seconds since it was calibrated; None where it was not, or unknown.
    """

    name: str
    num_subjects: int
    num_templates: int
    threshold_age_s: float | None


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
class State:
    """What is looked up when it is asked for.

    Attributes:
        galleries: sizes.
        staleness_s: how long ago all changes of other services were known; 0 when alone.
        upkeep_failing_s: for how long the upkeep has failed; 0 while it works.
    """

    galleries: tuple[GallerySize, ...]
    staleness_s: float
    upkeep_failing_s: float


def state_of(galleries: Galleries) -> State:
    """The state of the galleries of this process.

    Raises:
        StoreError: they are closed.
    """
    return State(
        galleries=tuple(
            GallerySize(
                name=gallery.name,
                num_subjects=gallery.num_subjects,
                num_templates=gallery.num_templates,
                threshold_age_s=_threshold_age_s(gallery),
            )
            for gallery in galleries.list()
        ),
        staleness_s=galleries.staleness_s,
        upkeep_failing_s=galleries.upkeep_failing_s,
    )


def _threshold_age_s(gallery: Gallery) -> float | None:
    """Seconds since a gallery was calibrated; None where it was not, or cannot be asked now.

    Metrics are read when things go wrong: a database that does not answer must not hide the rest.
    """
    try:
        kept = read_calibration(gallery.store)
    except (StoreError, GalleryNotFound) as error:
        logger.warning("no age of thresholds gallery=%s: %s", gallery.id, error)
        return None
    if kept is None:
        return None
    return (datetime.now(UTC) - kept.calibration.made_at).total_seconds()


class Metrics:
    """The counts of one service since it started; thread safe. An `Observer`."""

    def __init__(self, state: Callable[[], State], *, version: str) -> None:
        # Otherwise each histogram has one more series that only says when it began.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "facegallery_requests",
            "Requests answered; status 0 is a caller who left before the answer.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._request_s = Histogram(
            "facegallery_request_seconds",
            "From a request's first byte to the last one of its answer.",
            ("route",),
            buckets=REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self._in_progress = Gauge(
            "facegallery_requests_in_progress",
            "Requests that came and are not answered yet.",
            registry=self.registry,
        )
        self._stage_s = Histogram(
            "facegallery_stage_seconds",
            "Time that one photo spent in a stage: decode, detect, align, embed, search.",
            ("stage",),
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self._faces = Counter(
            "facegallery_faces",
            "Faces that were found in photos, or enrolled.",
            ("operation",),
            registry=self.registry,
        )
        self._decisions = Counter(
            "facegallery_decisions",
            "Decisions about faces that were to be identified.",
            ("decision",),
            registry=self.registry,
        )
        self._similarity = Histogram(
            "facegallery_similarity",
            "Similarity of the best candidate of each face that was to be identified.",
            buckets=SIMILARITY_BUCKETS,
            registry=self.registry,
        )
        for operation in ("identify", "enroll", "detect"):
            self._faces.labels(operation)
        for decision in DECISIONS:
            self._decisions.labels(decision)
        build = Gauge("facegallery_build_info", "Always 1.", ("version",), registry=self.registry)
        build.labels(version).set(1)
        self._load: Callable[[], Load] | None = None
        self.registry.register(_StateCollector(state, lambda: self._load and self._load()))
        ProcessCollector(registry=self.registry)

    def watch_load(self, load: Callable[[], Load] | None) -> None:
        """Tells from now on how busy the workers are; None no longer."""
        self._load = load

    @contextmanager
    def request_in_progress(self) -> Iterator[None]:
        """Counts a request among those that are worked on."""
        with self._in_progress.track_inprogress():
            yield

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Counts an answer.

        Args:
            method: a known one, or ``other``.
            route: the route's own pattern, never the path.
            status: 0 where the caller left.
            seconds: it took.
        """
        self._requests.labels(method, route, str(status)).inc()
        self._request_s.labels(route).observe(seconds)

    def identified(self, result: Recognition) -> None:
        """Counts the faces of a photo, their decisions and best similarities."""
        self._stages(result.timings_ms)
        self._faces.labels("identify").inc(len(result.answers))
        for answer in result.answers:
            self._decisions.labels(answer.decision).inc()
            if answer.similarity is not None:
                self._similarity.observe(answer.similarity)

    def enrolled(self, result: Enrollment) -> None:
        """Counts the faces of an enroll; those of a dry run are not enrolled."""
        self._stages(result.timings_ms)
        if result.enrolled is not None:
            self._faces.labels("enroll").inc(len(result.faces))

    def detected(self, result: PhotoFaces) -> None:
        """Counts the faces of a photo that were only looked for."""
        self._stages(result.timings_ms)
        self._faces.labels("detect").inc(len(result.faces))

    def text(self, accept: str) -> tuple[bytes, str]:
        """All of it, and its media type.

        Args:
            accept: what the caller reads: OpenMetrics, or Prometheus' own text otherwise.
        """
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type

    def _stages(self, timings_ms: Mapping[str, float]) -> None:
        for stage, spent_ms in timings_ms.items():
            self._stage_s.labels(stage).observe(spent_ms / 1000)


def known_method(method: str) -> str:
    """The method of a request; ``other`` for one that its caller invented."""
    return method if method in METHODS else "other"


class _StateCollector(Collector):
    """Sizes and ages, looked up at each call."""

    def __init__(
        self, state: Callable[[], State], load: Callable[[], Load | None] = lambda: None
    ) -> None:
        self._state = state
        self._load = load

    def describe(self) -> Iterable[Metric]:
        """The names, without looking anything up: nothing is open yet."""
        return (*_families(), *_load_families(Load(num_working=0, num_queued=0)))

    def collect(self) -> Iterable[Metric]:
        """The values."""
        state = self._state()
        subjects, templates, age, staleness, failing = families = _families()
        for gallery in state.galleries:
            subjects.add_metric([gallery.name], gallery.num_subjects)
            templates.add_metric([gallery.name], gallery.num_templates)
            if gallery.threshold_age_s is not None:
                age.add_metric([gallery.name], gallery.threshold_age_s)
        staleness.add_metric([], state.staleness_s)
        failing.add_metric([], state.upkeep_failing_s)
        load = self._load()
        return families if load is None else (*families, *_load_families(load))


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
            "facegallery_staleness_seconds",
            "Since this service knew all that others on its database had enrolled.",
            labels=(),
        ),
        GaugeMetricFamily(
            "facegallery_upkeep_failing_seconds",
            "For how long purging, snapshots or sealing anew have failed; 0 while they work.",
            labels=(),
        ),
    )


def _load_families(load: Load) -> tuple[Metric, ...]:
    families: list[Metric] = [
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
