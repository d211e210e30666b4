"""What the service is compared with: the same work on a photo, and nothing around it.

Legend: H height, W width, C channels, B batch, N templates, D embedding dimension.
"""

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from embedding.align import align_face
from embedding.detect import MtcnnDetector
from embedding.model import ModelDirectory, find_model
from embedding.photo import decode_photo
from embedding.runtime import EmbeddingNet
from index.matrix.exact import ExactMatrix

NUM_RESULTS = 36
"""What an identification with five candidates asks the matrix for."""


def bare_identify(
    vectors_ND: NDArray[np.float32], *, num_streams: int = 1
) -> Callable[[bytes], None]:
    """Decodes, detects, aligns, embeds and searches among these templates; thread safe.

    Args:
        vectors_ND: (N, D) float32, unit length.
        num_streams: photos in which the detector looks at the same time.
    """
    detector = MtcnnDetector(num_streams=num_streams)
    net = EmbeddingNet(ModelDirectory.open(find_model(None)))
    matrix = ExactMatrix(vectors_ND.shape[1])
    matrix.add(np.arange(len(vectors_ND)), vectors_ND)

    def identify(photo: bytes) -> None:
        photo_HWC = decode_photo(photo)
        faces = detector.detect(photo_HWC)
        crops_BHWC = np.stack([align_face(photo_HWC, face.landmarks) for face in faces])
        for vector_D in net.embed(crops_BHWC).vectors:
            matrix.search(vector_D[np.newaxis], NUM_RESULTS)

    return identify


def looped(
    work: Callable[[bytes], None], photo: bytes, *, num_threads: int, num_runs: int
) -> tuple[float, float]:
    """CPU seconds and wall seconds of one run, where so many threads share the runs."""
    shares = [range(start, num_runs, num_threads) for start in range(num_threads)]

    def run(share: range) -> None:
        for _ in share:
            work(photo)

    threads = [threading.Thread(target=run, args=(share,)) for share in shares]
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.process_time() - cpu_s) / num_runs, (time.perf_counter() - wall_s) / num_runs
