"""Queries compared with every vector of some segments.

Shapes: Q queries, N vectors, D embedding dimension, K results a query, F results found.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.matrix.best import Best
from index.matrix.kernels import MatrixProduct, closest_half, share_out, to_float32
from index.matrix.segment import Segment
from index.matrix.vectors import NO_ID

_PIECE_ROWS = 16_384
"""Small enough that the workers end at about the same time, large enough for little overhead."""

_BLOCK_SIMILARITIES = 2**18
"""Similarities that are kept at a time: 1 MB."""

MAX_QUERIES = 64
"""The most queries of one pass: more gain little speed, and changes wait for its end."""

_MORE = 4
"""Results besides those wanted: one that is a rounding behind the last may go before it."""

_COMPARED = 2**14
"""Results that are compared once more together: 32 MB of vectors."""

_MIN_QUERIES_FLOAT16 = 8
"""From so many on, a matrix product is worth the decoding; float32 needs none."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """The rows from start up to stop of a segment."""

    segment: Segment
    start: int
    stop: int


def closest_of_all(segments: Sequence[Segment], queries_QD: NDArray[np.float32], num: int) -> Best:
    """Return the best among all live rows of the segments; the caller keeps changes away.

    A pass sums in float32, and in another order for one query than for several: so the same
    query would get other last digits, and of two nearly equal vectors the other one, in company.
    What it finds is therefore compared once more.

    Args:
        segments: of one storage.
        queries_QD: (Q, D) float32, contiguous, at most `MAX_QUERIES`.
        num: K, at least 1.
    """
    ids_QK = _scan(segments, queries_QD, num + _MORE).results()[1]
    best = Best(len(queries_QD), num)
    step = max(_COMPARED // ids_QK.shape[1], 1)
    for start in range(0, len(queries_QD), step):
        queries_F, places_F = np.nonzero(ids_QK[start : start + step] != NO_ID)
        if len(queries_F) == 0:
            continue
        queries_F += start
        ids_U, each_F = np.unique(ids_QK[queries_F, places_F], return_inverse=True)
        vectors_UD = _vectors_of(segments, ids_U, dimension=queries_QD.shape[1])
        similarities_F = inner_products(vectors_UD[each_F], queries_QD[queries_F])
        best.add(queries_F, similarities_F, ids_U[each_F])
    return best


def inner_products(
    vectors_FD: NDArray[np.float32], queries_FD: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the inner product (F,) of each vector and its query, rounded once.

    Sums of doubles: they are the same whatever else is computed beside them.

    Args:
        vectors_FD: (F, D).
        queries_FD: (F, D), or one of all of them (1, D).
    """
    products_F: NDArray[np.float64] = np.einsum(
        "fd,fd->f",
        vectors_FD,
        np.broadcast_to(queries_FD, vectors_FD.shape),
        dtype=np.float64,
    )
    return products_F.astype(np.float32)


def _scan(segments: Iterable[Segment], queries_QD: NDArray[np.float32], num: int) -> Best:
    pieces = [
        _Piece(segment, start, min(start + _PIECE_ROWS, segment.count))
        for segment in segments
        if segment.num_live
        for start in range(0, segment.count, _PIECE_ROWS)
    ]
    best = Best(len(queries_QD), num)
    half = bool(pieces) and pieces[0].segment.vectors_ND.dtype == np.float16
    if len(queries_QD) >= (_MIN_QUERIES_FLOAT16 if half else 1):
        work = functools.partial(_by_product, MatrixProduct(queries_QD), len(queries_QD), num)
    else:
        work = functools.partial(_one_by_one, queries_QD, num)
    for found in share_out(work, pieces):
        best.take_in(found)
    return best


def _one_by_one(queries_QD: NDArray[np.float32], num: int, pieces: Iterator[_Piece]) -> Best:
    best = Best(len(queries_QD), num)
    for piece in pieces:
        rows = slice(piece.start, piece.stop)
        halves_ND = np.asarray(piece.segment.vectors_ND[rows], dtype=np.float16)
        ids_N, dead_N = piece.segment.ids_N[rows], piece.segment.dead_N[rows]
        for number, query_D in enumerate(queries_QD):
            _, similarities_F, rows_F = closest_live(
                functools.partial(closest_half, query_D, halves_ND), num, dead_N
            )
            best.add(np.full(len(rows_F), number), similarities_F, ids_N[rows_F])
    return best


def _by_product(
    product: MatrixProduct, num_queries: int, num: int, pieces: Iterator[_Piece]
) -> Best:
    best = Best(num_queries, num)
    step = max(_BLOCK_SIMILARITIES // num_queries, 1)
    for piece in pieces:
        segment = piece.segment
        for start in range(piece.start, piece.stop, step):
            rows = slice(start, min(start + step, piece.stop))
            best.add_block(
                product.of(segment.vectors_ND[rows]),
                segment.ids_N[rows],
                segment.dead_N[rows] if segment.num_dead else None,
            )
    return best


def closest_live(
    fetch: Callable[[int], tuple[NDArray[np.float32], NDArray[np.int64]]],
    num: int,
    dead_N: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Return at least so many live results as there are: query numbers, similarities, rows (F,).

    Args:
        fetch: gives the closest rows of each query, dead or alive: (Q, K) for a K; a row -1
            is none.
        num: how many are wanted for each query.
        dead_N: which rows are not.
    """
    similarities_QK, rows_QK = fetch(min(num, len(dead_N)))
    if dead_N[rows_QK].any():
        # Rare: what was overwritten with zeros seldom comes among the closest.
        similarities_QK, rows_QK = fetch(min(num + int(dead_N.sum()), len(dead_N)))
    live_QK = (rows_QK >= 0) & ~dead_N[rows_QK]
    return np.nonzero(live_QK)[0], similarities_QK[live_QK], rows_QK[live_QK]


def _vectors_of(
    segments: Sequence[Segment], ids_U: NDArray[np.int64], *, dimension: int
) -> NDArray[np.float32]:
    """The vectors (U, D) of ascending ids, each in one of the segments."""
    vectors_UD = np.zeros((len(ids_U), dimension), dtype=np.float32)
    for segment in segments:
        rows = segment.find(ids_U)
        if len(rows):
            places = np.searchsorted(ids_U, segment.ids_N[rows])
            vectors_UD[places] = to_float32(segment.vectors_ND[rows])
    return vectors_UD
