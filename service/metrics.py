"""What Prometheus reads: counts, times and sizes of this process, never a person.

Labels are routes, statuses, stages, decisions and names of galleries. All but the last come from
the program, so that no caller can make more of them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from embedding.faces import PhotoFaces
from service.metrics_sharing import counts_of_all
from service.metrics_state import Load, State, StateCollector
from service.results import (
    AcrossRecognition,
    Enrollment,
    Recognition,
    Verification,
    VerifyDecision,
)

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
DECISIONS: Final = ("match", "review", "unknown")

# A photo takes about 0.1 s on a core; the last bounds show what queues and large photos add.
REQUEST_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30)
STAGE_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
# Strangers lie around 0 to 0.4, and thresholds at 0.4 to 0.7.
SIMILARITY_BUCKETS: Final = tuple(round(0.05 * step, 2) for step in range(-2, 21))


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
            multiprocess_mode="livesum",
        )
        self._stage_s = Histogram(
            "facegallery_stage_seconds",
            "Time that one photo spent in a stage: decode, detect, align, embed, search, compare.",
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
        self._verifications = Counter(
            "facegallery_verifications",
            "Comparisons of two faces, or of a face with a subject.",
            ("decision",),
            registry=self.registry,
        )
        for operation in ("identify", "enroll", "detect", "verify"):
            self._faces.labels(operation)
        for decision in get_args(VerifyDecision):
            self._verifications.labels(decision)
        for decision in DECISIONS:
            self._decisions.labels(decision)
        build = Gauge(
            "facegallery_build_info",
            "Always 1.",
            ("version",),
            registry=self.registry,
            multiprocess_mode="max",
        )
        build.labels(version).set(1)
        self._load: Callable[[], Load] | None = None
        self._state = state
        self._look_up(self.registry)

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

    def verified(self, result: Verification) -> None:
        """Counts the faces of a comparison, and what came of it."""
        self._stages(result.timings_ms)
        self._faces.labels("verify").inc(len(result.faces))
        self._verifications.labels(result.decision).inc()

    def identified(self, result: Recognition | AcrossRecognition) -> None:
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
        try:
            encode, media_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # A version that is no number: what cannot be read is as good as absent.
            encode, media_type = choose_encoder("")
        registry = counts_of_all()
        if registry is not None:
            self._look_up(registry)
        return encode(registry or self.registry), media_type

    def _look_up(self, registry: CollectorRegistry) -> None:
        """Adds what is not counted but looked up, in this process, when it is asked for."""
        registry.register(StateCollector(self._state, lambda: self._load and self._load()))
        ProcessCollector(registry=registry)

    def _stages(self, timings_ms: Mapping[str, float]) -> None:
        for stage, spent_ms in timings_ms.items():
            self._stage_s.labels(stage).observe(spent_ms / 1000)


def known_method(method: str) -> str:
    """The method of a request; ``other`` for one that its caller invented."""
    return method if method in METHODS else "other"
