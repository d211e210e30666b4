"""Reads a foreign ONNX file and finds in it the image, the embedding and the batch axis.

Beside `training.onnx_file` and `training.importing.graph` the only importer of onnx. Nothing is
changed here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from onnx import TensorProto, inliner

from embedding.align import CROP_SIZE_PX
from embedding.errors import DataInvalid, ModelInvalid

Layout = Literal["NCHW", "NHWC"]

# The domains whose operators OpenVINO and ONNX Runtime both know, if not every single one.
KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
# Arithmetic takes arrays of other shapes (broadcasting) since this one.
MIN_OPSET = 7

_INPUT_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8)
_OUTPUT_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)

# How files begin that people take for ONNX files.
_LOOK_ALIKES = {
    b"PK\x03\x04": "it is a zip archive: unpack it; a PyTorch checkpoint has to be exported first",
    b"version https://git-lfs": "it is a pointer of Git LFS: fetch the file with git lfs pull",
    b"<": "it is a web page or XML: download the file itself",
    b"\x80\x02": "it is a pickle, such as a PyTorch checkpoint, which has to be exported first",
}

_Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForeignNet:
    """A foreign network that was read and checked.

    Attributes:
        model: the graph with its weights; not to be changed.
        input_name: of the image.
        input_type: its element type, a number of onnx.
        layout: its axes.
        fixed_batch: the only batch size that it is declared for; None if any.
        output_name: of the embedding.
        output_type: its element type.
    """

    model: onnx.ModelProto
    input_name: str
    input_type: int
    layout: Layout
    fixed_batch: int | None
    output_name: str
    output_type: int

    @property
    def takes_pixels(self) -> bool:
        """Whether the input is uint8: the network does its own arithmetic on it."""
        return bool(self.input_type == TensorProto.UINT8)


def read_foreign(
    file: Path, *, output: str | None = None, layout: Layout | None = None
) -> ForeignNet:
    """A foreign face network from its file.

    Args:
        file: ONNX; weights in files beside it are read, too.
        output: name of the embedding where there are several outputs.
        layout: of the image where the shape does not tell.

    Raises:
        DataInvalid: no such file, or an option that does not fit it.
        ModelInvalid: not ONNX, damaged, incomplete, or not a network that can be imported; the
            message says what was expected, what came and what to do.
    """
    model = _read(file)
    _check_operators(model, file)
    if model.functions:
        model = inliner.inline_local_functions(model)
    image = _image(model, file)
    shape = _shape(image)
    layout = _layout(shape, layout, image.name)
    batch = shape[0] if shape else None
    embedding = _embedding(model, output)
    return ForeignNet(
        model=model,
        input_name=image.name,
        input_type=_type(image, _INPUT_TYPES, "input", "float32, float16, float64 or uint8"),
        layout=layout,
        fixed_batch=batch,
        output_name=embedding.name,
        output_type=_type(embedding, _OUTPUT_TYPES, "output", "float32, float16 or float64"),
    )


def _read(file: Path) -> onnx.ModelProto:
    """The model with all its weights, valid by onnx's own checks."""
    if not file.is_file():
        raise DataInvalid(f"there is no file {file}; give the path of an ONNX file")
    with file.open("rb") as stream:
        start = stream.read(64).lstrip()
    for beginning, advice in _LOOK_ALIKES.items():
        if start.startswith(beginning):
            raise ModelInvalid(f"{file} is not an ONNX file: {advice}")
    again = "fetch or export it again"
    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:  # protobuf's errors share no base class with onnx's
        raise ModelInvalid(f"{file} is not an ONNX file, or cut off: {again}") from error
    if not model.graph.node:
        raise ModelInvalid(f"{file} is not an ONNX file, or empty: it has no operators; {again}")
    _read_external(model, file)
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if not versions or max(versions) < MIN_OPSET:
        raise ModelInvalid(
            f"{file} is of opset {max(versions, default=0)}; at least {MIN_OPSET} is needed: "
            "export it with a newer one, or use onnx.version_converter"
        )
    return model


def _read_external(model: onnx.ModelProto, file: Path) -> None:
    """Weights that lie in files beside the model, in place."""
    wanted = sorted(
        {
            entry.value
            for tensor in _tensors(model.graph)
            if tensor.data_location == TensorProto.EXTERNAL
            for entry in tensor.external_data
            if entry.key == "location"
        }
    )
    if not wanted:
        return
    missing = [name for name in wanted if not (file.parent / name).is_file()]
    if missing:
        raise ModelInvalid(
            f"{file} keeps its weights in files beside it, of which are missing: "
            f"{', '.join(missing[:5])}; put them into {file.parent}, or export with the weights "
            "inside (external_data=False)"
        )
    try:
        onnx.load_external_data_for_model(model, str(file.parent))
        # A file that is cut off shows only when its numbers are counted.
        for tensor in _tensors(model.graph):
            onnx.numpy_helper.to_array(tensor)
    except Exception as error:  # the library raises whatever its parts raise
        raise ModelInvalid(
            f"the weights of {file} in {', '.join(wanted[:5])} cannot be read ({error}): fetch or "
            "export them again"
        ) from error


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The weights and constants of a graph and of those inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in _graphs(attribute):
                yield from _tensors(inner)


def _graphs(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _nodes(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for inner in _graphs(attribute):
                yield from _nodes(inner.node)


def _check_operators(model: onnx.ModelProto, file: Path) -> None:
    own = {(one.domain, one.name) for one in model.functions}
    bodies = [node for one in model.functions for node in one.node]
    custom = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in _nodes([*model.graph.node, *bodies])
            if node.domain not in KNOWN_DOMAINS and (node.domain, node.op_type) not in own
        }
    )
    if custom:
        raise ModelInvalid(
            f"{file} uses operators that OpenVINO and ONNX Runtime do not know: "
            f"{', '.join(custom[:10])}; export it with standard operators only"
        )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelInvalid(
            f"{file} is not valid ONNX, damaged or cut off ({reason}); fetch or export it again"
        ) from error


def _image(model: onnx.ModelProto, file: Path) -> onnx.ValueInfoProto:
    """The one input; older files list their weights as inputs, too."""
    weights = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    if len(inputs) != 1:
        raise ModelInvalid(
            f"{file} has {len(inputs)} inputs ({_listed(inputs)}); a face network that can be "
            "imported has one, the image: export it without the others"
        )
    return inputs[0]


def _layout(shape: _Shape, given: Layout | None, name: str) -> Layout:
    """The layout, checked: 112 pixels and three colours, as far as the shape says."""
    if shape and len(shape) != 4:
        raise ModelInvalid(
            f"the input {name!r} has the shape {_shown(shape)}; a batch of colour images has four "
            "axes, (batch, 3, 112, 112) or (batch, 112, 112, 3)"
        )
    sides = shape[1:] or (None, None, None)
    wanted: dict[Layout, _Shape] = {
        "NCHW": (3, CROP_SIZE_PX, CROP_SIZE_PX),
        "NHWC": (CROP_SIZE_PX, CROP_SIZE_PX, 3),
    }
    fitting = [
        one
        for one, sizes in wanted.items()
        if all(side in (None, size) for side, size in zip(sides, sizes, strict=True))
    ]
    if not fitting:
        raise ModelInvalid(
            f"the input {name!r} has the shape {_shown(shape)}; galleries hold faces of colour "
            f"crops of {CROP_SIZE_PX}x{CROP_SIZE_PX} pixels, (batch, 3, 112, 112) or "
            "(batch, 112, 112, 3): only a network for that size can be imported"
        )
    if given is None and len(fitting) == 2:
        raise DataInvalid(
            f"the input {name!r} has the shape {_shown(shape)}, which does not tell its layout: "
            "give --layout NCHW (as PyTorch has it) or --layout NHWC (as TensorFlow has it)"
        )
    if given is not None and given not in fitting:
        raise DataInvalid(
            f"--layout {given} does not fit the input {name!r} of the shape {_shown(shape)}: "
            "leave the option out"
        )
    return given or fitting[0]


def _embedding(model: onnx.ModelProto, wanted: str | None) -> onnx.ValueInfoProto:
    outputs = list(model.graph.output)
    if wanted is not None:
        for one in outputs:
            if one.name == wanted:
                return one
        raise DataInvalid(f"there is no output {wanted!r}; there are: {_listed(outputs)}")
    if len(outputs) != 1:
        raise DataInvalid(
            f"the network has {len(outputs)} outputs: {_listed(outputs)}; say with --output NAME "
            "which one is the embedding"
        )
    return outputs[0]


def _type(value: onnx.ValueInfoProto, allowed: tuple[int, ...], what: str, expected: str) -> int:
    found: int = value.type.tensor_type.elem_type
    if found not in allowed:
        name = TensorProto.DataType.Name(found).lower() if found else "no tensor"
        raise ModelInvalid(f"the {what} {value.name!r} is {name}; it must be {expected}")
    return found


def _shape(value: onnx.ValueInfoProto) -> _Shape:
    """The declared sizes, None where open (some exporters write 0 or -1); () if none are."""
    sizes: Any = value.type.tensor_type.shape.dim
    return tuple(one.dim_value if one.dim_value > 0 else None for one in sizes)


def _shown(shape: _Shape) -> str:
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"


def _listed(values: Sequence[onnx.ValueInfoProto]) -> str:
    return ", ".join(f"{one.name} {_shown(_shape(one))}" for one in values) or "none"
