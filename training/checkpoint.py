"""Checkpoints: a folder for each, written whole or not at all, read without trusting pickle.

``checkpoints/step-000000120/`` holds ``state.pt``, what all ranks have alike, and one
``classes-<first>-<stop>.pt`` for each rank that wrote, with the rows of its classes. Any number of
ranks can read it: each takes the rows of the classes that are its own now.
"""

import logging
import os
import pickle
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embedding.errors import CheckpointInvalid
from training.ranks import Ranks

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
STATE_FILE = "state.pt"
VERSION = 3

_STEP_FOLDER = re.compile(r"step-(\d{9})")
_CLASSES_FILE = re.compile(r"classes-(\d{10})-(\d{10})\.pt")
# What torch and pickle raise for damaged files.
_READING_ERRORS = (
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def save_checkpoint(
    state: Mapping[str, Any],
    class_rows: Mapping[str, Tensor],
    *,
    run_folder: Path,
    step: int,
    first_class: int,
    num_classes: int,
    ranks: Ranks,
) -> Path:
    """Writes a checkpoint; every rank calls it. The ones before go when it stands.

    Files are written and synced in a temporary folder that is renamed at the end, so a kill or a
    full disk keeps the last checkpoint.

    Args:
        state: what all ranks have alike; the first rank writes it.
        class_rows: tensors with the same number of rows for each class of this rank.
        run_folder: folder of the run.
        step: optimizer steps done.
        first_class: first class of this rank.
        num_classes: how many classes it has.
        ranks: who writes.

    Returns:
        The folder of the checkpoint.

    Raises:
        CheckpointInvalid: it could not be written, by this rank or another.
    """
    folder = run_folder / CHECKPOINTS
    target, temporary = folder / f"step-{step:09d}", folder / "writing"
    device = next((rows.device for rows in class_rows.values()), torch.device("cpu"))
    reason = ""
    try:
        if ranks.is_first:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
    except OSError as error:
        reason = str(error)
    ranks.wait_for_all()
    try:
        if class_rows and not reason:
            name = f"classes-{first_class:010d}-{first_class + num_classes:010d}.pt"
            _write({"version": VERSION, "rows": dict(class_rows)}, temporary / name)
        if ranks.is_first and not reason:
            _write({"version": VERSION, "step": step, **state}, temporary / STATE_FILE)
    except (OSError, RuntimeError) as error:
        reason = str(error)
    failed = ranks.any(bool(reason), device)
    if not failed and ranks.is_first:
        reason = _put_in_place(temporary, target)
    if ranks.any(bool(reason), device) or failed:
        if ranks.is_first:
            shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointInvalid(
            f"could not write {target} ({reason or 'another rank failed'}); the checkpoint before "
            "it is untouched: free some space and give the same command again"
        )
    return target


def _write(content: Mapping[str, Any], path: Path) -> None:
    """The content with a checksum of its tensors, synced."""
    with path.open("wb") as file:
        torch.save({**content, "checksum": _checksum(content)}, file)
        file.flush()
        os.fsync(file.fileno())


def _checksum(content: Any) -> int:  # noqa: ANN401
    """CRC-32 of all tensors in nested dictionaries, in their order; torch itself keeps none."""
    if isinstance(content, Mapping):
        found = 0
        for value in content.values():
            found = zlib.crc32(_checksum(value).to_bytes(4, "little"), found)
        return found
    if isinstance(content, Tensor):
        flat = content.detach().cpu().contiguous().reshape(-1)
        return zlib.crc32(flat.view(torch.uint8).numpy().data) if len(flat) else 0
    return 0


def _put_in_place(temporary: Path, target: Path) -> str:
    """Renames, syncs the folders, removes older checkpoints; gives the reason of a failure."""
    try:
        _sync_folder(temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        _sync_folder(target.parent)
    except OSError as error:
        return str(error)
    for older in _complete(target.parent):
        if older != target:
            try:
                shutil.rmtree(older)
            except OSError as error:
                logger.warning("an older checkpoint cannot be removed: %s", error)
    return ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _complete(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if _STEP_FOLDER.fullmatch(one.name))


def latest_checkpoint(run_folder: Path) -> Path | None:
    """The folder of a run's last checkpoint, or None before the first one."""
    found = _complete(run_folder / CHECKPOINTS)
    return found[-1] if found else None


def load_state(path: Path) -> dict[str, Any]:
    """What all ranks had alike, on the CPU.

    Args:
        path: folder of a checkpoint, or of a run, whose last checkpoint is taken.

    Raises:
        CheckpointInvalid: missing, damaged, or from another version.
    """
    return _read(_checkpoint_folder(path) / STATE_FILE)


def load_class_rows(path: Path, first: int, stop: int) -> dict[str, Tensor]:
    """The rows of classes first..stop-1, put together from whatever ranks wrote them.

    Raises:
        CheckpointInvalid: damaged, or some of the classes are missing.
    """
    folder = _checkpoint_folder(path)
    parts: dict[str, list[Tensor]] = {}
    covered = first
    for file in sorted(folder.iterdir()):
        found = _CLASSES_FILE.fullmatch(file.name)
        if not found:
            continue
        begin, end = int(found[1]), int(found[2])
        low, high = max(first, begin), min(stop, end)
        if low >= high or low != covered:
            continue
        covered = high
        for name, rows in _rows_of(file, end - begin).items():
            each = len(rows) // (end - begin)
            part = rows[(low - begin) * each : (high - begin) * each].clone()
            parts.setdefault(name, []).append(part)
    if covered < stop:
        raise CheckpointInvalid(
            f"{folder} holds no rows for classes {covered} to {stop}; it was made for fewer "
            "identities, or a file of it is missing"
        )
    return {name: torch.cat(rows) for name, rows in parts.items()}


def _rows_of(file: Path, num_classes: int) -> dict[str, Tensor]:
    """The tensors of a shard, with the same number of rows for each class."""
    rows = _read(file).get("rows")
    if isinstance(rows, dict) and all(
        isinstance(one, Tensor) and one.dim() and len(one) and len(one) % num_classes == 0
        for one in rows.values()
    ):
        return rows
    raise CheckpointInvalid(f"{file} does not hold rows for {num_classes} classes")


def _checkpoint_folder(path: Path) -> Path:
    if (path / STATE_FILE).is_file():
        return path
    latest = latest_checkpoint(path)
    if latest is None:
        raise CheckpointInvalid(f"no checkpoint in {path}; train first or give its path")
    return latest


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointInvalid(
            f"{path} holds something else than tensors and plain values, or is damaged; nothing "
            "of it was run"
        ) from error
    except _READING_ERRORS as error:
        raise CheckpointInvalid(f"{path} cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise CheckpointInvalid(
            f"{path} is no checkpoint of version {VERSION}; begin again in another run folder"
        )
    stored = content.pop("checksum", None)
    if stored != _checksum(content):
        raise CheckpointInvalid(f"{path} is damaged: its checksum does not fit")
    return content
