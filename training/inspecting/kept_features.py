"""Features on the disk, for a second inspection of the same sets by the same model.

Embeddings are biometric data: they are written only when a user asks for it, for the owner's
eyes alone.
"""

import hashlib
import logging
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from training.inspecting.gathered import CropEmbedder, Features, NamedSet, measure

logger = logging.getLogger(__name__)

FILE_NAME: Final = "embeddings.npz"


def measure_or_load(
    sets: Sequence[NamedSet], embedder: CropEmbedder, *, fingerprint: str, file: Path
) -> Features:
    """The features of the sets: those in the file if they are of these images and this model.

    Args:
        sets: DATA first.
        embedder: asked where the file does not help; the file is then written anew.
        fingerprint: of the embedder's model.
        file: readable by its owner alone.
    """
    binding = _binding(sets, fingerprint)
    features = _load(file, binding)
    if features is not None:
        logger.info("embeddings are taken from %s", file)
        return features
    features = measure(sets, embedder)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        # A file that was there keeps its mode when it is opened.
        os.fchmod(stream.fileno(), 0o600)
        np.savez(
            stream,
            binding=np.array(binding),
            unit_ND=features.unit_ND,
            norms_N=features.norms_N,
            greys_NG=features.greys_NG,
            digests_N=features.digests_N,
        )
    return features


def _binding(sets: Sequence[NamedSet], fingerprint: str) -> str:
    """A digest of the model and of every image's key and size."""
    digest = hashlib.sha256(fingerprint.encode())
    for one in sets:
        digest.update(b"\nset\n")
        for image in range(len(one.images)):
            size = one.images.store.num_bytes(int(one.images.rows_N[image]))
            digest.update(f"{one.images.key(image)}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _load(file: Path, binding: str) -> Features | None:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if str(arrays["binding"]) != binding:
                logger.info("%s is of other images or another model and is made anew", file)
                return None
            return Features(
                unit_ND=arrays["unit_ND"],
                norms_N=arrays["norms_N"],
                greys_NG=arrays["greys_NG"],
                digests_N=arrays["digests_N"],
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        logger.warning("%s cannot be read and is made anew", file)
        return None
