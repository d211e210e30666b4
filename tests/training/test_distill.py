"""Teachers: what they are asked, what is kept of them, and how a student follows."""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import TensorProto, helper

from embedding.align import ARCFACE_TEMPLATE
from embedding.errors import DataInvalid
from training.data.identity_folder import IdentityFolder
from training.data.split import Selection, select_all
from training.distill import (
    Distillation,
    onnx_teacher,
    teacher_targets,
    write_teacher,
)
from training.dlib_resnet import CHIP_PX
from training.dlib_teacher import EYES, chip_of_crop

KEYS = ["ann/0.jpg", "ann/1.jpg", "ben/0.jpg", "cat/0.jpg"]


def vectors_of(num: int = 4, dimension: int = 5) -> NDArray[np.float32]:
    """Vectors with a large common part, as a network's are that compares by distance."""
    return np.random.default_rng(0).normal(size=(num, dimension)).astype(np.float32) + 3


def write_targets(file: Path, *, is_centred: bool) -> Path:
    """A teacher's file for four images."""
    np.savez(file, names=np.array(KEYS), vectors=vectors_of(), is_centred=np.array(is_centred))
    return file


@pytest.mark.parametrize("dimension", [3, 6])
def test_distillation_equals_a_loop_over_pairs(dimension: int) -> None:
    """Both losses, written down slowly in float64, with a projection and without."""
    torch.manual_seed(0)
    module = Distillation(6, dimension)
    embeddings, targets = torch.randn(4, 6), F.normalize(torch.randn(4, dimension))
    direction, relation = module(embeddings, targets)
    unit = [row.double() / row.double().norm() for row in embeddings]
    weight = module.projection.weight.double() if dimension == 3 else torch.eye(6).double()
    slow_direction, slow_relation = 0.0, 0.0
    for i in range(4):
        projected = weight @ unit[i]
        slow_direction += 1 - (projected / projected.norm() @ targets[i].double()).item()
        for j in range(4):
            gap = unit[i] @ unit[j] - targets[i].double() @ targets[j].double()
            slow_relation += gap.item() ** 2
    assert direction.item() == pytest.approx(slow_direction / 4, rel=1e-5)
    assert relation.item() == pytest.approx(slow_relation / 4, rel=1e-5)


def test_equal_dimensions_need_no_projection() -> None:
    """A student as wide as its teacher is compared as it is; there is nothing more to learn."""
    assert list(Distillation(6, 6).parameters()) == []
    assert [tuple(p.shape) for p in Distillation(6, 3).parameters()] == [(3, 6)]


def test_a_student_that_equals_its_teacher_loses_nothing() -> None:
    """Length does not matter."""
    targets = F.normalize(torch.randn(5, 4))
    lengths = torch.tensor([[0.5], [1.0], [2.0], [7.0], [30.0]])
    direction, relation = Distillation(4, 4)(targets * lengths, targets)
    assert direction.item() == pytest.approx(0.0, abs=1e-6)
    assert relation.item() == pytest.approx(0.0, abs=1e-6)


def test_both_losses_pull_the_student() -> None:
    """Steps against their gradients lower them."""
    torch.manual_seed(0)
    module = Distillation(6, 3)
    targets = F.normalize(torch.randn(8, 3))
    embeddings = torch.randn(8, 6, requires_grad=True)
    optimizer = torch.optim.SGD([embeddings, *module.parameters()], lr=0.3)
    losses = []
    for _ in range(30):
        direction, relation = module(embeddings, targets)
        losses.append((direction.item(), relation.item()))
        optimizer.zero_grad()
        (direction + relation).backward()
        optimizer.step()
    assert losses[-1][0] < 0.9 * losses[0][0]
    assert losses[-1][1] < 0.9 * losses[0][1]


def test_losses_are_float32_under_autocast() -> None:
    """Products of a bfloat16 run would lose small differences between cosines."""
    torch.manual_seed(0)
    module = Distillation(6, 3)
    embeddings, targets = torch.randn(8, 6), F.normalize(torch.randn(8, 3))
    expected = module(embeddings, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = module(embeddings, targets)
    assert [one.item() for one in found] == [one.item() for one in expected]


def unit_rows(vectors: NDArray[np.float32]) -> torch.Tensor:
    """Directions of rows."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return torch.from_numpy(unit.astype(np.float32))


def test_targets_of_cosines_are_directions_in_the_order_asked_for(tmp_path: Path) -> None:
    """A teacher that compares by angle keeps its vectors as they are; some may be asked for."""
    file = write_targets(tmp_path / "teacher.npz", is_centred=False)
    found = teacher_targets(file, [KEYS[2], KEYS[0]])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, unit_rows(vectors_of()[[2, 0]]))


def test_targets_of_distances_are_centred_over_all_images(tmp_path: Path) -> None:
    """The common part of all vectors in the file is gone, whichever are asked for."""
    file = write_targets(tmp_path / "teacher.npz", is_centred=True)
    centred = unit_rows(vectors_of() - vectors_of().mean(axis=0))
    torch.testing.assert_close(teacher_targets(file, KEYS), centred)
    torch.testing.assert_close(teacher_targets(file, KEYS[3:]), centred[3:])
    torch.testing.assert_close(teacher_targets(file, KEYS[::-1]), centred.flip(0))


def test_an_image_that_the_teacher_has_not_seen_is_named(tmp_path: Path) -> None:
    """How many there are, the first of them, and what to do."""
    file = write_targets(tmp_path / "teacher.npz", is_centred=False)
    with pytest.raises(
        DataInvalid, match=r"lacks 2 images, the first is new/0\.jpg; make it again"
    ):
        teacher_targets(file, [*KEYS, "new/0.jpg", "new/1.jpg"])


def arrays(**changed: NDArray[np.generic]) -> bytes:
    """The bytes of a teacher's file with other arrays; an empty one leaves its array out."""
    content = {
        "names": np.array(KEYS),
        "vectors": vectors_of(),
        "is_centred": np.array(False),
        **changed,
    }
    stream = io.BytesIO()
    np.savez(stream, **{k: v for k, v in content.items() if v.size})  # type: ignore[arg-type]
    return stream.getvalue()


def single_array() -> bytes:
    """The bytes of a `.npy` file."""
    stream = io.BytesIO()
    np.save(stream, vectors_of())
    return stream.getvalue()


BROKEN_TEACHERS = {
    "empty": b"",
    "text": b"no arrays",
    "cut off": arrays()[:-40],
    "cut short": arrays()[:200],
    "changed": arrays().replace(vectors_of().tobytes(), bytes(vectors_of().nbytes)),
    "single array": single_array(),
    "no names": arrays(names=np.empty(0)),
    "no vectors": arrays(vectors=np.empty(0)),
    "nobody says whether centred": arrays(is_centred=np.empty(0)),
    "objects": arrays(names=np.array(KEYS, object)),
    "fewer vectors than names": arrays(vectors=vectors_of(3)),
    "one row": arrays(vectors=vectors_of()[:, 0]),
    "words for vectors": arrays(vectors=np.array([["a", "b"]] * 4)),
}


@pytest.mark.parametrize("content", BROKEN_TEACHERS.values(), ids=BROKEN_TEACHERS.keys())
def test_a_file_that_is_no_teacher_is_refused(tmp_path: Path, content: bytes) -> None:
    """The message says how to make one."""
    (tmp_path / "teacher.npz").write_bytes(content)
    with pytest.raises(DataInvalid, match=r"teacher\.npz .* make it with: python -m training"):
        teacher_targets(tmp_path / "teacher.npz", KEYS)


def test_a_teacher_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    """The same message."""
    with pytest.raises(DataInvalid, match=r"none\.npz cannot be read as a teacher file"):
        teacher_targets(tmp_path / "none.npz", KEYS)


CROPS: list[int | str] = ["batch", 3, 112, 112]


def write_onnx(
    file: Path,
    *,
    shape: Sequence[int | str] = CROPS,
    operation: str = "GlobalAveragePool",
    num_inputs: int = 1,
) -> Path:
    """A network of one operation on crops, flattened; further inputs are added up first."""
    inputs = [
        helper.make_tensor_value_info(f"crops{n}", TensorProto.FLOAT, shape)
        for n in range(num_inputs)
    ]
    nodes = [
        helper.make_node("Sum", [one.name for one in inputs], ["sum"]),
        helper.make_node(operation, ["sum"], ["map"]),
        helper.make_node("Flatten", ["map"], ["flat"]),
    ]
    outputs = [helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["batch", "size"])]
    if operation == "Identity":
        nodes[1:] = [helper.make_node("Identity", ["sum"], ["flat"])]
        outputs = [helper.make_tensor_value_info("flat", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "teacher", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A teacher that sees nothing but the mean red, green and blue."""
    return write_onnx(tmp_path / "colours.onnx")


@pytest.mark.parametrize("num_crops", [1, 2, 37])
def test_an_onnx_file_teaches(colours: Path, num_crops: int) -> None:
    """Any number of RGB crops, (v - 127.5) / 127.5, one vector each in their order."""
    crops = np.random.default_rng(0).integers(0, 256, (num_crops, 112, 112, 3), dtype=np.uint8)
    crops[:, :, :, 0] //= 2
    crops[0] = 255
    found = onnx_teacher(colours)(crops)
    expected = (crops.astype(np.float64).mean(axis=(1, 2)) - 127.5) / 127.5
    assert found.dtype == np.float32
    assert found.shape == (num_crops, 3)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_teacher_may_leave_its_batch_and_sides_open(tmp_path: Path) -> None:
    """Exports often name all dimensions."""
    file = write_onnx(tmp_path / "open.onnx", shape=["batch", "colours", "height", "width"])
    assert onnx_teacher(file)(np.zeros((2, 112, 112, 3), np.uint8)).shape == (2, 3)


@pytest.mark.parametrize(
    "shape",
    [["batch", 1, 112, 112], ["batch", 112, 112, 3], ["batch", 3, 160, 160], ["batch", 3]],
    ids=["grey", "colours last", "larger", "flat"],
)
def test_a_teacher_of_other_images_is_refused(tmp_path: Path, shape: list[int | str]) -> None:
    """Before the first batch; the message has both shapes."""
    operation = "Relu" if len(shape) == 2 else "GlobalAveragePool"
    file = write_onnx(tmp_path / "other.onnx", shape=shape, operation=operation)
    with pytest.raises(DataInvalid, match=r"other\.onnx wants .* takes \(B, 3, 112, 112\)"):
        onnx_teacher(file)


def test_a_teacher_with_two_inputs_is_refused(tmp_path: Path) -> None:
    """Nobody knows what belongs into the second."""
    with pytest.raises(DataInvalid, match=r"two\.onnx wants"):
        onnx_teacher(write_onnx(tmp_path / "two.onnx", num_inputs=2))


def test_a_teacher_that_gives_maps_is_refused(tmp_path: Path) -> None:
    """Targets are vectors."""
    with pytest.raises(DataInvalid, match=r"maps\.onnx"):
        onnx_teacher(write_onnx(tmp_path / "maps.onnx", operation="Identity"))


@pytest.mark.parametrize("content", [None, b"", b"no network"])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty and foreign files, by their names."""
    if content is not None:
        (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(DataInvalid, match=r"bad\.onnx cannot be used as a teacher"):
        onnx_teacher(tmp_path / "bad.onnx")


def keys_of(selection: Selection) -> list[str]:
    """The keys of all its images."""
    return [selection.key(image) for image in range(len(selection))]


def test_a_teacher_writes_down_what_it_thinks_of_every_image(
    identities: Path, tmp_path: Path, colours: Path
) -> None:
    """All 120 small images, by key, as directions that are not centred."""
    file = tmp_path / "teacher.npz"
    assert write_teacher(identities, file, onnx=colours) == 120
    everybody = select_all(IdentityFolder(identities))
    crops = np.concatenate(list(everybody.chunks()))
    expected = F.normalize(torch.from_numpy(onnx_teacher(colours)(crops)))
    torch.testing.assert_close(teacher_targets(file, keys_of(everybody)), expected)
    with np.load(file) as stored:
        assert not stored["is_centred"]


def test_a_teacher_file_serves_a_part_of_its_images(
    identities: Path, tmp_path: Path, colours: Path
) -> None:
    """Whatever split a run makes, its images are found."""
    write_teacher(identities, tmp_path / "teacher.npz", onnx=colours)
    some = select_all(IdentityFolder(identities)).of_identities([20, 3])
    found = teacher_targets(tmp_path / "teacher.npz", keys_of(some))
    crops = np.concatenate(list(some.chunks()))
    torch.testing.assert_close(found, F.normalize(torch.from_numpy(onnx_teacher(colours)(crops))))


def test_an_image_that_the_teacher_cannot_read_is_named_and_left_out(
    identities: Path, tmp_path: Path, colours: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file holds the others; without any other there is none."""
    ann = tmp_path / "people" / "ann"
    ann.mkdir(parents=True)
    (ann / "0.jpg").write_text("no image")
    with pytest.raises(DataInvalid, match=r"not one image in .*people can be read"):
        write_teacher(tmp_path / "people", tmp_path / "teacher.npz", onnx=colours)
    assert not (tmp_path / "teacher.npz").exists()
    shutil.copy(identities / "person000" / "0.jpg", ann / "1.jpg")
    assert write_teacher(tmp_path / "people", tmp_path / "teacher.npz", onnx=colours) == 1
    assert "ann/0.jpg" in caplog.text
    assert teacher_targets(tmp_path / "teacher.npz", ["ann/1.jpg"]).shape[0] == 1


def test_a_teacher_that_cannot_be_used_writes_nothing(identities: Path, tmp_path: Path) -> None:
    """The reason comes before the work."""
    with pytest.raises(DataInvalid, match=r"none\.onnx"):
        write_teacher(identities, tmp_path / "teacher.npz", onnx=tmp_path / "none.onnx")
    assert not (tmp_path / "teacher.npz").exists()


def test_a_chip_has_its_eyes_where_the_teacher_expects_them() -> None:
    """Dots at the eyes of a crop lie at the eyes of the chip."""
    crop = np.zeros((112, 112, 3), np.uint8)
    for colour, (x, y) in enumerate(ARCFACE_TEMPLATE[:2]):
        rows, columns = np.mgrid[0:112, 0:112] + 0.5
        dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
        crop[:, :, colour] = np.round(255 * dot)
    chip = chip_of_crop(crop).astype(np.float64)
    assert chip.shape == (CHIP_PX, CHIP_PX, 3)
    rows, columns = np.mgrid[0:CHIP_PX, 0:CHIP_PX] + 0.5
    for colour, eye in enumerate(EYES):
        weight = chip[:, :, colour] / chip[:, :, colour].sum()
        found = ((weight * columns).sum(), (weight * rows).sum())
        assert found == pytest.approx(eye, abs=0.3)


def test_what_the_teacher_could_not_read_may_be_missing(tmp_path: Path) -> None:
    """Up to a limit; the row of such an image is zero, and nothing uses it."""
    file = tmp_path / "teacher.npz"
    np.savez(file, names=np.array(["a"]), vectors=vectors_of(1), is_centred=np.array(False))
    found = teacher_targets(file, ["b", "a"], max_missing=1)
    assert found[0].abs().sum() == 0
    assert found[1].norm().item() == pytest.approx(1.0)
    with pytest.raises(DataInvalid, match="lacks 1 images"):
        teacher_targets(file, ["b", "a"])
