"""Health, the page, the API docs and their files, all without a key."""

from importlib.resources import files

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from service import schemas
from service.assembly import Parts
from service.errors import problem
from service.openapi import problems

router = APIRouter()

STATIC_PATH = "/static/docs"
PAGE_PATH = "/static/page"

_PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Only the page's own files run, and no text can ever become markup or a script."""

MAX_STALENESS_S = 10.0
"""Beyond it a balancer should ask another service: enrolls of others are not seen here."""


@router.get("/healthz", tags=["operation"])
def healthz() -> schemas.HealthAnswer:
    """Tell that the process answers."""
    return schemas.HealthAnswer()


@router.get(
    "/readyz",
    tags=["operation"],
    response_model=schemas.ReadyAnswer,
    responses={
        503: {
            **problems()[503],
            "description": "Not ready yet, unable to follow the database, or stopping.",
        }
    },
)
def readyz(request: Request) -> JSONResponse | schemas.ReadyAnswer:
    """Tell whether photos can be answered, and how old the picture of the galleries is."""
    parts: Parts | None = getattr(request.app.state, "parts", None)
    if parts is None:
        return problem(503, "not_ready", "the data folder is not open")
    staleness_s = parts.galleries.staleness_s
    if staleness_s > MAX_STALENESS_S:
        return problem(
            503,
            "not_ready",
            f"the shared database could not be followed for {staleness_s:.0f} s; the log says why",
        )
    return schemas.ReadyAnswer(
        staleness_s=round(staleness_s, 3),
        upkeep_failing_s=round(parts.galleries.upkeep_failing_s, 3),
    )


@router.get("/", include_in_schema=False)
def page() -> Response:
    """Show the page for people: who is in a photo, and who is enrolled."""
    return HTMLResponse(
        (files("service") / "web" / "index.html").read_text(encoding="utf-8"),
        headers={
            "Content-Security-Policy": _PAGE_POLICY,
            "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        },
    )


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """Show the API docs, with files from this machine only."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=request.app.title,
        swagger_js_url=f"{STATIC_PATH.lstrip('/')}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC_PATH.lstrip('/')}/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"persistAuthorization": False, "validatorUrl": None},
    )
    page.headers["Content-Security-Policy"] = (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; frame-ancestors 'none'"
    )
    return page


def mount_files(app: FastAPI) -> None:
    """Serves the scripts of both pages from packages: the network may be absent."""
    folders = {
        "docs-files": (STATIC_PATH, files("fastapi_offline") / "static"),
        "page-files": (PAGE_PATH, files("service") / "web"),
    }
    for name, (path, folder) in folders.items():
        app.mount(path, StaticFiles(directory=str(folder)), name=name)
