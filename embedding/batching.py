"""Crops of callers who embed at the same time, run as one batch.

Legend: B batch, H height, W width, C channels.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from embedding.runtime import MAX_BATCH, Embeddings, check_crops

MAX_WAIT_S = 0.002
"""A tenth of what finding a face takes: a wait in vain is hardly noticed, and a neighbour who is
about to be done is met."""


class SharedBatches:
    """Lets one of the waiting callers run the net for all of them; thread safe.

    Who comes alone starts at once. Who comes while other callers have announced their crops
    waits for these, but never longer than ``max_wait_s`` after its own coming. Who comes while
    the net runs waits for its end, and the next run takes all who wait.
    """

    def __init__(
        self,
        embed: Callable[[NDArray[np.uint8]], Embeddings],
        *,
        max_wait_s: float = MAX_WAIT_S,
        max_crops: int = MAX_BATCH,
    ) -> None:
        """Take what embeds crops (B, 112, 112, 3), and the limits.

        Args:
            embed: of one batch; called by one thread at a time, but for large batches.
            max_wait_s: how long the first of a batch waits for announced ones; 0 never waits.
            max_crops: a run takes no further caller beyond these.
        """
        self._embed = embed
        self._max_wait_s = max_wait_s
        self._max_crops = max_crops
        # Guards all below; only a leader that waits for announced callers waits for it.
        self._changed = threading.Condition()
        self._waiting: list[_Caller] = []
        self._led = False
        self._num_announced = 0
        self._num_runs = 0
        self._num_crops = 0

    @property
    def counts(self) -> tuple[int, int]:
        """Runs so far, and crops in them."""
        with self._changed:
            return self._num_runs, self._num_crops

    @contextmanager
    def announced(self) -> Iterator[Callable[[NDArray[np.uint8]], Embeddings]]:
        """Tell that crops will come soon; what is given embeds them, once.

        An error in between takes the announcement back.
        """
        with self._changed:
            self._num_announced += 1
        pending = True

        def arrive() -> None:
            nonlocal pending
            if pending:
                pending = False
                self._num_announced -= 1
                self._changed.notify()

        def embed(crops_BHWC: NDArray[np.uint8]) -> Embeddings:
            return self._run(crops_BHWC, arrive)

        try:
            yield embed
        finally:
            with self._changed:
                arrive()

    def embed(self, crops_BHWC: NDArray[np.uint8]) -> Embeddings:
        """The embeddings of crops that nobody announced.

        Raises:
            RequestInvalid: another shape or dtype than uint8 (B, 112, 112, 3).
            ModelInvalid: the net gives NaN or a zero vector for one of these crops.
        """
        return self._run(crops_BHWC, lambda: None)

    def _run(self, crops_BHWC: NDArray[np.uint8], arrive: Callable[[], None]) -> Embeddings:
        check_crops(crops_BHWC)
        if not 0 < len(crops_BHWC) < self._max_crops:
            with self._changed:
                arrive()
                self._num_runs += bool(len(crops_BHWC))
                self._num_crops += len(crops_BHWC)
            return self._embed(crops_BHWC)
        caller = _Caller(crops_BHWC)
        with self._changed:
            arrive()
            self._waiting.append(caller)
            caller.leads = not self._led
            self._led = True
            self._changed.notify()
        try:
            if not caller.leads:
                caller.turn.wait()
            if caller.leads:
                self._lead(caller)
        except BaseException:
            # An interrupt; the others must not wait for somebody who has left.
            with self._changed:
                if caller in self._waiting:
                    self._waiting.remove(caller)
                    if caller.leads:
                        self._hand_over()
            raise
        return caller.outcome()

    def _lead(self, leader: "_Caller") -> None:
        """Run the net for all who wait, then let the next one lead."""
        with self._changed:
            left_s = leader.came_at + self._max_wait_s - time.monotonic()
            if left_s > 0:
                self._changed.wait_for(self._is_complete, timeout=left_s)
            batch = self._take()
        try:
            self._answer(batch)
        except BaseException as error:
            for caller in batch:
                caller.error = caller.error or error
            raise
        finally:
            with self._changed:
                self._hand_over()
            for caller in batch:
                caller.turn.set()

    def _is_complete(self) -> bool:
        num_crops = sum(len(caller.crops_BHWC) for caller in self._waiting)
        return self._num_announced == 0 or num_crops >= self._max_crops

    def _take(self) -> list["_Caller"]:
        """Take the first callers off the list, as many as fit."""
        num, num_crops = 0, 0
        for caller in self._waiting:
            num_crops += len(caller.crops_BHWC)
            if num and num_crops > self._max_crops:
                num_crops -= len(caller.crops_BHWC)
                break
            num += 1
        batch, self._waiting = self._waiting[:num], self._waiting[num:]
        self._num_runs += 1
        self._num_crops += num_crops
        return batch

    def _answer(self, batch: list["_Caller"]) -> None:
        if len(batch) == 1:
            batch[0].embed_alone(self._embed)
            return
        try:
            found = self._embed(np.concatenate([caller.crops_BHWC for caller in batch]))
        except Exception:
            # One caller's crop must not be another caller's error.
            for caller in batch:
                caller.embed_alone(self._embed)
            return
        start = 0
        for caller in batch:
            stop = start + len(caller.crops_BHWC)
            caller.found = Embeddings(
                vectors=found.vectors[start:stop], norms=found.norms[start:stop]
            )
            start = stop

    def _hand_over(self) -> None:
        """Let the first who waits lead, or nobody; the lock must be held."""
        self._led = bool(self._waiting)
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].turn.set()


class _Caller:
    """One who embeds: the crops, and what comes of them."""

    __slots__ = ("came_at", "crops_BHWC", "error", "found", "leads", "turn")

    def __init__(self, crops_BHWC: NDArray[np.uint8]) -> None:
        self.crops_BHWC = crops_BHWC
        self.came_at = time.monotonic()
        self.turn = threading.Event()
        self.leads = False
        self.found: Embeddings | None = None
        self.error: BaseException | None = None

    def embed_alone(self, embed: Callable[[NDArray[np.uint8]], Embeddings]) -> None:
        """Run the net for this caller only, and keep its error for it."""
        try:
            self.found = embed(self.crops_BHWC)
        except Exception as error:
            self.error = error

    def outcome(self) -> Embeddings:
        """Return the embeddings, or raise the error."""
        if isinstance(self.error, Exception):
            raise self.error
        if self.found is None:
            raise RuntimeError("the run that these crops had joined was ended") from self.error
        return self.found
