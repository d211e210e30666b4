"""How a thread that must go on tells of an error that nobody foresaw."""

import logging
import os
import traceback


def log_fault(logger: logging.Logger, what: str, error: Exception) -> None:
    """Log an error's type and where it was raised; not its own text, which may name a person.

    Args:
        logger: of the module that goes on.
        what: failed, and what follows from it.
        error: caught.
    """
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        # The system's own words: those of the error may name a file.
        kind = f"{kind} ({os.strerror(error.errno)})"
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("fault: %s: %s\n%s", what, kind, where)
