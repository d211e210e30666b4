"""``create_app``: the HTTP service on one data folder."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI

from embedding.detect import Detector
from service import errors
from service.admission import Admission
from service.assembly import Parts, open_parts
from service.headers import allow_origins, origins_of
from service.listening import Listeners
from service.measuring import Measured
from service.metrics_state import Load
from service.middleware import RequestEnvelope
from service.openapi import describe
from service.routes import (
    audit,
    crops,
    deciding,
    events,
    faces,
    galleries,
    gallery_details,
    keys,
    looks,
    metrics,
    pages,
    reviews,
    sessions,
    subjects,
    templates,
    transfer,
)
from service.settings import Settings
from service.stopping import RefuseWhenStopping, Stopping
from service.transport import OnlyFromProxies, networks_of
from service.version import version

DESCRIPTION = """\
Open-set face recognition: a photo in, for each face a name or *unknown* out.

There is no liveness detection: a printed photo may pass. Photos are never stored.

Keys go into the header `Authorization: Bearer fg_...`; errors are problem documents (RFC 9457)
with a stable `code`. Any request may also get `request_malformed` (400), `not_found` (404),
`method_not_allowed` (405), `request_too_slow` (408) and `headers_too_large` (431).
"""


def create_app(
    settings: Settings, *, detector: Detector | None = None, parts: Parts | None = None
) -> FastAPI:
    """The service as an ASGI app; its lifespan opens and closes the data folder.

    Args:
        settings: where and how.
        detector: finds faces instead of the built-in one.
        parts: opened by the caller, who also closes them; the lifespan then opens nothing.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        with ExitStack() as stack:
            opened = parts
            if opened is None:
                opened = stack.enter_context(open_parts(settings, detector=detector))
            await to_thread.run_sync(opened.warm_up)
            app.state.workers = CapacityLimiter(opened.num_workers)
            admission = app.state.admission = Admission(
                num_workers=opened.num_workers,
                max_queued=settings.max_queued,
                deadline_s=settings.deadline_s,
                body_timeout_s=settings.body_timeout_s,
                work_timeout_s=settings.work_timeout_s,
            )

            listeners = app.state.listeners = Listeners(
                opened.galleries.events,
                max_in_all=settings.max_listeners,
                max_per_key=settings.max_listeners_per_key,
            )

            def load() -> Load:
                num_runs, num_crops = opened.embedders.batch_counts
                return Load(
                    num_working=admission.num_working,
                    num_queued=admission.num_queued,
                    num_runs=num_runs,
                    num_crops=num_crops,
                )

            opened.metrics.watch_load(load)
            app.state.parts = opened
            try:
                yield
            finally:
                app.state.admission.close()
                listeners.close()
                app.state.parts = None
                opened.metrics.watch_load(None)

    app = FastAPI(
        title="FaceGallery",
        version=version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # A redirection would say the host that the request named, and behind a proxy plain HTTP:
        # a client that follows it may show its key there.
        redirect_slashes=False,
        # Programs are generated from these; a route's function keeps its name.
        generate_unique_id_function=lambda route: route.name,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    errors.install(app)
    for router in (
        faces.router,
        deciding.router,
        galleries.router,
        subjects.router,
        gallery_details.router,
        templates.router,
        looks.router,
        transfer.router,
        keys.router,
        audit.router,
        events.router,
        reviews.router,
        crops.router,
        metrics.router,
        sessions.router,
        pages.router,
    ):
        app.include_router(router)
    pages.mount_files(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    allow_origins(app, origins_of(settings.cors_origins))
    app.state.stopping = Stopping()
    app.state.importing = asyncio.Lock()
    app.add_middleware(RefuseWhenStopping, stopping=app.state.stopping)
    if proxies := networks_of(settings.trusted_proxies):
        app.add_middleware(OnlyFromProxies, proxies=proxies)
    app.add_middleware(RequestEnvelope)
    app.add_middleware(Measured)
    return app
