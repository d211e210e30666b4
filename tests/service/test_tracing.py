"""Tests of traces, against a collector that takes OTLP over a real loopback socket."""

import itertools
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.testclient import TestClient

from embedding.errors import SettingsInvalid
from service.app import create_app
from service.settings import Settings, load_settings
from service.tracing import open_tracing
from tests.fakes import make_photo
from tests.service.support import fake_service
from tests.service.test_logs import QuotingDetector

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass(slots=True)
class Collector:
    """What a collector was sent."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """All spans, in the order in which they ended."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on a free port."""
    found = Collector(url="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            found.bodies.append(decompress(body) if packed else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def attributes(span: Span) -> dict[str, object]:
    """The attributes of a span."""
    kinds = {each.key: each.value for each in span.attributes}
    return {k: v.string_value or v.int_value for k, v in kinds.items()}


def test_a_request_and_its_stages(settings: Settings, collector: Collector) -> None:
    """The stages are children of the request's span, which continues the caller's trace."""
    with fake_service(settings.model_copy(update={"otlp_endpoint": collector.url})) as service:
        service.enroll("ann")
        answer = service.http.post(
            "/v1/identify",
            headers={**service.headers(), "traceparent": f"00-{TRACE}-{PARENT}-01"},
            files={"photo": make_photo(["ann", "eve"])},
        )
    spans = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    request = next(span for span in spans if span.parent_span_id.hex() == PARENT)
    assert request.name == "POST /v1/identify"
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/identify",
        "http.response.status_code": 200,
        "facegallery.num_faces": 2,
        "facegallery.request_id": answer.headers["x-request-id"],
    }
    stages = [span for span in spans if span.parent_span_id == request.span_id]
    assert [span.name for span in stages] == ["decode", "detect", "align", "embed", "search"]
    for before, after in itertools.pairwise(stages):
        assert before.end_time_unix_nano == after.start_time_unix_nano
    told = answer.json()["timings_ms"]["embed"]
    assert (stages[3].end_time_unix_nano - stages[3].start_time_unix_nano) / 1e6 == pytest.approx(
        told, abs=0.001
    )
    assert stages[-1].end_time_unix_nano <= request.end_time_unix_nano


def test_nobody_is_named_in_traces(settings: Settings, collector: Collector) -> None:
    """Names, ids of people, keys and the words of errors stay here, also in a fault."""
    traced = settings.model_copy(update={"otlp_endpoint": collector.url})
    with fake_service(traced) as service:
        headers = service.headers()
        service.http.post(
            "/v1/enroll",
            headers=headers,
            data={"subject": "Ada Lovelace"},
            files=[("photos", ("portrait.png", make_photo(["ann"])))],
        )
        one = service.parts.galleries.get("default").subjects().subjects[0].id
        service.http.get(f"/v1/galleries/default/subjects/{one}", headers=headers)
    with TestClient(create_app(traced, detector=QuotingDetector())) as http:
        http.post("/v1/identify", headers=headers, files={"photo": make_photo(["ann"])})
    sent = b"".join(collector.bodies)
    faults = [span for span in collector.spans if span.status.code == 2]
    assert [span.name for span in faults] == ["POST /v1/identify"]
    key = headers["Authorization"].removeprefix("Bearer ")
    for private in ("Ada", "Lovelace", one, "portrait", *key.split("_", 2)[1:]):
        assert private.encode() not in sent


def test_nothing_is_sent_unasked(
    settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the setting OpenTelemetry's own variables send nothing, and there is no tracing."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    with fake_service(settings) as service:
        service.enroll("ann")
        assert service.parts.tracing is None
    assert collector.bodies == []


def test_a_collector_that_is_away_harms_nobody(settings: Settings) -> None:
    """Answers come all the same, and the service ends."""
    away = settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:9/v1/traces"})
    with fake_service(away) as service:
        assert service.http.get("/healthz").status_code == 200


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting without its extra stops the start and says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with (
        pytest.raises(SettingsInvalid, match=r"facegallery\[tracing\]"),
        open_tracing("http://127.0.0.1:9/v1/traces", version="1"),
    ):
        pass


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://x", "http://user:secret@host/v1/traces"])
def test_an_odd_endpoint_is_refused(url: str) -> None:
    """A URL of another kind, or with a password in it, is a mistake."""
    with pytest.raises(SettingsInvalid, match="OTLP_ENDPOINT") as caught:
        load_settings(otlp_endpoint=url)
    assert "secret" not in str(caught.value)
