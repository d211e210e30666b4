"""Health, the page with the API docs and its files, all without a key."""

from importlib.resources import files

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from service import schemas
from service.assembly import Parts
from service.errors import problem
from service.openapi import problems

router = APIRouter()

STATIC_PATH = "/static/docs"

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
def root() -> RedirectResponse:
    """Lead a person to the docs."""
    return RedirectResponse("docs")


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


def mount_docs_files(app: FastAPI) -> None:
    """Serves the page's scripts from the package that ships them: the network may be absent."""
    folder = str(files("fastapi_offline") / "static")
    app.mount(STATIC_PATH, StaticFiles(directory=folder), name="docs-files")
