"""Runs every net; the only importer of OpenVINO and ONNX Runtime.

Legend: B batch, H height, W width, C channels, D embedding dimension.

Inference is float32 on purpose: OpenVINO would choose bfloat16 where the processor has it,
which moves similarities by up to 0.007.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedding.align import CROP_SIZE_PX
from embedding.errors import ModelInvalid, RequestInvalid
from embedding.layers import Conv, Dense, FlattenWHC, Layer, MaxPool, NetPlan, PRelu, Softmax
from embedding.model import EMBEDDING_DIMENSION, ModelDirectory

# Importing OpenVINO reports the import to its maker over the network, and writes an id into the
# home folder, where its telemetry package is installed. A None entry is "not installed" to it.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino as ov  # noqa: E402
from openvino import opset13 as ops  # noqa: E402

# One run of a net takes at most this many rows: memory stays bounded, and beyond 32 crops a CPU
# gains nothing.
MAX_BATCH: Final = 32

# For each input shape that it meets OpenVINO keeps kernels, 5,000 by default: photos of 240
# sizes grew the process by 800 MB. 256 hold the detector's pyramid for two or three photo sizes
# (some 40 MB).
_NUM_CACHED_KERNELS: Final = "256"

# Below this length the direction of a raw embedding is rounding noise.
_MIN_NORM: Final = 1e-6


@cache
def _core() -> ov.Core:
    """The one OpenVINO core of the process.

    A core's CPU plugin gives the process a signal stack, and with the last net of that core puts
    back the stack it found. With a core for each net, nets that went in the order they came left
    a stack that was gone, and the next Ctrl-C or SIGTERM was a crash.
    """
    return ov.Core()


class OpenVinoNet:
    """A compiled net. Threads may share it; their runs take turns.

    With one stream all cores work on one run, so taking turns costs nothing, and one request
    object keeps memory bounded whatever the number of threads. But the cores wait for each other
    at every layer: where other work keeps taking one away, several streams, each a run of its own
    on its share of the cores, do more in the same time.
    """

    def __init__(
        self, model: bytes | NetPlan, *, num_threads: int | None = None, num_streams: int = 1
    ) -> None:
        """Compile an ONNX file or a net described as data.

        Args:
            model: the bytes of an ONNX file, or a plan.
            num_threads: processor threads; None leaves it to the library.
            num_streams: runs at the same time.

        Raises:
            ModelInvalid: the library cannot read or compile it.
        """
        core = _core()
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "CPU_RUNTIME_CACHE_CAPACITY": _NUM_CACHED_KERNELS,
        }
        if num_streams > 1:
            config |= {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": num_streams}
        if num_threads is not None:
            config["INFERENCE_NUM_THREADS"] = num_threads
        try:
            graph = _build(model) if isinstance(model, NetPlan) else core.read_model(model)
            self._compiled = core.compile_model(graph, "CPU", config)
        except RuntimeError as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
            raise ModelInvalid(f"OpenVINO cannot use the net: {reason}") from error
        self._free: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(num_streams):
            self._free.put(self._compiled.create_infer_request())

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        """Shape of each input; None for a dimension that may vary."""
        return [
            tuple(None if d.is_dynamic else d.get_length() for d in port.partial_shape)
            for port in self._compiled.inputs
        ]

    @property
    def output_shapes(self) -> list[tuple[int | None, ...]]:
        """Shape of each output; None for a dimension that may vary."""
        return [
            tuple(None if d.is_dynamic else d.get_length() for d in port.partial_shape)
            for port in self._compiled.outputs
        ]

    @property
    def input_names(self) -> list[set[str]]:
        """The names of each input."""
        return [set(port.names) for port in self._compiled.inputs]

    def run(self, *arrays: NDArray[Any]) -> list[NDArray[np.float32]]:
        """One array an output, owned by the caller."""
        request = self._free.get()
        try:
            request.infer({i: np.ascontiguousarray(array) for i, array in enumerate(arrays)})
            return [tensor.data.copy() for tensor in request.output_tensors]
        finally:
            self._free.put(request)

    def run_rows(self, rows: NDArray[Any]) -> list[NDArray[np.float32]]:
        """One array an output, for a net with one input and any number of rows but 0."""
        return _in_batches(self.run, rows)


class OnnxRuntimeNet:
    """The same net on ONNX Runtime, which is an optional package: for GPUs, and as a check.

    Threads may share it.
    """

    def __init__(self, model: bytes, *, num_threads: int | None = None) -> None:
        """Load an ONNX file, on a CUDA GPU where the installed ONNX Runtime has one.

        Args:
            model: the bytes of an ONNX file.
            num_threads: processor threads; None leaves it to the library.

        Raises:
            ModelInvalid: the library cannot read it.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = num_threads or 0
        available = ort.get_available_providers()
        # TensorFloat-32 has 10 bits of mantissa and would move similarities.
        providers: list[Any] = [("CUDAExecutionProvider", {"use_tf32": "0"})]
        providers = [p for p in providers if p[0] in available] + ["CPUExecutionProvider"]
        try:
            self._session = ort.InferenceSession(model, options, providers=providers)
        except Exception as error:  # the library's own errors share no base class
            raise ModelInvalid(f"ONNX Runtime cannot use the net: {error}") from error

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        """Shape of each input; None for a dimension that may vary."""
        return [_static_or_none(port.shape) for port in self._session.get_inputs()]

    @property
    def output_shapes(self) -> list[tuple[int | None, ...]]:
        """Shape of each output; None for a dimension that may vary."""
        return [_static_or_none(port.shape) for port in self._session.get_outputs()]

    @property
    def input_names(self) -> list[set[str]]:
        """The names of each input."""
        return [{port.name} for port in self._session.get_inputs()]

    def run(self, *arrays: NDArray[Any]) -> list[NDArray[np.float32]]:
        """One array an output, owned by the caller."""
        names = [port.name for port in self._session.get_inputs()]
        feed = {n: np.ascontiguousarray(a) for n, a in zip(names, arrays, strict=True)}
        return [np.asarray(output, np.float32) for output in self._session.run(None, feed)]

    def run_rows(self, rows: NDArray[Any]) -> list[NDArray[np.float32]]:
        """One array an output, for a net with one input and any number of rows but 0."""
        return _in_batches(self.run, rows)


def _in_batches(
    run: Callable[[NDArray[Any]], list[NDArray[np.float32]]], rows: NDArray[Any]
) -> list[NDArray[np.float32]]:
    """Run batches of 32, 16, 8, 4, 2 and 1 rows.

    Every batch size that a library meets for the first time costs it tens of milliseconds, so
    it should meet few.
    """
    parts, start = [], 0
    while start < len(rows):
        size = min(MAX_BATCH, 1 << ((len(rows) - start).bit_length() - 1))
        parts.append(run(rows[start : start + size]))
        start += size
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _static_or_none(shape: Sequence[int | str | None]) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) else None for side in shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embeddings:
    """What the embedding net made of a batch of crops.

    Attributes:
        vectors: float32 (B, 512), unit length.
        norms: float32 (B,), length of each raw vector before normalisation.
    """

    vectors: NDArray[np.float32]
    norms: NDArray[np.float32]


class EmbeddingNet:
    """The embedding net of a model directory. Threads may share it."""

    def __init__(
        self,
        directory: ModelDirectory,
        *,
        num_threads: int | None = None,
        num_streams: int = 1,
        engine: OpenVinoNet | OnnxRuntimeNet | None = None,
    ) -> None:
        """Compile the net and check that it takes and gives what the card says.

        Args:
            directory: with the net and its card.
            num_threads: processor threads; None leaves it to the library.
            num_streams: runs at the same time; see `OpenVinoNet`.
            engine: the directory's net, loaded already; None for OpenVINO.

        Raises:
            ModelInvalid: the net does not fit the card.
        """
        self._card = directory.card
        self._net = engine or OpenVinoNet(
            directory.read_model(), num_threads=num_threads, num_streams=num_streams
        )
        self._check_shapes()

    def _check_shapes(self) -> None:
        spec = self._card.input
        names, inputs, outputs = (
            self._net.input_names,
            self._net.input_shapes,
            self._net.output_shapes,
        )
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelInvalid("the net must have exactly one input and one output")
        if spec.name not in names[0]:
            raise ModelInvalid(f"the net has no input named {spec.name!r}")
        if inputs[0] != (None, 3, spec.size_px, spec.size_px):
            raise ModelInvalid(f"the net's input must be (batch, 3, 112, 112), not {inputs[0]}")
        if len(outputs[0]) != 2 or outputs[0][1] != EMBEDDING_DIMENSION:
            raise ModelInvalid(f"the net's output must be (batch, 512), not {outputs[0]}")

    def embed(self, crops_BHWC: NDArray[np.uint8]) -> Embeddings:
        """Unit embeddings of aligned crops.

        Args:
            crops_BHWC: uint8 (B, 112, 112, 3), RGB, upright; B may be 0.

        Raises:
            RequestInvalid: another shape or dtype.
            ModelInvalid: the net gives NaN or a zero vector.
        """
        check_crops(crops_BHWC)
        if not len(crops_BHWC):
            return Embeddings(
                vectors=np.empty((0, EMBEDDING_DIMENSION), np.float32),
                norms=np.empty(0, np.float32),
            )
        raw_BD = self._raw(crops_BHWC)
        norms_B = np.linalg.norm(raw_BD.astype(np.float64), axis=1)
        if not np.all(norms_B > _MIN_NORM) or not np.all(np.isfinite(norms_B)):
            raise ModelInvalid("the net gives embeddings that are NaN, infinite or zero")
        return Embeddings(
            vectors=(raw_BD / norms_B[:, None]).astype(np.float32),
            norms=norms_B.astype(np.float32),
        )

    def _raw(self, crops_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        spec = self._card.input
        pixels_BHWC = (crops_BHWC.astype(np.float32) - np.float32(spec.mean)) / np.float32(
            spec.std
        )
        images_BCHW = pixels_BHWC.transpose(0, 3, 1, 2)
        if not self._card.mirrored:
            return self._net.run_rows(images_BCHW)[0]
        both = np.concatenate([images_BCHW, images_BCHW[..., ::-1]])
        raw_BD, mirrored_BD = np.split(self._net.run_rows(both)[0], 2)
        mean_BD: NDArray[np.float32] = (raw_BD + mirrored_BD) / np.float32(2.0)
        return mean_BD


def check_crops(crops_BHWC: NDArray[np.uint8]) -> None:
    """Passes aligned crops, uint8 (B, 112, 112, 3).

    Raises:
        RequestInvalid: another shape or dtype.
    """
    size_px = CROP_SIZE_PX
    if crops_BHWC.dtype != np.uint8 or crops_BHWC.shape[1:] != (size_px, size_px, 3):
        raise RequestInvalid(
            f"crops must be uint8 (B, 112, 112, 3), not {crops_BHWC.dtype} {crops_BHWC.shape}"
        )


def _build(plan: NetPlan) -> ov.Model:
    """The plan as an OpenVINO model: uint8 (B, H, W, 3) in, one output a head."""
    side = -1 if plan.side_px is None else plan.side_px
    pixels = ops.parameter(ov.PartialShape([-1, side, side, 3]), ov.Type.u8, name="pixels")
    scaled = ops.divide(
        ops.subtract(ops.convert(pixels, "f32"), _constant(np.float32(plan.mean))),
        _constant(np.float32(plan.std)),
    )
    trunk = reduce(_append, plan.trunk, ops.transpose(scaled, _constant(np.array([0, 3, 1, 2]))))
    outputs = [ops.result(reduce(_append, head, trunk)) for head in plan.heads]
    return ov.Model(outputs, [pixels], "plan")


def _constant(value: Any) -> Any:  # noqa: ANN401 (the library's nodes are untyped)
    return ops.constant(np.ascontiguousarray(value))


def _append(node: Any, layer: Layer) -> Any:  # noqa: ANN401 (the library's nodes are untyped)
    match layer:
        case Conv():
            kernel = _constant(layer.kernel.transpose(3, 2, 0, 1))
            node = ops.convolution(node, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
            return ops.add(node, _constant(layer.bias.reshape(1, -1, 1, 1)))
        case PRelu():
            return ops.prelu(node, _constant(layer.slope))
        case MaxPool():
            rounding = "ceil" if layer.ceil else "floor"
            window = [layer.size, layer.size]
            pooled = ops.max_pool(node, [2, 2], [1, 1], [0, 0], [0, 0], window, rounding)
            return pooled.output(0)
        case FlattenWHC():
            columns_first = ops.transpose(node, _constant(np.array([0, 3, 2, 1])))
            return ops.reshape(columns_first, _constant(np.array([0, -1])), special_zero=True)
        case Dense():
            product = ops.matmul(node, _constant(layer.weights), False, False)
            return ops.add(product, _constant(layer.bias.reshape(1, -1)))
        case Softmax():
            return ops.softmax(node, 1)
