"""Checkpoints: written whole or not at all, read without trusting pickle."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from embedding.errors import CheckpointInvalid

LATEST = "checkpoint.pt"
VERSION = 1


def save_checkpoint(state: dict[str, Any], run_folder: Path) -> Path:
    """Writes under a temporary name, syncs, renames: a kill or a full disk keeps the last one."""
    path = run_folder / LATEST
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"version": VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointInvalid(
            f"could not write {path} ({error}); the checkpoint before it is untouched"
        ) from error
    return path


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote, on the CPU.

    Raises:
        CheckpointInvalid: missing, damaged, or from another version.
    """
    if not path.is_file():
        raise CheckpointInvalid(f"no checkpoint at {path}; train first or give its path")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        pickle.UnpicklingError,
    ) as error:
        raise CheckpointInvalid(f"{path} cannot be read as a checkpoint: {error}") from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise CheckpointInvalid(f"{path} is no checkpoint of version {VERSION}")
    return state
