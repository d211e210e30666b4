"""Nets on OpenVINO: embeddings and small nets described as data."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.errors import ModelInvalid, RequestInvalid
from embedding.layers import Conv, Dense, FlattenWHC, MaxPool, NetPlan, PRelu, Softmax
from embedding.model import ModelDirectory, read_card, write_card
from embedding.runtime import EmbeddingNet, OnnxRuntimeNet, OpenVinoNet
from tests.fakes import write_fake_model


def noise_crops(num: int, seed: int = 0) -> NDArray[np.uint8]:
    """Crops of blocky noise, so that average pooling keeps something."""
    small = np.random.default_rng(seed).integers(0, 256, (num, 14, 14, 3), np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingNet:
    """A tiny mirrored net."""
    folder = write_fake_model(tmp_path_factory.mktemp("models") / "m")
    return EmbeddingNet(ModelDirectory.open(folder), num_threads=1)


def raw_embeddings(folder: Path, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the tiny net computes, by hand in float64."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(folder / "model.onnx")
    kernel = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    pixels = (crops.astype(np.float64) - 127.5) / 127.5
    pooled = pixels.reshape(len(crops), 7, 16, 7, 16, 3).mean(axis=(2, 4))
    return np.asarray(np.einsum("bhwc,dchw->bd", pooled, kernel))


@pytest.mark.parametrize("half_weights", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
def test_embeddings_equal_hand_computed_ones(
    tmp_path: Path, half_weights: bool, mirrored: bool
) -> None:
    """Normalisation, colour order, layout, mirroring and norm, in float32 from float16 weights."""
    folder = write_fake_model(tmp_path / "m", mirrored=mirrored, half_weights=half_weights)
    crops = noise_crops(3)
    expected = raw_embeddings(folder, crops)
    if mirrored:
        expected = (expected + raw_embeddings(folder, crops[:, :, ::-1])) / 2
    found = EmbeddingNet(ModelDirectory.open(folder)).embed(crops)
    norms = np.linalg.norm(expected, axis=1)
    assert np.allclose(found.norms, norms, rtol=1e-5)
    assert np.allclose(found.vectors, expected / norms[:, None], atol=1e-5)


def test_both_engines_agree(tmp_path: Path) -> None:
    """ONNX Runtime, where it is installed, gives what OpenVINO gives."""
    pytest.importorskip("onnxruntime")
    directory = ModelDirectory.open(write_fake_model(tmp_path / "m", half_weights=True))
    other = EmbeddingNet(directory, engine=OnnxRuntimeNet(directory.read_model(), num_threads=1))
    crops = noise_crops(5)
    found, expected = other.embed(crops), EmbeddingNet(directory).embed(crops)
    assert np.allclose(found.vectors, expected.vectors, atol=1e-5)
    assert np.allclose(found.norms, expected.norms, rtol=1e-5)


def test_file_that_onnx_runtime_cannot_read_is_refused() -> None:
    """Bytes that are no ONNX file are ModelInvalid there too."""
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelInvalid):
        OnnxRuntimeNet(b"this is no net")


def test_embeddings_are_unit_float32(net: EmbeddingNet) -> None:
    """Vectors are float32 of unit length within 1e-5."""
    found = net.embed(noise_crops(5))
    assert found.vectors.dtype == found.norms.dtype == np.float32
    assert found.vectors.shape == (5, 512)
    assert np.abs(np.linalg.norm(found.vectors.astype(np.float64), axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("num", [1, 2, 3, 31, 33, 70])
def test_alone_and_in_a_batch(net: EmbeddingNet, num: int) -> None:
    """A crop's embedding does not depend on its company: similarities agree within 1e-3."""
    crops = noise_crops(70)
    together = net.embed(crops[:num]).vectors
    alone = np.concatenate([net.embed(crops[i : i + 1]).vectors for i in range(num)])
    assert np.abs(together @ together.T - alone @ alone.T).max() < 1e-3


def test_mirror_image_has_the_same_embedding(net: EmbeddingNet) -> None:
    """A mirrored net gives a crop and its mirror image one embedding."""
    crops = noise_crops(2)
    assert np.allclose(net.embed(crops).vectors, net.embed(crops[:, :, ::-1]).vectors, atol=1e-5)


def test_no_crops(net: EmbeddingNet) -> None:
    """No crops give empty arrays of the right shape."""
    found = net.embed(np.empty((0, 112, 112, 3), np.uint8))
    assert found.vectors.shape == (0, 512)
    assert found.norms.shape == (0,)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((1, 112, 112, 3), np.float32),
        np.zeros((112, 112, 3), np.uint8),
        np.zeros((1, 3, 112, 112), np.uint8),
    ],
)
def test_other_crops_are_refused(net: EmbeddingNet, crops: NDArray[np.uint8]) -> None:
    """Another dtype or shape is the caller's mistake."""
    with pytest.raises(RequestInvalid):
        net.embed(crops)


def test_zero_embeddings_are_refused(tmp_path: Path) -> None:
    """A net that gives zero vectors is broken; no NaN comes out."""
    folder = write_fake_model(tmp_path / "m", zero_weights=True)
    with pytest.raises(ModelInvalid, match="zero"):
        EmbeddingNet(ModelDirectory.open(folder)).embed(noise_crops(1))


def test_threads_share_a_net(net: EmbeddingNet) -> None:
    """Eight threads that embed at once each get what they would get alone."""
    crops = [noise_crops(1 + i % 3, seed=i) for i in range(8)]
    expected = [net.embed(batch).vectors for batch in crops]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(10):
            if not np.allclose(net.embed(crops[i]).vectors, expected[i], atol=1e-5):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_results_belong_to_the_caller(net: EmbeddingNet) -> None:
    """A later run does not change an earlier result."""
    first = net.embed(noise_crops(2))
    before = first.vectors.copy()
    net.embed(noise_crops(2, seed=9))
    assert np.array_equal(first.vectors, before)


def test_nothing_is_reported_to_anyone(tmp_path: Path) -> None:
    """Starting the runtime loads no telemetry, opens no socket and writes nothing at home."""
    program = (
        "import socket, sys\n"
        "def refuse(*_): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "import embedding.runtime\n"
        "names = [n for n, m in sys.modules.items() if 'openvino_telemetry' in n and m]\n"
        "assert not names, names\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    environment.pop("CI", None)
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_finds_its_stack_after_nets_have_gone() -> None:
    """Nets that go in the order they came leave a process that Ctrl-C interrupts, not kills."""
    code = """
import signal
from embedding.mtcnn_nets import load_weights, rnet_plan
from embedding.runtime import OpenVinoNet

plan = rnet_plan(load_weights("rnet"))
signal.signal(signal.SIGINT, signal.default_int_handler)
first, second = OpenVinoNet(plan), OpenVinoNet(plan)
del first
del second
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_file_that_is_no_net_is_refused() -> None:
    """Bytes that are no ONNX file are ModelInvalid."""
    with pytest.raises(ModelInvalid):
        OpenVinoNet(b"this is no net")


def test_net_that_does_not_fit_its_card_is_refused(tmp_path: Path) -> None:
    """A net without the input that the card names is refused when it is opened."""
    import dataclasses

    folder = write_fake_model(tmp_path / "m")
    card = read_card(folder / "card.json")
    other = dataclasses.replace(card, input=dataclasses.replace(card.input, name="pixels"))
    write_card(folder, other)
    with pytest.raises(ModelInvalid, match="pixels"):
        EmbeddingNet(ModelDirectory.open(folder))


def test_layers_equal_hand_computed_ones() -> None:
    """Convolution, PReLU, pooling, the order of flattening, dense layers and softmax."""
    random = np.random.default_rng(3)
    kernel = random.normal(size=(3, 3, 3, 4)).astype(np.float32)
    bias, slope = random.normal(size=(2, 4)).astype(np.float32)
    dense = random.normal(size=(3 * 3 * 4, 5)).astype(np.float32)
    plan = NetPlan(
        side_px=None,
        mean=100.0,
        std=50.0,
        trunk=(Conv(kernel=kernel, bias=bias), PRelu(slope=slope), MaxPool(size=2, ceil=True)),
        heads=(
            (),
            (FlattenWHC(), Dense(weights=dense, bias=np.ones(5, np.float32)), Softmax()),
        ),
    )
    pixels = random.integers(0, 256, (2, 7, 8, 3), np.uint8)
    maps, chances = OpenVinoNet(plan).run(pixels)

    scaled = (pixels.astype(np.float64) - 100) / 50
    windows = np.lib.stride_tricks.sliding_window_view(scaled, (3, 3), axis=(1, 2))
    expected = np.einsum("bijchw,hwco->bijo", windows, kernel) + bias
    expected = np.where(expected > 0, expected, expected * slope)
    expected = np.pad(expected, ((0, 0), (0, 1), (0, 0), (0, 0)), constant_values=-np.inf)
    expected = expected.reshape(2, 3, 2, 3, 2, 4).max(axis=(2, 4))
    assert np.allclose(maps, expected.transpose(0, 3, 1, 2), atol=1e-4)
    assert chances.shape == (2, 5)
    logits = expected.transpose(0, 2, 1, 3).reshape(2, -1) @ dense + 1
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert np.allclose(chances, shares / shares.sum(axis=1, keepdims=True), atol=1e-4)
