"""How large requests may be, how many are worked on, and how long they may take."""

from typing import Annotated

from pydantic import Field

from embedding.photo import PhotoLimits
from service.settings_sections.section import Section

MiB = 1024 * 1024

_PHOTO = PhotoLimits()  # the package's own defaults


class LoadSettings(Section):
    """Sizes, processes, threads, the queue and the deadlines."""

    max_photo_bytes: Annotated[
        int, Field(ge=1024, description="Largest photo that is accepted, in bytes.")
    ] = _PHOTO.max_bytes
    max_photo_pixels: Annotated[
        int,
        Field(
            ge=1024,
            description="Most pixels a photo's header may announce; 50 million is "
            "more than any phone makes by default and 150 MB when decoded.",
        ),
    ] = _PHOTO.max_pixels
    max_photos: Annotated[
        int, Field(ge=1, le=1000, description="Most photos in one enroll request.")
    ] = 32
    max_request_bytes: Annotated[
        int,
        Field(ge=2048, description="Largest body of an enroll request, all photos together."),
    ] = 64 * MiB
    max_import_bytes: Annotated[
        int,
        Field(
            ge=2048,
            description="Largest file of a gallery that is taken in over HTTP; it lies in memory, "
            "one at a time in a process.",
        ),
    ] = 256 * MiB
    num_processes: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Processes that `serve` runs behind one address; more than one need "
            "PostgreSQL.",
        ),
    ] = 1
    num_workers: Annotated[
        int | None,
        Field(
            ge=1,
            description="Photos worked on at the same time in a process. Unset: as many as CPU "
            "cores, shared out among the processes.",
        ),
    ] = None
    num_threads: Annotated[
        int | None,
        Field(
            ge=1,
            description="Threads that the nets use: all for a run of the embedding net, shared "
            "out among the photos in work for the detector. Unset: the runtime decides, or with "
            "several processes their share of the cores.",
        ),
    ] = None
    batch_wait_ms: Annotated[
        float,
        Field(
            ge=0,
            le=1000,
            description="Milliseconds that a face waits for those of other photos in work, to "
            "share a run of the net; alone it never waits.",
        ),
    ] = 2.0
    max_queued: Annotated[
        int,
        Field(
            ge=0,
            description="Requests with photos that may wait beside those that are worked on; "
            "more are answered 429.",
        ),
    ] = 64
    deadline_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds that a photo waits for a worker; then 503, and nothing is begun.",
        ),
    ] = 10.0
    body_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds that the body of a request may take to come.",
        ),
    ] = 60.0
    work_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds that the photos of an enroll may take together; it is stopped "
            "between two photos then: 503, and nothing is saved.",
        ),
    ] = 120.0
    transfer_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Seconds that a gallery may take to be fetched over HTTP, or its file to "
            "come.",
        ),
    ] = 600.0
