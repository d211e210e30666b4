"""What is measured of each image once, and kept."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.model import ModelDirectory
from embedding.runtime import EmbeddingNet, Embeddings
from tests.training.planted import crop, people, write
from training.data.opening import open_store
from training.data.split import select_all
from training.inspecting.copies import copy_findings
from training.inspecting.gathered import Gathered, NamedSet, measure
from training.inspecting.kept_features import measure_or_load


class Refuses:
    """An embedder that may not be asked."""

    def embed(self, crops_BHWC: NDArray[np.uint8]) -> Embeddings:
        """Fails."""
        raise RuntimeError(f"asked for {len(crops_BHWC)}")


def test_kept_embeddings_are_taken_only_for_the_same_images_and_model(
    model: Path, tmp_path: Path
) -> None:
    """The file is the owner's alone; another model and another image are measured."""
    data = write(tmp_path / "data", people(0, 2, images=2))
    named = [NamedSet(name="data", images=select_all(open_store(data)))]
    net, file = EmbeddingNet(ModelDirectory.open(model)), tmp_path / "embeddings.npz"
    first = measure_or_load(named, net, fingerprint="a", file=file)
    assert file.stat().st_mode & 0o777 == 0o600
    again = measure_or_load(named, Refuses(), fingerprint="a", file=file)
    np.testing.assert_array_equal(again.unit_ND, first.unit_ND)
    np.testing.assert_array_equal(again.digests_N, first.digests_N)
    with pytest.raises(RuntimeError, match="asked for 4"):
        measure_or_load(named, Refuses(), fingerprint="b", file=file)
    (data / "p00" / "2.png").write_bytes((data / "p01" / "0.png").read_bytes())
    named = [NamedSet(name="data", images=select_all(open_store(data)))]
    with pytest.raises(RuntimeError, match="asked for 5"):
        measure_or_load(named, Refuses(), fingerprint="a", file=file)
    file.write_bytes(b"damaged")
    assert len(measure_or_load(named, net, fingerprint="a", file=file).unit_ND) == 5


def test_features_are_those_of_the_net(model: Path, tmp_path: Path) -> None:
    """Rows in the order of the sets, norms of the raw vectors, equal digests for equal crops."""
    data = people(0, 2, images=2)
    data["p01"].append(data["p00"][0])
    named = [
        NamedSet(name="data", images=select_all(open_store(write(tmp_path / "data", data)))),
        NamedSet(
            name="other",
            images=select_all(open_store(write(tmp_path / "other", people(9, 1)))),
        ),
    ]
    net = EmbeddingNet(ModelDirectory.open(model))
    features = measure(named, net)
    crops = np.concatenate([one.images.crops(range(len(one.images))) for one in named])
    np.testing.assert_allclose(features.unit_ND, net.embed(crops).vectors, atol=1e-6)
    np.testing.assert_allclose(features.norms_N, net.embed(crops).norms, rtol=1e-5)
    assert features.digests_N[4] == features.digests_N[0]
    assert len(set(features.digests_N.tolist())) == len(crops) - 1
    gathered = Gathered(named, features)
    assert [gathered.key(row) for row in (4, 5)] == ["p01/2.png", "p09/0.png"]
    assert (gathered.set_name(5), gathered.identity_name(5)) == ("other", "p09")
    assert gathered.rows(2).tolist() == [5, 6, 7, 8, 9]
    np.testing.assert_array_equal(gathered.crop(5), crop(9, 0))
    assert copy_findings(gathered, np.arange(len(gathered))) == []
