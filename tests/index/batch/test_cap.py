"""Batch indexing into a gallery that keeps at most so many templates of a subject."""

from pathlib import Path

import pytest

from index.batch.build import BuildOptions
from index.rules import GalleryRules
from tests.fakes import make_photo
from tests.index.batch.samples import Place, people_tree, write_tree


@pytest.mark.parametrize("lot_size", [1, 4, 100])
def test_what_a_cap_removed_is_not_indexed_again(place: Place, tree: Path, lot_size: int) -> None:
    """Each subject keeps so many, in lots of any size, and a second run does nothing."""
    people_tree(tree, num_each=4, num_people=3)
    with place.opened() as (_, gallery, _):
        gallery.set_rules(GalleryRules(max_templates=2))
    options = BuildOptions(lot_size=lot_size)
    assert place.build(tree, options).tally.num_indexed == 12
    assert set(place.num_templates().values()) == {2}
    before = place.content()
    again = place.build(tree, options).tally
    assert (again.num_indexed, again.num_failed) == (0, 0)
    assert place.content() == before
    write_tree(tree, {"ben/new.png": make_photo(["ben"], variant=7)})
    assert place.build(tree, options).tally.num_indexed == 1
    assert set(place.num_templates().values()) == {2}
