"""What whoever runs the service sees of it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from service.logs import LogFormat
from service.settings_sections.section import Section


class WatchingSettings(Section):
    """Metrics, traces and logs."""

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
