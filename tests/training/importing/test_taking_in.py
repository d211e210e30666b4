"""A foreign ONNX network becomes a model directory that gives what the network itself gives."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from embedding.embedder import FaceEmbedder
from embedding.errors import DataInvalid
from embedding.model import MODEL_FILE, NO_LIVENESS
from embedding.runtime import EmbeddingNet, OnnxRuntimeNet, OpenVinoNet
from tests.training.importing.conftest import (
    CAFFE_MEAN,
    CAFFE_STD,
    AwkwardFace,
    FoldedFace,
    Importing,
    Pixels,
    TinyFace,
    least_cosine,
    own_embeddings,
    save,
    with_input_of,
)
from training.importing.foreign_file import read_foreign
from training.importing.graph import wrap
from training.importing.guessing import candidates
from training.importing.preprocessing import PIXELS, SERVED, Preprocessing, channels


def write_folded(folder: Path) -> Path:
    """Who it is stands in red, within bands at both ends; all else changes from image to image."""
    rng = np.random.default_rng(11)
    for person in range(12):
        (folder / f"p{person:02d}").mkdir(parents=True)
        who = rng.uniform(0, 50, (14, 14))
        for number in range(3):
            small = rng.uniform(0, 255, (14, 14, 3))
            small[..., 0] = who + rng.integers(0, 2, (14, 14)) * 205 + rng.normal(0, 2, (14, 14))
            pixels = np.clip(small, 0, 255).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            Image.fromarray(pixels).save(folder / f"p{person:02d}" / f"{number}.png")
    return folder


def test_an_imported_network_is_served(
    tiny: Path, importing: Importing, crops: Pixels, tmp_path: Path
) -> None:
    """The service's own class opens it, the card is complete, and embeddings are torch's own."""
    imported = importing(tiny, name="theirs", description="a tiny one")
    embedder = FaceEmbedder.open(tmp_path / "model")
    card = embedder.card
    assert (card.name, card.licence, card.mirrored) == ("theirs", "mine", True)
    assert card.training["description"] == "a tiny one"
    assert card.training["imported"]["guessed"] is False
    assert {one.num_subjects for one in card.thresholds} == {1, 3, 6}
    assert all(one.extrapolated for one in card.thresholds if one.fpir == 0.001)
    assert card.notes.startswith(NO_LIVENESS)
    assert "11 people" in card.notes
    assert card.norm_floor > 0
    served = EmbeddingNet(imported.directory).embed(crops).vectors
    own = own_embeddings(TinyFace(), crops, lambda v: (v.transpose(0, 3, 1, 2) - 127.5) / 127.5)
    assert least_cosine(served, own) > 0.9999
    assert str(importing.data) not in json.dumps(card.training)


def test_another_layout_colour_scale_and_a_fixed_batch_are_taken_in(
    awkward: Path, importing: Importing, crops: Pixels
) -> None:
    """NHWC, BGR, numbers a channel, batch 1, four output axes: still torch's own embeddings."""
    imported = importing(awkward, output="embedding", color="BGR", mean=CAFFE_MEAN, std=CAFFE_STD)

    def prepare(rgb: Pixels) -> NDArray[np.float64]:
        return np.asarray((rgb[..., ::-1] - np.array(CAFFE_MEAN)) / np.array(CAFFE_STD))

    network = AwkwardFace()
    one_by_one = [
        own_embeddings(lambda v: network(v)[0].flatten(1), crop[None], prepare) for crop in crops
    ]
    own = np.concatenate(one_by_one)
    assert least_cosine(EmbeddingNet(imported.directory).embed(crops).vectors, own) > 0.9999
    other = OnnxRuntimeNet(imported.directory.read_model())
    net = EmbeddingNet(imported.directory, engine=other)
    assert least_cosine(net.embed(crops[:3]).vectors, own[:3]) > 0.9999
    assert imported.directory.card.training["imported"]["fixed_batch"] == 1


def test_what_the_embedding_does_not_need_is_dropped(awkward: Path) -> None:
    """The other output's operators and weights do not come along."""
    net = read_foreign(awkward, output="embedding")
    before = {node.op_type for node in net.model.graph.node}
    after = {node.op_type for node in onnx.load_from_string(wrap(net, SERVED)).graph.node}
    assert "Sigmoid" in before
    assert "Sigmoid" not in after


@pytest.mark.parametrize("engine", [OpenVinoNet, OnnxRuntimeNet])
def test_a_fixed_reshape_is_freed_where_sizes_are_unknown(
    changed: Callable[..., Path], engine: type[OpenVinoNet | OnnxRuntimeNet]
) -> None:
    """Behind an operator whose result's shape onnx cannot tell, (1, -1) takes any batch."""

    def change(model: onnx.ModelProto) -> None:
        gelu = helper.make_node("QuickGelu", ["683"], ["gelu"], domain="com.microsoft")
        reshape = helper.make_node("Reshape", ["gelu", "flat"], ["out"], allowzero=1)
        model.graph.initializer.append(numpy_helper.from_array(np.array([1, -1]), "flat"))
        model.graph.node.extend([gelu, reshape])
        model.graph.output[0].name = "out"
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    net = read_foreign(changed(change))
    assert net.fixed_batch == 1
    images = np.random.default_rng(1).normal(size=(3, 3, 112, 112)).astype(np.float32)
    with torch.inference_mode():
        own = TinyFace()(torch.from_numpy(images))
    expected = own * torch.sigmoid(1.702 * own)
    np.testing.assert_allclose(engine(wrap(net, SERVED)).run(images)[0], expected, atol=1e-4)


@pytest.mark.parametrize("engine", [OpenVinoNet, OnnxRuntimeNet])
def test_pixels_reach_a_network_of_pixels_exactly(
    changed: Callable[..., Path], crops: Pixels, engine: type[OpenVinoNet | OnnxRuntimeNet]
) -> None:
    """uint8 in, as they were in the crop."""
    net = read_foreign(changed(with_input_of(TensorProto.UINT8)))
    assert net.takes_pixels
    fed = SERVED.images(crops, after=SERVED)
    with torch.inference_mode():
        own = TinyFace()(torch.from_numpy(crops.transpose(0, 3, 1, 2).astype(np.float32)))
    np.testing.assert_allclose(engine(wrap(net, PIXELS)).run(fed)[0], own, rtol=1e-3, atol=2e-3)


def test_a_float16_input_is_served(changed: Callable[..., Path], crops: Pixels) -> None:
    """The service's float32 is cast on the way in."""
    net = read_foreign(changed(with_input_of(TensorProto.FLOAT16)))
    fed = SERVED.images(crops, after=SERVED)
    with torch.inference_mode():
        own = TinyFace()(torch.from_numpy(fed))
    np.testing.assert_allclose(OpenVinoNet(wrap(net, SERVED)).run(fed)[0], own, atol=2e-3)


def test_old_files_that_list_weights_as_inputs_are_read(
    changed: Callable[..., Path], tiny: Path
) -> None:
    """The weights are not taken for images, and the result is as from the new form."""

    def change(model: onnx.ModelProto) -> None:
        model.ir_version = 3
        model.graph.input.extend(
            helper.make_tensor_value_info(one.name, one.data_type, one.dims)
            for one in model.graph.initializer
        )

    file = changed(change)
    images = np.random.default_rng(1).normal(size=(2, 3, 112, 112)).astype(np.float32)
    old, new = (OpenVinoNet(wrap(read_foreign(one), SERVED)) for one in (file, tiny))
    assert old.input_shapes == [(None, 3, 112, 112)]
    np.testing.assert_allclose(old.run(images)[0], new.run(images)[0], atol=1e-5)


def test_names_of_ours_inside_the_network_do_no_harm(
    changed: Callable[..., Path], tiny: Path
) -> None:
    """A foreign value called crops or embeddings is another one than ours."""

    def change(model: onnx.ModelProto) -> None:
        names = {"input.1": "embeddings", model.graph.node[0].output[0]: "crops"}
        model.graph.input[0].name = "embeddings"
        for node in model.graph.node:
            node.input[:] = [names.get(one, one) for one in node.input]
            node.output[:] = [names.get(one, one) for one in node.output]
        del model.graph.value_info[:]

    file = changed(change)
    images = np.random.default_rng(1).normal(size=(2, 3, 112, 112)).astype(np.float32)
    renamed, same = (OpenVinoNet(wrap(read_foreign(one), SERVED)) for one in (file, tiny))
    np.testing.assert_allclose(renamed.run(images)[0], same.run(images)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("color", "mean", "std"),
    [("RGB", 127.5, 127.5), ("BGR", 123.675, 58.395)],
)
def test_auto_finds_colour_and_scale_where_they_matter(
    importing: Importing, tmp_path: Path, color: str, mean: float, std: float
) -> None:
    """Of all that is tried, what the network was made for tells its people apart, and is noted."""
    network = FoldedFace(channel=color.index("R"), mean=mean, std=std)
    file = save(network, tmp_path / "folded.onnx", shape=(2, 3, 112, 112))
    data = write_folded(tmp_path / "folded")
    imported = importing(file, data=data, color=None, mean=None, std=None)
    found = imported.preprocessing
    place = color.index("R")
    assert (found.color, found.mean[place]) == (color, mean)
    assert abs(found.std[place] - std) <= 0.5
    assert imported.guess is not None
    assert len(imported.guess.trials) == 10
    assert imported.guess.rivals == ()
    lines = imported.guess.lines()
    assert len(lines) == 12
    assert "guessed" in lines[-1]
    card = imported.directory.card
    assert "guessed" in card.notes
    assert len(card.training["imported"]["tried"]) == 10
    assert card.training["imported"]["color"] == color


def test_only_what_is_not_known_is_tried() -> None:
    """Ten usual ways; two colours where the numbers are given or are not ours to choose."""
    numbers = (CAFFE_MEAN, CAFFE_STD)
    assert len(candidates(color=None, numbers=None, takes_pixels=False)) == 10
    assert len(candidates(color="BGR", numbers=None, takes_pixels=False)) == 5
    assert candidates(color="BGR", numbers=numbers, takes_pixels=False) == [
        Preprocessing(color="BGR", mean=CAFFE_MEAN, std=CAFFE_STD)
    ]
    pixels = candidates(color=None, numbers=None, takes_pixels=True)
    assert [(one.color, one.mean, one.std) for one in pixels] == [
        (color, (0.0,) * 3, (1.0,) * 3) for color in ("RGB", "BGR")
    ]


def test_the_usual_numbers_turn_with_the_channels() -> None:
    """ImageNet's red has the mean 123.675, whichever channel red is."""
    tries = candidates(color=None, numbers=None, takes_pixels=False)
    assert {one.mean[one.color.index("R")] for one in tries} == {127.5, 0.0, 123.675}
    assert {one.std[one.color.index("B")] for one in tries} == {127.5, 128.0, 255.0, 1.0, 57.375}


def test_a_close_race_is_said(tiny: Path, importing: Importing) -> None:
    """Where two preprocessings do equally well, nobody is told that one of them is right."""
    imported = importing(tiny, color=None)
    assert imported.guess is not None
    assert len(imported.guess.trials) == 2
    assert len(imported.guess.rivals) == 1
    assert "a close race" in imported.guess.lines()[-1]
    assert "close race" in imported.directory.card.notes


def test_half_stores_large_weights_as_float16(
    tiny: Path, importing: Importing, crops: Pixels
) -> None:
    """Half the bytes, the same embeddings to three digits."""
    imported = importing(tiny, half=True)
    model = onnx.load(imported.directory.path / MODEL_FILE)
    stored = {one.data_type for one in model.graph.initializer if np.prod(one.dims) >= 2048}
    assert stored == {TensorProto.FLOAT16}
    own = own_embeddings(TinyFace(), crops, lambda v: (v.transpose(0, 3, 1, 2) - 127.5) / 127.5)
    assert least_cosine(EmbeddingNet(imported.directory).embed(crops).vectors, own) > 0.999


def test_unit_embeddings_give_no_norm_floor(
    changed: Callable[..., Path], importing: Importing
) -> None:
    """If the network normalises, length says nothing; a floor at 1 would refuse half of all."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(
            helper.make_node("LpNormalization", ["683"], ["unit"], axis=1, p=2)
        )
        model.graph.output[0].name = "unit"

    card = importing(changed(change), mirrored=False).directory.card
    assert card.norm_floor == 0
    assert card.mirrored is False
    assert "same length" in card.notes


def test_functions_that_the_file_brings_along_are_no_custom_operators(
    changed: Callable[..., Path], tiny: Path
) -> None:
    """They are written out, so both runtimes know them."""

    def change(model: onnx.ModelProto) -> None:
        opsets = [helper.make_opsetid("", 18)]
        add = helper.make_node("Add", ["x", "x"], ["y"])
        model.functions.append(helper.make_function("own", "Twice", ["x"], ["y"], [add], opsets))
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.graph.node.append(helper.make_node("Twice", ["683"], ["out"], domain="own"))
        model.graph.output[0].name = "out"

    images = np.random.default_rng(1).normal(size=(2, 3, 112, 112)).astype(np.float32)
    files = (changed(change), tiny)
    doubled, plain = (OpenVinoNet(wrap(read_foreign(one), SERVED)).run(images)[0] for one in files)
    np.testing.assert_allclose(doubled, 2 * plain, rtol=1e-5, atol=1e-5)


def test_channels_are_one_number_or_three() -> None:
    """As a user writes them; anything else is said."""
    assert channels("127.5", option="--mean") == (127.5, 127.5, 127.5)
    assert channels("104, 117,123", option="--mean") == (104.0, 117.0, 123.0)
    for text in ("", "1,2", "a", "nan", "1,2,3,4"):
        with pytest.raises(DataInvalid, match="--std is"):
            channels(text, option="--std")


def test_trying_a_preprocessing_feeds_what_it_would_make(crops: Pixels) -> None:
    """After the wrapped network's own arithmetic the numbers are those of the other one."""
    wanted = Preprocessing(color="BGR", mean=CAFFE_MEAN, std=CAFFE_STD)
    after = Preprocessing(color="RGB", mean=(0.0,) * 3, std=(1.0,) * 3)
    fed = wanted.images(crops, after=after)
    inside = (fed * 127.5 + 127.5 - 0.0) / 1.0
    oracle = (crops[..., ::-1].astype(np.float64) - CAFFE_MEAN) / CAFFE_STD
    np.testing.assert_allclose(inside, oracle.transpose(0, 3, 1, 2), atol=1e-4)
