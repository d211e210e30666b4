"""The loops over many vectors, by NumPy's products and FAISS; the only importer of faiss.

FAISS starts a team of OpenMP threads for every thread that calls it. Here it is called from a
few workers, one a core, each with a team of one: that is faster, and two searches cannot wait
for each other's teams.

Shapes: Q queries, N vectors, D embedding dimension, K results a query, B bytes of a code.
"""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Literal, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from index.matrix.vectors import Vectors

_Piece = TypeVar("_Piece")
_Found = TypeVar("_Found")

_PRODUCT_SIZE = 2**18
"""Multiplications of one product: the most that OpenBLAS does in the thread that asks."""

_FEWEST_ROWS, _MOST_ROWS = 8, 64
_MANY_ROWS = 2**12

_DECODED_BYTES = 2**19
"""Vectors that are decoded together, as float32."""

_HALF_SHIFT = 13  # float16 has 10 bits of fraction, float32 has 23.
_HALF_MASK = np.int32(-0x70000001)  # The sign and the low 28 bits.
_HALF_SCALE = np.float32(2.0**112)  # The exponents are biased by 15 and by 127.

_CODE_BITS = 4
_CODES_A_BLOCK = 32


@functools.cache
def _workers(name: str) -> tuple[ThreadPoolExecutor, int]:
    """Return the workers of this name and their number: OMP_NUM_THREADS, or the cores."""
    num = faiss.omp_get_max_threads()
    pool = ThreadPoolExecutor(
        num,
        thread_name_prefix=f"matrix-{name}",
        initializer=faiss.omp_set_num_threads,
        initargs=(1,),
    )
    return pool, num


# A forked process has the pools' bookkeeping and none of their threads.
os.register_at_fork(after_in_child=_workers.cache_clear)


def share_out(
    work: Callable[[Iterator[_Piece]], _Found],
    pieces: Iterable[_Piece],
    *,
    workers: Literal["search", "coding"] = "search",
) -> list[_Found]:
    """Return what each worker makes of its share of the pieces; a free worker takes the next.

    Coding has workers of its own, for no search could wait as long as it takes.
    """
    supply = deque(pieces)

    def take() -> Iterator[_Piece]:
        while True:
            try:
                piece = supply.popleft()
            except IndexError:
                return
            yield piece

    pool, num = _workers(workers)
    futures: list[Future[_Found]] = []
    try:
        futures += [pool.submit(work, take()) for _ in range(min(num, len(supply)))]
        return [future.result() for future in futures]
    finally:
        # Whatever went wrong: nobody may still read the vectors when the caller's lock is free.
        supply.clear()
        wait(futures)


def closest_half(
    query_D: NDArray[np.float32], vectors_ND: NDArray[np.float16], num: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the similarities (1, K) and rows (1, K) of the closest vectors, in any order.

    Args:
        query_D: (D,) float32.
        vectors_ND: (N, D) float16, contiguous; read once, and decoded on the way.
        num: K, 1 to N.
    """
    query_D = np.ascontiguousarray(query_D)
    scanner = _half_quantizer(len(query_D)).select_InvertedListScanner(
        faiss.METRIC_INNER_PRODUCT, None, True, None, False
    )
    scanner.set_query(faiss.swig_ptr(query_D))
    scanner.set_list(0, 0.0)  # Its "pairs" of list and place are then the rows.
    similarities_1K = np.full((1, num), -np.inf, dtype=np.float32)
    rows_1K = np.full((1, num), -1, dtype=np.int64)
    scanner.scan_codes(
        len(vectors_ND),
        faiss.swig_ptr(vectors_ND.view(np.uint8)),
        None,
        faiss.swig_ptr(similarities_1K),
        faiss.swig_ptr(rows_1K),
        num,
    )
    return similarities_1K, rows_1K


def to_float32(vectors_ND: Vectors) -> NDArray[np.float32]:
    """Return the vectors as float32, exactly; several times as fast as NumPy's conversion.

    A float16 is widened by moving its bits and mending the bias of its exponent, which is right
    for every finite value, subnormal ones too.
    """
    if vectors_ND.dtype == np.float32:
        return np.asarray(vectors_ND, dtype=np.float32)
    wide_ND = np.empty(vectors_ND.shape, dtype=np.float32)
    bits_ND = wide_ND.view(np.int32)
    np.left_shift(vectors_ND.view(np.int16), _HALF_SHIFT, out=bits_ND, dtype=np.int32)
    np.bitwise_and(bits_ND, _HALF_MASK, out=bits_ND)
    np.multiply(wide_ND, _HALF_SCALE, out=wide_ND)
    return wide_ND


class MatrixProduct:
    """Inner products with a fixed set of vectors, by NumPy in the calling thread.

    Few fixed vectors are multiplied with a few rows at a time, all in one call. Such products are
    too small for OpenBLAS to start threads of its own, which the workers' products would wait
    for, and it multiplies them where they lie; larger ones it copies first, which costs as much
    again. Many fixed vectors are worth the copy.
    """

    def __init__(self, fixed_QD: NDArray[np.floating]) -> None:
        self._fixed_QD = np.ascontiguousarray(fixed_QD, dtype=np.float32)
        self._fixed_DQ = np.ascontiguousarray(self._fixed_QD.T)
        most = _PRODUCT_SIZE // max(self._fixed_DQ.size, 1)
        few = min(1 << (most.bit_length() - 1), _MOST_ROWS) if most else 0
        self._num_rows = few if few >= _FEWEST_ROWS else _MANY_ROWS

    def of(self, vectors_ND: Vectors) -> NDArray[np.float32]:
        """Return the inner products (N, Q) of contiguous vectors (N, D)."""
        num, dimension = vectors_ND.shape
        products_NQ = np.empty((num, self._fixed_DQ.shape[1]), dtype=np.float32)
        # What has to be decoded first stays in a core's cache.
        step = num if vectors_ND.dtype == np.float32 else _DECODED_BYTES // (4 * dimension)
        for start in range(0, num, max(step, 1)):
            rows = slice(start, start + max(step, 1))
            self._multiply(to_float32(vectors_ND[rows]), products_NQ[rows])
        return products_NQ

    def _multiply(self, rows_ND: NDArray[np.float32], out_NQ: NDArray[np.float32]) -> None:
        dimension, num_fixed = self._fixed_DQ.shape
        even = len(rows_ND) - len(rows_ND) % self._num_rows
        np.matmul(
            rows_ND[:even].reshape(-1, self._num_rows, dimension),
            self._fixed_DQ,
            out=out_NQ[:even].reshape(-1, self._num_rows, num_fixed),
        )
        rest_ND, out_RQ = rows_ND[even:], out_NQ[even:]
        if self._num_rows == _MANY_ROWS and len(rest_ND) <= _MOST_ROWS:
            # Row by row: this product would be one of several threads, which then keep a core
            # busy for a tenth of a second.
            np.vecdot(rest_ND[:, np.newaxis, :], self._fixed_QD, out=out_RQ)
        elif len(rest_ND):
            np.matmul(rest_ND, self._fixed_DQ, out=out_RQ)


class SignScan:
    """The signs of vectors' components, compared with whole queries.

    FAISS' fast scan of product-quantizer codes (André et al., "Quicker ADC", 2019) with a
    codebook that is known beforehand: four components a code, whose 16 codewords are the signs
    that four components can have. The estimate of an inner product is then that of the query
    with the vector's signs, over the root of D; nothing is trained, so codes depend on nothing
    but their vector.
    """

    def __init__(self, signs_NB: NDArray[np.uint8]) -> None:
        """Take packed signs (N, B = D / 8), bit i of a row set where component i is positive."""
        num_vectors, num_bytes = signs_NB.shape
        self._dimension = 8 * num_bytes
        num_codes = self._dimension // _CODE_BITS
        signs = 2.0 * ((np.arange(2**_CODE_BITS)[:, np.newaxis] >> np.arange(_CODE_BITS)) & 1) - 1
        codebook = np.tile(signs / np.sqrt(self._dimension), (num_codes, 1, 1))
        source = faiss.IndexPQ(self._dimension, num_codes, _CODE_BITS, faiss.METRIC_INNER_PRODUCT)
        faiss.copy_array_to_vector(codebook.astype(np.float32).ravel(), source.pq.centroids)
        source.is_trained = True
        source.ntotal = num_vectors
        faiss.copy_array_to_vector(np.ascontiguousarray(signs_NB).ravel(), source.codes)
        fast_scan: Any = faiss.IndexPQFastScan  # FAISS' stubs know one constructor only.
        self._index = fast_scan(source, _CODES_A_BLOCK)
        self._packer = self._index.get_CodePacker()

    def closest(
        self, queries_QD: NDArray[np.float32], num: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the highest estimates (Q, K) in [-1, 1] and their rows (Q, K).

        The lowest of all may be missing: FAISS leaves them out, and the row there is -1.
        """
        estimates_QK, rows_QK = self._index.search(queries_QD, num)
        return estimates_QK, rows_QK

    def erase(self, rows: NDArray[np.int64]) -> None:
        """Overwrite the codes of the rows."""
        nothing_B = np.zeros(self._dimension // 8, dtype=np.uint8)
        codes = faiss.rev_swig_ptr(self._index.codes.get(), self._index.codes.size())
        blocks = codes.reshape(-1, self._packer.block_size)
        for row in rows.tolist():
            block, place = divmod(row, self._packer.nvec)
            self._packer.pack_1(nothing_B, place, blocks[block : block + 1])


@functools.cache
def _half_quantizer(dimension: int) -> Any:  # noqa: ANN401 - FAISS' stubs name half of it
    return faiss.ScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16)
