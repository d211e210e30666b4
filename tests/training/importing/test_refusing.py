"""What cannot be imported is refused with what was expected, what came and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from embedding.errors import DataInvalid, ModelInvalid
from embedding.model import MODEL_FILE, ModelDirectory, write_card
from embedding.runtime import OnnxRuntimeNet, OpenVinoNet
from tests.training.conftest import write_identities
from tests.training.importing.conftest import (
    Importing,
    Pixels,
    TinyFace,
    save,
    set_weight,
    with_input_of,
)
from training.importing.checks import Engines, check_embeddings, check_half
from training.importing.foreign_file import read_foreign
from training.importing.graph import wrap
from training.importing.preprocessing import SERVED
from training.model_folder import bare_card


def test_numbers_for_a_network_of_pixels_are_refused(
    changed: Callable[..., Path], importing: Importing
) -> None:
    """Where the input is uint8 there is nothing to subtract outside."""
    with pytest.raises(DataInvalid, match="leave --mean and --std out"):
        importing(changed(with_input_of(TensorProto.UINT8)))


def test_integers_and_the_like_are_no_images(changed: Callable[..., Path]) -> None:
    """The type that came is named."""
    with pytest.raises(ModelInvalid, match="'pixels' is int32; it must be float32"):
        read_foreign(changed(with_input_of(TensorProto.INT32)))


def test_half_is_refused_where_it_does_harm(
    tiny: Path, changed: Callable[..., Path], importing: Importing
) -> None:
    """A weight beyond float16, or embeddings that change, with the way out."""

    def blow_up(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(np.arange(values.size).reshape(values.shape) == 0, 1e6, values)

    weight = "linear.weight"
    with pytest.raises(ModelInvalid, match="without --half"):
        importing(changed(lambda model: set_weight(model, weight, blow_up)), half=True)
    other = changed(lambda model: set_weight(model, weight, lambda v: v[::-1]))
    nets = [OpenVinoNet(wrap(read_foreign(one), SERVED)) for one in (tiny, other)]
    images = np.random.default_rng(1).normal(size=(2, 3, 112, 112)).astype(np.float32)
    with pytest.raises(ModelInvalid, match="without --half"):
        check_half(nets[0], nets[1], images)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not an ONNX file"),
        (b"\x07\xff hello, this is no model", "not an ONNX file, or cut off"),
        (b"PK\x03\x04 archive", "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
    ],
)
def test_another_file_is_told_from_a_network(tmp_path: Path, content: bytes, says: str) -> None:
    """What people take for ONNX files is named."""
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelInvalid, match=says):
        read_foreign(file)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_a_file_that_was_cut_off_is_refused(tiny: Path, tmp_path: Path, share: float) -> None:
    """Wherever the download ended."""
    whole = tiny.read_bytes()
    file = tmp_path / "model.onnx"
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelInvalid, match=r"cut off|has no operators"):
        read_foreign(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(DataInvalid, match=r"there is no file .*none\.onnx"):
        read_foreign(tmp_path / "none.onnx")


def test_weights_beside_the_file_are_read_or_missed(tiny: Path, tmp_path: Path) -> None:
    """External data comes along; missing or cut off it is named."""
    file, weights = tmp_path / "model.onnx", tmp_path / "weights.bin"
    onnx.save(onnx.load(tiny), file, save_as_external_data=True, location="weights.bin")
    one, other = (OpenVinoNet(wrap(read_foreign(one), SERVED)) for one in (file, tiny))
    images = np.ones((1, 3, 112, 112), np.float32)
    np.testing.assert_array_equal(one.run(images)[0], other.run(images)[0])
    weights.write_bytes(weights.read_bytes()[:-5000])
    with pytest.raises(ModelInvalid, match=r"weights\.bin cannot be read"):
        read_foreign(file)
    weights.unlink()
    with pytest.raises(ModelInvalid, match=r"missing: weights\.bin; put them into"):
        read_foreign(file)


def test_custom_operators_are_named(changed: Callable[..., Path]) -> None:
    """The runtimes would only say that they cannot load it."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].domain = "com.example"
        model.opset_import.append(helper.make_opsetid("com.example", 1))

    with pytest.raises(ModelInvalid, match=r"do not know: com\.example\.Conv; export it with"):
        read_foreign(changed(change))


def test_operators_that_do_not_exist_are_refused(changed: Callable[..., Path]) -> None:
    """A standard domain does not make an operator a standard one."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type = "Convolute"

    with pytest.raises(ModelInvalid, match=r"is not valid ONNX.*Convolute"):
        read_foreign(changed(change))


def test_a_known_operator_that_a_runtime_lacks_is_refused(
    changed: Callable[..., Path], importing: Importing
) -> None:
    """Such as one that Microsoft has in its domain and OpenVINO has not."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(
            helper.make_node("SampleOp", ["683"], ["out"], domain="com.microsoft")
        )
        model.graph.output[0].name = "out"
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    with pytest.raises(
        ModelInvalid, match=r"OpenVINO.*microsoft\.SampleOp.*export the network again"
    ):
        importing(changed(change))
    assert not importing.out.exists()


def test_old_opsets_are_refused(changed: Callable[..., Path]) -> None:
    """The message says from which one on."""

    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = 6

    with pytest.raises(ModelInvalid, match="is of opset 6; at least 7"):
        read_foreign(changed(change))


def test_a_second_input_is_refused(changed: Callable[..., Path]) -> None:
    """Both are listed with their shapes."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(
            helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, [None, 10])
        )

    with pytest.raises(ModelInvalid, match=r"2 inputs \(input\.1 .*landmarks \(\?, 10\)\)"):
        read_foreign(changed(change))


def test_of_several_outputs_one_has_to_be_named(awkward: Path) -> None:
    """They are listed with their shapes, and a wrong name lists them again."""
    listed = r"embedding \(1, 512, 1, 1\), pose \(1, 3\)"
    with pytest.raises(DataInvalid, match=rf"2 outputs: {listed}; say with --output NAME"):
        read_foreign(awkward)
    with pytest.raises(DataInvalid, match=rf"no output 'features'; there are: {listed}"):
        read_foreign(awkward, output="features")


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ([None, 3, 128, 128], r"shape \(\?, 3, 128, 128\).*112x112"),
        ([None, 1, 112, 112], "112x112"),
        ([None, 112, 112, 4], "112x112"),
        ([None, 3, 112], "four axes"),
        ([None, None, None, None], "give --layout"),
    ],
)
def test_other_input_shapes_are_refused(
    changed: Callable[..., Path], shape: list[int | None], says: str
) -> None:
    """Only 112 pixels and three colours; what came is said."""

    def change(model: onnx.ModelProto) -> None:
        image = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)
        model.graph.input[0].CopyFrom(image)

    with pytest.raises((ModelInvalid, DataInvalid), match=says):
        read_foreign(changed(change))


def test_the_layout_can_be_given_and_has_to_fit(changed: Callable[..., Path], tiny: Path) -> None:
    """It decides where the shape is open, and never against the shape."""

    def change(model: onnx.ModelProto) -> None:
        image = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [None] * 4)
        model.graph.input[0].CopyFrom(image)

    assert read_foreign(changed(change), layout="NHWC").layout == "NHWC"
    with pytest.raises(DataInvalid, match="--layout NHWC does not fit"):
        read_foreign(tiny, layout="NHWC")


def test_embeddings_of_another_dimension_are_refused(
    changed: Callable[..., Path], importing: Importing
) -> None:
    """The dimension that came is said, and what such a network is good for."""

    def change(model: onnx.ModelProto) -> None:
        set_weight(model, "linear.weight", lambda values: values[:256])
        set_weight(model, "linear.bias", lambda values: values[:256])
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 256

    with pytest.raises(ModelInvalid, match=r"\('batch', 256\).*512 numbers.*teacher"):
        importing(changed(change))


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_embeddings_that_are_no_directions_are_refused(
    changed: Callable[..., Path], importing: Importing, value: float
) -> None:
    """NaN and zero, with what may be wrong; nothing is left behind."""

    def change(model: onnx.ModelProto) -> None:
        for name in ("linear.weight", "linear.bias"):
            set_weight(model, name, lambda values: np.full_like(values, value))

    with pytest.raises(ModelInvalid, match=r"NaN, infinite or zero.*--color.*damaged"):
        importing(changed(change))
    assert list(importing.out.parent.glob("model*")) == []


def test_a_network_that_does_not_look_is_refused(
    changed: Callable[..., Path], importing: Importing
) -> None:
    """The same embedding for every crop is no embedding."""
    file = changed(lambda model: set_weight(model, "linear.weight", np.zeros_like))
    with pytest.raises(ModelInvalid, match="does not depend on the image"):
        importing(file)


def test_a_batch_that_cannot_be_freed_is_refused(importing: Importing, tmp_path: Path) -> None:
    """The fixed batch is named, and how to export it otherwise."""

    class Stuck(TinyFace):
        def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
            embeddings = super().forward(images_BCHW)
            return torch.cat([embeddings, torch.ones(1, 1)], dim=1)[:, 1:]

    file = save(Stuck(), tmp_path / "stuck.onnx", shape=(1, 3, 112, 112))
    with pytest.raises(ModelInvalid, match=r"batches of 1 only.*dynamic batch axis"):
        importing(file)


def test_embeddings_that_depend_on_the_batch_are_refused(
    changed: Callable[..., Path], importing: Importing
) -> None:
    """Such as those of a network that was exported while it trained."""

    def change(model: onnx.ModelProto) -> None:
        mean = helper.make_node("ReduceMean", ["683", "axis"], ["mean"], keepdims=1)
        model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "axis"))
        half = helper.make_node("Mul", ["mean", "half"], ["some"])
        model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
        model.graph.node.extend([mean, half, helper.make_node("Sub", ["683", "some"], ["out"])])
        model.graph.output[0].name = "out"

    with pytest.raises(ModelInvalid, match="depends on what else is in its batch"):
        importing(changed(change))


def test_runtimes_that_disagree_are_noticed(
    tiny: Path, changed: Callable[..., Path], tmp_path: Path, crops: Pixels
) -> None:
    """The check compares for real: two different networks do not pass as one."""
    model = wrap(read_foreign(tiny), SERVED)
    (tmp_path / MODEL_FILE).write_bytes(model)
    write_card(tmp_path, bare_card(model, name="n", licence="l", training={}, mirrored=True))
    directory = ModelDirectory.open(tmp_path)
    other = changed(lambda model: set_weight(model, "linear.weight", lambda v: v[::-1]))
    engines = Engines(
        openvino=OpenVinoNet(directory.read_model()),
        onnxruntime=OnnxRuntimeNet(wrap(read_foreign(other), SERVED)),
    )
    with pytest.raises(ModelInvalid, match="different embeddings for the same crop"):
        check_embeddings(directory, engines, crops)


def test_too_few_people_are_refused(tiny: Path, importing: Importing, tmp_path: Path) -> None:
    """How many there are with three images, and how many it takes."""
    data = write_identities(tmp_path / "nine", num_identities=9, num_images=3)
    write_identities(tmp_path / "more", num_identities=5, num_images=2)
    for one in (tmp_path / "more").iterdir():
        one.rename(data / f"few-{one.name}")
    with pytest.raises(DataInvalid, match="9 people with at least 3 readable images, of 14"):
        importing(tiny, data=data)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"licence": " "}, "--licence"),
        ({"name": "n" * 101}, "--name"),
        ({"std": None}, "belong together"),
        ({"mean": (0.5,) * 3, "std": (0.5,) * 3}, "0.5 is 127.5"),
        ({"std": (127.5, 0.0, 127.5)}, "at least 1"),
    ],
)
def test_wrong_options_are_refused(
    tiny: Path, importing: Importing, options: dict[str, Any], says: str
) -> None:
    """Before anything is computed, with what to give."""
    with pytest.raises(DataInvalid, match=says):
        importing(tiny, **options)


def test_a_folder_in_use_is_not_written_over(tiny: Path, importing: Importing) -> None:
    """An existing model stays as it is."""
    importing.out.mkdir()
    (importing.out / "keep").write_text("me")
    with pytest.raises(DataInvalid, match="not empty"):
        importing(tiny)
    assert [path.name for path in importing.out.iterdir()] == ["keep"]
