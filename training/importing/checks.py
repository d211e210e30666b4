"""What an imported network is put through before anybody relies on it.

Shape legend: B images, D embedding dimension.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedding.align import CROP_SIZE_PX
from embedding.errors import ModelInvalid
from embedding.model import EMBEDDING_DIMENSION, ModelDirectory
from embedding.runtime import EmbeddingNet, OnnxRuntimeNet, OpenVinoNet

MIN_AGREEMENT = 0.999
# Cosine that an embedding made alone has to the same one made in a batch, at least.
MIN_BATCH_AGREEMENT = 1 - 1e-4
BATCH_SIZES = (1, 2, 5)
# Embeddings of different faces are never this close; those of a constant network are.
MAX_LIKENESS = 1 - 1e-6

_WRONG = (
    "the colour order, mean or standard deviation may be wrong (--color, --mean, --std), or the "
    "file damaged"
)
_EXPORT_DYNAMIC = (
    "export it with a dynamic batch axis (dynamic_axes or dynamic_shapes in torch.onnx.export)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """One wrapped network in both runtimes.

    Attributes:
        openvino: what the service runs by default.
        onnxruntime: the second opinion.
    """

    openvino: OpenVinoNet
    onnxruntime: OnnxRuntimeNet


def load_engines(model: bytes, *, fixed_batch: int | None) -> Engines:
    """A wrapped network in both runtimes.

    Args:
        model: the bytes of an ONNX file.
        fixed_batch: the batch that it was made for, which was freed; None for any.

    Raises:
        ModelInvalid: one of them cannot read or compile it.
    """
    try:
        return Engines(openvino=OpenVinoNet(model), onnxruntime=OnnxRuntimeNet(model))
    except ModelInvalid as error:
        # OpenVINO names operators that it lacks within its message, not in the last line.
        lines = str(error.__cause__).splitlines()
        lacking = "".join(f" ({line[3:]})" for line in lines if line.startswith("-- "))
        raise ModelInvalid(f"{error}{lacking}; {_advice(fixed_batch)}") from error


def check_dimension(engine: OnnxRuntimeNet, *, fixed_batch: int | None) -> None:
    """Passes if a network, wrapped as raw, gives 512 numbers a crop.

    Raises:
        ModelInvalid: it gives something else, or cannot run.
    """
    rng = np.random.default_rng(0)
    num_crops = 2
    images = rng.uniform(-1, 1, (num_crops, 3, CROP_SIZE_PX, CROP_SIZE_PX)).astype(np.float32)
    shape = _run(engine, images, fixed_batch=fixed_batch).shape
    if shape[:1] != (num_crops,):
        raise ModelInvalid(
            f"two crops give an output of the shape {shape}, not one embedding each: "
            f"{_advice(fixed_batch)}"
        )
    # Axes of one beside the 512, as after a convolution or pooling, are dropped.
    if sorted(shape[1:])[-1:] != [EMBEDDING_DIMENSION] or np.prod(shape[1:]) > EMBEDDING_DIMENSION:
        raise ModelInvalid(
            f"the output has the shape {('batch', *shape[1:])}; galleries take embeddings of "
            f"{EMBEDDING_DIMENSION} numbers, and no others: import a network with that many, or "
            "train one beside this as a teacher (python -m training teacher)"
        )


def check_batches(
    engines: Engines, images_BCHW: NDArray[np.float32], *, fixed_batch: int | None
) -> None:
    """Passes if batches of 1, 2 and 5 give the same embeddings.

    Args:
        engines: the wrapped network.
        images_BCHW: at least 5, as the service feeds them.
        fixed_batch: the batch that it was made for, which was freed; None for any.

    Raises:
        ModelInvalid: they do not, or the network cannot run them.
    """
    for engine in (engines.openvino, engines.onnxruntime):
        alone_BD = unit_rows(
            np.concatenate(
                [
                    _run(engine, images_BCHW[n : n + 1], fixed_batch=fixed_batch)
                    for n in range(max(BATCH_SIZES))
                ]
            )
        )
        for size in BATCH_SIZES:
            batch_BD = unit_rows(_run(engine, images_BCHW[:size], fixed_batch=fixed_batch))
            if batch_BD.shape != (size, EMBEDDING_DIMENSION):
                raise ModelInvalid(
                    f"{size} crops give embeddings of the shape {batch_BD.shape}: "
                    f"{_advice(fixed_batch)}"
                )
            apart_B = np.linalg.norm(batch_BD - alone_BD[:size], axis=1)
            cosine = 1 - float(apart_B.max()) ** 2 / 2
            if not cosine >= MIN_BATCH_AGREEMENT:
                raise ModelInvalid(
                    f"an embedding depends on what else is in its batch: a crop alone and in a "
                    f"batch of {size} have the cosine {cosine:.4f}, not 1; "
                    f"{_advice(fixed_batch)}"
                )


def check_embeddings(
    directory: ModelDirectory, engines: Engines, crops_BHWC: NDArray[np.uint8]
) -> dict[str, float]:
    """Passes if the served embeddings are finite, tell crops apart, and both runtimes agree.

    Args:
        directory: with the wrapped network.
        engines: the same network.
        crops_BHWC: uint8 RGB, at least two different ones.

    Returns:
        The smallest cosine between the runtimes, and how many crops it is over.

    Raises:
        ModelInvalid: they are not, do not, or do not agree.
    """
    vectors_BD = embed(EmbeddingNet(directory, engine=engines.openvino), crops_BHWC)
    other_BD = embed(EmbeddingNet(directory, engine=engines.onnxruntime), crops_BHWC)
    if float((vectors_BD @ vectors_BD.T).min()) > MAX_LIKENESS:
        raise ModelInvalid(
            f"all {len(crops_BHWC)} crops have the same embedding, so the output does not depend "
            f"on the image: another output may be the embedding (--output), {_WRONG}; or all "
            "images of --data are the same"
        )
    agreement = float((vectors_BD * other_BD).sum(axis=1).min())
    if not agreement >= MIN_AGREEMENT:
        raise ModelInvalid(
            f"OpenVINO and ONNX Runtime give different embeddings for the same crop: cosine "
            f"{agreement:.4f}, at least {MIN_AGREEMENT} is expected; export the network with "
            "another opset, or in float32"
        )
    return {"openvino_onnxruntime": round(agreement, 6), "num_crops": len(crops_BHWC)}


def check_half(whole: OpenVinoNet, half: OpenVinoNet, images_BCHW: NDArray[np.float32]) -> float:
    """The smallest cosine between embeddings with weights as they came and as float16.

    Raises:
        ModelInvalid: below 0.999.
    """
    whole_BD, half_BD = (
        unit_rows(run_rows(whole, images_BCHW)),
        unit_rows(run_rows(half, images_BCHW)),
    )
    agreement = float((whole_BD * half_BD).sum(axis=1).min())
    if not agreement >= MIN_AGREEMENT:
        raise ModelInvalid(
            f"weights as float16 change the embeddings: cosine {agreement:.4f}, at least "
            f"{MIN_AGREEMENT} is expected; import without --half"
        )
    return agreement


def embed(net: EmbeddingNet, crops_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(B, 512) unit embeddings.

    Raises:
        ModelInvalid: NaN, infinite or zero ones; the message says what may be wrong.
    """
    try:
        return net.embed(crops_BHWC).vectors
    except ModelInvalid as error:
        raise ModelInvalid(f"{error}: {_WRONG}") from error


def run_rows(
    engine: OpenVinoNet | OnnxRuntimeNet, images_BCHW: NDArray[Any]
) -> NDArray[np.float32]:
    """The raw (B, D) output for any number of images."""
    return engine.run_rows(images_BCHW)[0]


def _run(
    engine: OpenVinoNet | OnnxRuntimeNet,
    images_BCHW: NDArray[np.float32],
    *,
    fixed_batch: int | None,
) -> NDArray[np.float32]:
    try:
        return engine.run(images_BCHW)[0]
    except Exception as error:  # the libraries' errors share no base class
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
        raise ModelInvalid(
            f"a batch of {len(images_BCHW)} crops cannot be run ({reason}); {_advice(fixed_batch)}"
        ) from error


def _advice(fixed_batch: int | None) -> str:
    if fixed_batch is None:
        return (
            "export the network again, with standard operators of a recent opset and a dynamic "
            "batch axis"
        )
    return (
        f"the network was exported for batches of {fixed_batch} only, and that could not be "
        f"changed here: {_EXPORT_DYNAMIC}"
    )


def unit_rows(raw_BD: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unit length; zero for rows without a direction, which have a check of their own."""
    finite_BD = np.where(np.isfinite(raw_BD).all(axis=-1, keepdims=True), raw_BD, 0.0)
    lengths = np.linalg.norm(finite_BD.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(finite_BD / np.maximum(lengths, 1e-12), np.float64)
