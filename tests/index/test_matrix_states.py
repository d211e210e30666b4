"""Any order of changes and searches, against a dict that is searched by brute force."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid
from tests.index.matrices import ENGINES, as_stored, assert_equals_brute_force
from tests.index.samples import unit_vectors

_D = 8
_NUM_IDS = 60
_VECTORS_ND = unit_vectors(_NUM_IDS, seed=11, dimension=_D)
_QUERIES_QD = unit_vectors(40, seed=12, dimension=_D)

_ids = st.lists(st.integers(0, _NUM_IDS - 1), min_size=1, max_size=20, unique=True)


class _Changes(RuleBasedStateMachine):
    """Adds, adopts, removes, compacts and clears; every id has its vector."""

    engine = "exact float32"

    def __init__(self) -> None:
        super().__init__()
        self.matrix = ENGINES[self.engine](_D)
        self.held: dict[int, NDArray[np.float32]] = {}

    @rule(ids=_ids)
    def add(self, ids: list[int]) -> None:
        self._fill(ids, adopt=False)

    @rule(ids=_ids)
    def adopt(self, ids: list[int]) -> None:
        self._fill(sorted(ids), adopt=True)

    @rule(ids=_ids)
    def remove(self, ids: list[int]) -> None:
        there = self.held.keys() & set(ids)
        assert self.matrix.remove(ids) == len(there)
        for each in there:
            del self.held[each]

    @rule()
    def compact(self) -> None:
        self.matrix.compact()
        assert self.matrix.dead_share == 0.0

    @rule()
    def clear(self) -> None:
        self.matrix.clear()
        self.held.clear()

    @rule(num_queries=st.sampled_from([1, 2, 9]), num=st.integers(1, 70), first=st.integers(0, 30))
    def search(self, num_queries: int, num: int, first: int) -> None:
        queries_QD = _QUERIES_QD[first : first + num_queries]
        assert_equals_brute_force(self.matrix, self.held, queries_QD, num)

    @invariant()
    def segments_hold_the_same(self) -> None:
        found = [
            pair
            for ids, vectors in self.matrix.segments()
            for pair in zip(ids, vectors, strict=True)
        ]
        assert sorted(int(each) for each, _ in found) == sorted(self.held)
        for each, vector_D in found:
            assert (vector_D.astype(np.float32) == self.held[int(each)]).all()

    @invariant()
    def vectors_of_gives_what_is_held(self) -> None:
        ids, vectors_ND = self.matrix.vectors_of([*range(_NUM_IDS), *range(_NUM_IDS)])
        assert sorted(ids.tolist()) == sorted(self.held)
        assert vectors_ND.dtype == np.float32
        for each, vector_D in zip(ids.tolist(), vectors_ND, strict=True):
            assert (vector_D == self.held[each]).all()

    def _fill(self, ids: list[int], *, adopt: bool) -> None:
        vectors_ND = _VECTORS_ND[ids]
        take = self.matrix.adopt if adopt else self.matrix.add
        if self.held.keys() & set(ids):
            with pytest.raises(EmbeddingInvalid, match="taken"):
                take(np.array(ids), vectors_ND)
            return
        take(np.array(ids), vectors_ND)
        self.held.update(zip(ids, as_stored(self.matrix, _VECTORS_ND[ids]), strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_any_order_of_changes_leaves_what_brute_force_finds(engine: str) -> None:
    """After any adds, adoptions, removals and compactions a search equals the slow one."""
    run_state_machine_as_test(
        type("Changes", (_Changes,), {"engine": engine}),
        settings=settings(max_examples=15, stateful_step_count=25, deadline=None),
    )
