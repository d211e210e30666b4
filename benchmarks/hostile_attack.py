"""Sends hostile uploads to a service, and judges its answers."""

import base64
import json
import random
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from benchmarks.hostile_photos import ACCEPTED, UNREADABLE, HostilePhotos, Upload
from benchmarks.http_callers import Caller, Prepared, address_of, prepare

ROUTES: Final = ("identify", "detect", "enroll, dry run", "enroll")
_FACE_CODES: Final = frozenset({"no_face", "several_faces", "face_quality_too_low"})
_FORM_CODES: Final = frozenset({"request_malformed", "request_invalid", "request_too_large"})
_FIRST_FAULT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An upload that was not answered as it must be, and by what."""

    upload: Upload
    route: str
    answer: str


@dataclass(slots=True, kw_only=True)
class Seen:
    """What came back.

    Attributes:
        statuses: how many of each; 0 stands for a broken connection.
        codes: of problem documents, `accepted` for successes.
        kinds: of uploads, with their answers: "cut off: photo_unreadable".
        failures: answers that no caller may get.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def note(self, upload: Upload, route: str, status: int, body: bytes) -> None:
        """Takes one answer in."""
        code = _code(status, body)
        self.statuses[status] += 1
        self.codes[code] += 1
        self.kinds[f"{upload.kind}: {code}"] += 1
        judged = ACCEPTED if route.startswith("enroll") and code in _FACE_CODES else code
        if judged not in upload.expected or status == 0 or status >= _FIRST_FAULT:
            self.failures.append(Failure(upload=upload, route=route, answer=f"{status} {code}"))


def attack(
    url: str,
    photos: HostilePhotos,
    numbers: Iterable[int],
    *,
    headers: Mapping[str, str],
    num_callers: int,
) -> Seen:
    """Sends the uploads with these numbers, by so many callers at the same time.

    Args:
        url: of the service.
        photos: makes them.
        numbers: of the uploads; each goes to the route that its number chooses.
        headers: with an admin's key.
        num_callers: each sends its next upload when it has its answer.
    """
    seen, lock, left = Seen(), threading.Lock(), iter(list(numbers))
    broken: list[BaseException] = []

    def call() -> None:
        caller = Caller(address_of(url))
        try:
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                upload, route, request = _request(url, photos, number, headers)
                status, body = caller.ask(request)
                if route == "enroll" and _code(status, body) == ACCEPTED:
                    _remove(caller, url, headers, body)
                with lock:
                    seen.note(upload, route, status, body)
        except BaseException as error:
            broken.append(error)
            raise
        finally:
            caller.close()

    threads = [threading.Thread(target=call) for _ in range(num_callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return seen


def keep(failure: Failure, folder: Path, *, seed: int) -> Path:
    """Writes the upload of a failure into a folder, and gives the file's path back."""
    folder.mkdir(parents=True, exist_ok=True)
    route = failure.route.replace(", ", "-").replace(" ", "-")
    path = folder / f"{seed}-{failure.upload.number}-{route}.bin"
    path.write_bytes(failure.upload.content)
    return path


def _request(
    url: str, photos: HostilePhotos, number: int, headers: Mapping[str, str]
) -> tuple[Upload, str, Prepared]:
    upload = photos.upload(number)
    dice = random.Random(f"route:{number}")  # noqa: S311 - no secret
    route = dice.choice(ROUTES)
    path = "/v1/" + route.partition(",")[0]
    part = "photos" if path == "/v1/enroll" else "photo"
    fields = {"subject": f"hostile {number}"} if part == "photos" else {}
    flags = {"dry_run": "true"} if route == "enroll, dry run" else {}
    if dice.random() < 0.3:
        encoded = base64.b64encode(upload.content).decode()
        body: dict[str, object] = {part: [encoded] if part == "photos" else encoded}
        body |= {**fields, **({"dry_run": True} if flags else {})}
        return upload, route, prepare(url, path, headers=headers, json=body)
    request = prepare(
        url,
        path,
        headers=headers,
        files=[(part, (upload.name, upload.content, upload.content_type))],
        data=fields | flags,
    )
    if dice.random() < 0.1:
        expected = upload.expected | _FORM_CODES | UNREADABLE | {ACCEPTED, "name_invalid"}
        upload = replace(upload, kind="broken form", expected=expected)
        request = _with_broken_form(request, dice)
    return upload, route, request


def _with_broken_form(request: Prepared, dice: random.Random) -> Prepared:
    """The request with bytes of its form changed; its length stays what was announced."""
    head, _, body = request.content.partition(b"\r\n\r\n")
    changed = bytearray(body)
    for _ in range(dice.choice((1, 3, 20))):
        # The form's own lines are at both ends.
        place = dice.randrange(min(len(changed), 250))
        changed[-1 - place if dice.random() < 0.5 else place] = dice.randrange(256)
    return Prepared(content=head + b"\r\n\r\n" + bytes(changed))


def _remove(caller: Caller, url: str, headers: Mapping[str, str], body: bytes) -> None:
    """Removes who was enrolled, so that the gallery does not grow."""
    subject_id = json.loads(body)["subject_id"]
    path = f"/v1/galleries/default/subjects/{subject_id}"
    post = prepare(url, path, headers=headers)
    delete = Prepared(content=b"DELETE" + post.content.removeprefix(b"POST"))
    status, _ = caller.ask(delete)
    if status != 200:
        raise RuntimeError(f"the removal of an enrolled person answered {status}")


def _code(status: int, body: bytes) -> str:
    if 200 <= status < 300:
        return ACCEPTED
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError):
        return "no problem document"
