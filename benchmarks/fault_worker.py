"""The process that is killed: opens the galleries, checks them, and changes them at random.

It says through a pipe what it does, a line of JSON each: that a change begins, that it was
acknowledged, and what the checks found.
"""

import json
import logging
import os
import random
import signal
import time
import traceback
from typing import Any

from benchmarks.fault_check import check, check_files, check_snapshots
from benchmarks.fault_model import Change, Chooser, Expected, seeds_of, template
from benchmarks.fault_place import Place
from embedding.errors import StoreError
from index.galleries import Galleries
from index.key_ring import KeyRing
from index.records import NewSubject

_BACK_WITHIN_S = 30.0
_DEEP_SHARE = 0.1
"""Of the starts, those after which the live files are searched, too."""

_NUM_SEARCHED = 40


class Worker:
    """One process's work on a place.

    Args:
        place: that nobody else has open.
        expected: what must be there; a copy, since the process was forked.
        pipe: descriptor that the lines are written to.
        seed: of everything random.
    """

    def __init__(self, place: Place, expected: Expected, *, pipe: int, seed: int) -> None:
        self._place = place
        self._expected = expected
        self._pipe = pipe
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        self._told = _Told(self)

    def run(self) -> None:
        """Work until the kill; returns only after something went wrong, and was said."""
        logging.getLogger().addHandler(self._told)
        try:
            with self._place.open(upkeep_s=self._dice.choice([0.01, 0.05, 0.3])) as galleries:
                self.say("opened")
                self._check(galleries, at_start=True)
                self._change_for_ever(galleries)
        except Exception:
            # The parent counts it as a failure.
            self.say("failure", text=traceback.format_exc())

    def say(self, what: str, **more: Any) -> None:  # noqa: ANN401 - JSON
        """Tell the parent; a line is written whole or not at all."""
        os.write(self._pipe, (json.dumps({"what": what, **more}) + "\n").encode())

    def _check(self, galleries: Galleries, *, at_start: bool) -> None:
        """Check everything; says which of the open changes are there."""
        # What a dead client's server still commits is followed first.
        galleries.sync()
        made = check(galleries, self._expected, dice=self._dice)
        keep = [] if at_start else [each for each in self._expected.open if each not in made]
        # The ledger may hold a removal that failed; the next start carries it out.
        keep = [each for each in keep if each.is_removal]
        self.say(
            "resolved",
            made=[each.to_json() for each in made],
            keep=[each.to_json() for each in keep],
        )
        self._expected.resolve(made, keep=keep)
        if at_start and self._dice.random() < _DEEP_SHARE:
            self._check_files(galleries)

    def _check_files(self, galleries: Galleries) -> None:
        galleries.maintain()
        check_snapshots(galleries)
        present = sorted(seeds_of(self._expected.state))
        check_files(
            self._place.data,
            self._dice.sample(present, min(_NUM_SEARCHED, len(present))),
            self._expected.gone[-_NUM_SEARCHED:],
            sealed=self._place.sealed,
        )
        self.say("searched")

    def _change_for_ever(self, galleries: Galleries) -> None:
        chooser = Chooser(self._dice)
        while True:
            change = chooser.choose(self._expected)
            self._expected.begin(change)
            self.say("begun", change=change.to_json())
            try:
                self._make(galleries, change)
            except StoreError as error:
                # Right only where the parent made the server crash.
                self.say("lost", text=f"{type(error).__name__}: {error}")
                self._recover(galleries)
            else:
                self._expected.acknowledge()
                self.say("acknowledged")

    def _recover(self, galleries: Galleries) -> None:
        """Go on when the server is back; what it holds decides."""
        deadline = time.monotonic() + _BACK_WITHIN_S
        while True:
            try:
                galleries.sync()
                break
            except StoreError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._check(galleries, at_start=False)
        self.say("recovered")

    def _make(self, galleries: Galleries, change: Change) -> None:
        match change.kind:
            case "create":
                galleries.create(change.gallery, fingerprint="a" * 64, space=change.space)
            case "delete":
                galleries.delete(change.gallery)
            case "maintain":
                galleries.maintain()
            case "rotate":
                KeyRing.rotate(self._place.key_file)
            case "retire":
                self._retire(galleries)
            case _:
                self._change_people(galleries, change)

    def _change_people(self, galleries: Galleries, change: Change) -> None:
        gallery = galleries.get(change.gallery)
        key, name, seeds = change.people[0]
        subject = gallery.find_subject(external_id=key)
        if change.kind == "enroll" and len(change.people) == 1:
            gallery.enroll([template(seed) for seed in seeds], name=name, external_id=key)
        elif change.kind == "enroll":
            gallery.enroll_many(
                [
                    NewSubject(
                        name=name,
                        external_id=key,
                        templates=tuple(template(seed) for seed in seeds),
                    )
                    for key, name, seeds in change.people
                ]
            )
        elif subject is None:
            raise RuntimeError(f"{key} is not there any more")
        elif change.kind == "remove_subject":
            gallery.remove_subject(subject.id)
        elif change.kind == "rename":
            gallery.rename(subject.id, name=name)
        else:
            ids = {each.face_id: each.id for each in gallery.templates(subject.id)}
            gallery.remove_template(ids[str(seeds[0])])

    def _retire(self, galleries: Galleries) -> None:
        """Seal all with the newest key, then let the others go, as a person does."""
        galleries.maintain()
        ring = KeyRing.read(self._place.key_file)
        for key in ring.keys[1:]:
            KeyRing.retire(self._place.key_file, key.id)


class _Told(logging.Handler):
    """Passes warnings on to the parent, which knows which of them are right."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(logging.WARNING)
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        self._worker.say("warned", text=record.getMessage())


def start(place: Place, expected: Expected, *, seed: int) -> tuple[int, int]:
    """Fork a worker; returns its process id and the descriptor to read its lines from."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(reading)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            Worker(place, expected, pipe=writing, seed=seed).run()
        finally:
            # Nothing of the parent's, such as its server, may be ended from here.
            os._exit(1)
    os.close(writing)
    return process, reading
