"""The report of aligning: one JSON line a wanted crop, appended as soon as its fate is known."""

import fcntl
import json
import logging
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType

from embedding.detect import Box
from embedding.errors import DataInvalid
from training.data.annotations import Annotation

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedCrop:
    """A crop to be made.

    Attributes:
        entry: the photo, whom it shows, and where.
        file: path of the crop below the target folder, with forward slashes.
    """

    entry: Annotation
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CropFate:
    """What a line says.

    Attributes:
        file: path of the crop below the target folder, made or not.
        is_made: whether it was made; otherwise it failed.
    """

    file: str
    is_made: bool


class AlignReportFile:
    """The report, open for appending and closed to other runs.

    Of several lines about one entry the last counts. A last line that a kill tore is removed.

    Attributes:
        fates: by entry; kept up to date.

    Raises:
        DataInvalid: another run holds it, or a line in it is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fates: dict[Annotation, CropFate] = {}
        self._stream = path.open("a+b")
        try:
            self._lock()
            self._load()
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> "AlignReportFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def add(self, crop: WantedCrop, reason: str | None) -> None:
        """Appends a line; the reason is None for a crop that was made.

        Raises:
            DataInvalid: the line cannot be written.
        """
        entry = crop.entry
        line: dict[str, object] = {
            "photo": entry.photo,
            "identity": entry.identity,
            "status": "ok" if reason is None else "failed",
            "crop": crop.file,
        }
        if reason is not None:
            line["reason"] = reason
        if entry.box is not None:
            line["box"] = astuple(entry.box)
        try:
            self._stream.write(json.dumps(line).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise DataInvalid(f"{self._path} cannot be written: {error}") from error
        self.fates[entry] = CropFate(file=crop.file, is_made=reason is None)

    def _lock(self) -> None:
        """Held until the file is closed, whatever way the process ends."""
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataInvalid(f"another run writes {self._path}; wait for its end") from error
        except OSError as error:
            logger.info("%s cannot be locked on this file system: %s", self._path, error)

    def _load(self) -> None:
        self._stream.seek(0)
        num_good_bytes = 0
        for number, line in enumerate(self._stream, 1):
            if not line.endswith(b"\n"):
                break
            try:
                self._learn(line)
            except (ValueError, KeyError, TypeError) as error:
                raise DataInvalid(
                    f"{self._path}, line {number} is no line of this report; remove it"
                ) from error
            num_good_bytes += len(line)
        self._stream.truncate(num_good_bytes)

    def _learn(self, line: bytes) -> None:
        values = json.loads(line)
        box = None
        if "box" in values:
            left, top, right, bottom = map(float, values["box"])
            box = Box(left=left, top=top, right=right, bottom=bottom)
        entry = Annotation(photo=values["photo"], identity=values["identity"], box=box)
        is_made = {"ok": True, "failed": False}[values["status"]]
        self.fates[entry] = CropFate(file=values["crop"], is_made=is_made)
