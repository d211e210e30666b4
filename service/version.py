"""Which version of the service this is."""

from importlib import metadata


def version() -> str:
    """The installed version; ``0.0.0`` when it runs from a folder that was never installed."""
    try:
        return metadata.version("facegallery")
    except metadata.PackageNotFoundError:
        return "0.0.0"
