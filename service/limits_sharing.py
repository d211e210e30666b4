"""The quota a day of keys, counted by all processes together and over restarts."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from embedding.errors import StoreError
from index.store.keys import ApiKeys
from index.upkeep import Upkeep
from service.limits import Limits

logger = logging.getLogger(__name__)

SHARED_WITHIN_S: Final = 5.0
"""How long a process counts by itself. So far keys can go beyond their quota: by what all but one
process answer in this time."""


@contextmanager
def sharing(limits: Limits, rows: ApiKeys) -> Iterator[None]:
    """Run a block in which the day's counts are shared through the database.

    Args:
        limits: of this process.
        rows: of the keys.

    Raises:
        StoreError: what was counted before cannot be read.
    """
    share_once(limits, rows, always=True)
    upkeep = Upkeep(lambda: share_once(limits, rows), every_s=SHARED_WITHIN_S)
    try:
        yield
    finally:
        upkeep.stop()
        try:
            share_once(limits, rows)
        except StoreError as error:
            logger.warning("the last requests of keys are not counted: %s", error)


def share_once(limits: Limits, rows: ApiKeys, *, always: bool = False) -> None:
    """Add what was counted here, and take over what was counted elsewhere.

    Args:
        limits: of this process.
        rows: of the keys.
        always: ask also where no key with a quota has asked here.
    """
    day, counts = limits.unshared()
    # Where nobody else counts there is nothing to hear of.
    if always or any(counts.values()) or (counts and rows.shared):
        limits.take_over(day, counts, totals=rows.count_requests(day, counts))
