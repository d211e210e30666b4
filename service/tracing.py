"""Spans of requests and stages for a collector, where the settings name one; otherwise nothing.

Neither names of people nor ids of keys, subjects or galleries are in them, and no error's text.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from embedding.errors import SettingsInvalid
from embedding.faces import PhotoFaces
from service.results import AcrossRecognition, Enrollment, Recognition, Verification

EXPORT_TIMEOUT_S: Final = 5.0
"""A collector that does not answer holds up the end of the service no longer than that."""
SERVER_FAILED: Final = 500


class RequestSpan:
    """The span of a request, to be told what only its end shows."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def answered(self, *, method: str, route: str, status: int, request_id: str) -> None:
        """Names the span by its route and tells how it ended.

        Args:
            method: of the request, one of the known ones.
            route: the route's own pattern, never the path.
            status: 0 where the caller left.
            request_id: that the log shows.
        """
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "facegallery.request_id": request_id,
            }
        )
        if status >= SERVER_FAILED:
            self._span.set_status(trace.StatusCode.ERROR)


class Tracing:
    """Sends spans; thread safe. An `Observer`."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._tracer = provider.get_tracer("facegallery")
        self._callers = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[RequestSpan]:
        """A span around a request, in the trace of the caller if ``traceparent`` names one."""
        with self._tracer.start_as_current_span(
            "request",
            context=self._callers.extract(headers, context=Context()),
            kind=trace.SpanKind.SERVER,
            record_exception=False,  # its text may quote a name
            set_status_on_exception=False,
        ) as span:
            yield RequestSpan(span)

    def verified(self, result: Verification) -> None:
        """Spans of a comparison's stages, all photos together."""
        self._stages(result.timings_ms, num_faces=len(result.faces))

    def identified(self, result: Recognition | AcrossRecognition) -> None:
        """Spans of an identify's stages."""
        self._stages(result.timings_ms, num_faces=len(result.answers))

    def enrolled(self, result: Enrollment) -> None:
        """Spans of an enroll's stages, all photos together."""
        self._stages(result.timings_ms, num_faces=len(result.faces))

    def detected(self, result: PhotoFaces) -> None:
        """Spans of a detection's stages."""
        self._stages(result.timings_ms, num_faces=len(result.faces))

    def _stages(self, timings_ms: Mapping[str, float], *, num_faces: int) -> None:
        """One span a stage under the request's own, laid end to end up to this moment.

        Their lengths and order were measured; that nothing lay between them is assumed.
        """
        request = trace.get_current_span()
        if not request.is_recording():
            return
        request.set_attribute("facegallery.num_faces", num_faces)
        at_ns = time.time_ns() - sum(_ns(spent_ms) for spent_ms in timings_ms.values())
        for stage, spent_ms in timings_ms.items():
            span = self._tracer.start_span(stage, start_time=at_ns)
            at_ns += _ns(spent_ms)
            span.end(end_time=at_ns)


@contextmanager
def open_tracing(endpoint: str | None, *, version: str) -> Iterator[Tracing | None]:
    """Tracing to a collector, flushed in the end; None, and nothing loaded, without an endpoint.

    Args:
        endpoint: where the collector takes OTLP over HTTP, such as
            ``http://127.0.0.1:4318/v1/traces``.
        version: of this service.

    Raises:
        SettingsInvalid: the packages for it are not installed.
    """
    if endpoint is None:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsInvalid(
            "otlp_endpoint is set, but the packages for tracing are not installed: "
            'pip install "facegallery[tracing]"'
        ) from error
    resource = Resource.create({"service.name": "facegallery", "service.version": version})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Tracing(provider)
    finally:
        provider.shutdown()


def _ns(spent_ms: float) -> int:
    return round(spent_ms * 1e6)
