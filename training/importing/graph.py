"""Graph surgery on a foreign network: its preprocessing goes inside, its batch axis is freed.

Beside `training.onnx_file` and `training.importing.foreign_file` the only importer of onnx.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from embedding.align import CROP_SIZE_PX
from embedding.errors import ExportDisagrees, ModelInvalid
from embedding.model import EMBEDDING_DIMENSION
from training.importing.foreign_file import ForeignNet
from training.importing.preprocessing import Preprocessing
from training.onnx_file import INPUT_NAME, OUTPUT_NAME, halve_weights

# Foreign names get a folder of their own, so that none of them is one of ours.
_PREFIX = "foreign/"
# Weights may not be inputs as well from this version on; ours never are.
_MIN_IR = 4
# The batch as the network finds it, where an operator has to be told.
_BATCH = f"{_PREFIX}free.batch"
# Which input of an operator names the sizes of its result, the batch in front.
_SIZES_INPUT = {"Reshape": 1, "Expand": 1, "Resize": 3}


def wrap(
    net: ForeignNet, preprocessing: Preprocessing, *, is_raw: bool = False, half: bool = False
) -> bytes:
    """The foreign network as an ONNX file that takes and gives what a model directory's does.

    In: ``crops`` (batch, 3, 112, 112) float32 RGB, (v - 127.5) / 127.5. Out: ``embeddings``
    (batch, 512) float32. A fixed batch is freed as far as the graph allows; the caller proves it.

    Args:
        net: as it was read.
        preprocessing: what the network wants.
        is_raw: leave the output's shape as it is, to look at it.
        half: store large weights as float16, computed in float32.

    Raises:
        ModelInvalid: with `half`, a weight that float16 cannot hold.
    """
    model = compose.add_prefix(net.model, _PREFIX)
    graph = model.graph
    weights = {one.name for one in graph.initializer}
    (image,) = (one for one in graph.input if one.name not in weights)
    output = f"{_PREFIX}{net.output_name}"
    if net.fixed_batch is not None:
        _free_batch(model, image.name, net.fixed_batch)
    _keep_only(graph, output)
    nodes = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:]
    # Shapes noted for the old batch would contradict the new one.
    del graph.value_info[:]
    graph.node.extend(_before(net, preprocessing, graph, image.name))
    graph.node.extend(nodes)
    graph.node.extend(_after(net, graph, output, is_raw=is_raw))
    crops = ["batch", 3, CROP_SIZE_PX, CROP_SIZE_PX]
    graph.input.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, crops))
    shape = None if is_raw else ["batch", EMBEDDING_DIMENSION]
    graph.output.append(helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, shape))
    model.ir_version = max(model.ir_version, _MIN_IR)
    if half:
        _halve(model)
    if not is_raw:  # onnx wants every output's shape declared, and that is not known yet
        onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _halve(model: onnx.ModelProto) -> None:
    try:
        halve_weights(model)
    except ExportDisagrees as error:
        raise ModelInvalid(f"{error}: import without --half") from error


def _before(
    net: ForeignNet, preprocessing: Preprocessing, graph: onnx.GraphProto, image: str
) -> list[onnx.NodeProto]:
    """From what the service feeds to what the network takes."""
    steps: list[tuple[str, list[str], dict[str, object]]] = []

    def constant(name: str, value: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    if preprocessing.color == "BGR":
        order = constant("crops.order", np.array([2, 1, 0], np.int64))
        steps.append(("Gather", [order], {"axis": 1}))
    if (preprocessing.scale != 1.0).any():
        scale = preprocessing.scale.astype(np.float32).reshape(1, 3, 1, 1)
        steps.append(("Mul", [constant("crops.scale", scale)], {}))
    if (preprocessing.offset != 0.0).any():
        offset = preprocessing.offset.astype(np.float32).reshape(1, 3, 1, 1)
        steps.append(("Add", [constant("crops.offset", offset)], {}))
    if net.layout == "NHWC":
        steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}))
    if net.takes_pixels:
        # Casting cuts off: 41.99999 has to become 42. Pixels are never negative.
        steps.append(("Add", [constant("crops.half", np.array([0.5], np.float32))], {}))
    if net.input_type != TensorProto.FLOAT:
        steps.append(("Cast", [], {"to": net.input_type}))
    return _chain(steps or [("Identity", [], {})], INPUT_NAME, image)


def _after(
    net: ForeignNet, graph: onnx.GraphProto, output: str, *, is_raw: bool
) -> list[onnx.NodeProto]:
    """From what the network gives to (batch, 512) float32."""
    steps: list[tuple[str, list[str], dict[str, object]]] = []
    if net.output_type != TensorProto.FLOAT:
        steps.append(("Cast", [], {"to": TensorProto.FLOAT}))
    if not is_raw:
        shape = np.array([-1, EMBEDDING_DIMENSION], np.int64)
        graph.initializer.append(numpy_helper.from_array(shape, "embeddings.shape"))
        steps.append(("Reshape", ["embeddings.shape"], {}))
    return _chain(steps or [("Identity", [], {})], output, OUTPUT_NAME)


def _chain(
    steps: list[tuple[str, list[str], dict[str, object]]], start: str, end: str
) -> list[onnx.NodeProto]:
    """Nodes one after the other, from a named value to a named value."""
    between = [f"{INPUT_NAME}.{n}" if start == INPUT_NAME else f"{OUTPUT_NAME}.{n}"
               for n in range(1, len(steps))]  # fmt: skip
    names = [start, *between, end]
    return [
        helper.make_node(kind, [names[n], *others], [names[n + 1]], **attributes)
        for n, (kind, others, attributes) in enumerate(steps)
    ]


def _keep_only(graph: onnx.GraphProto, output: str) -> None:
    """Drops nodes and weights that the output does not need, such as a classifier's."""
    needed = {output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed |= _names_used(node)
    weights = [one for one in graph.initializer if one.name in needed]
    nodes = kept[::-1]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)


def _names_used(node: onnx.NodeProto) -> set[str]:
    """What a node takes, the graphs inside it included."""
    names = set(node.input) - {""}
    for attribute in node.attribute:
        for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            names.update(one.name for one in inner.output)
            for one in inner.node:
                names |= _names_used(one)
    return names


def _free_batch(model: onnx.ModelProto, image: str, batch: int) -> None:
    """Lets reshapes and resizes keep any batch where they name the fixed one, in place.

    Only those that work on the image's own data: reshaped weights stay as they are, and so do
    lists of sizes.
    """
    graph = model.graph
    sizes = _known_sizes(model)
    constants = {one.name: one for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    from_image = {image}
    measuring: list[onnx.NodeProto] = []
    for number, node in enumerate(graph.node):
        if node.op_type in ("Shape", "Size") or from_image.isdisjoint(node.input):
            continue
        from_image.update(node.output)
        place = _SIZES_INPUT.get(node.op_type, len(node.input))
        if place >= len(node.input) or node.input[0] not in from_image:
            continue
        if node.input[place] not in constants:
            continue
        target = numpy_helper.to_array(constants[node.input[place]]).tolist()
        if not target or target[0] != batch:
            continue
        freed = f"{_PREFIX}free.{number}"
        node.input[place] = freed
        if node.op_type == "Reshape":
            _free_reshape(graph, node, target, sizes.get(node.output[0]), freed)
        else:
            _append_constant(graph, f"{freed}.rest", target[1:])
            rest = [_BATCH, f"{freed}.rest"]
            measuring.append(helper.make_node("Concat", rest, [freed], axis=0))
    if measuring:
        _append_constant(graph, f"{_BATCH}.axis", [0])
        shape, axis = f"{_BATCH}.shape", f"{_BATCH}.axis"
        nodes = [
            helper.make_node("Shape", [image], [shape]),
            helper.make_node("Gather", [shape, axis], [_BATCH], axis=0),
            *measuring,
            *graph.node,
        ]
        del graph.node[:]
        graph.node.extend(nodes)


def _free_reshape(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    target: list[int],
    known: list[int] | None,
    freed: str,
) -> None:
    """Gives a reshape a target of any batch."""
    _append_constant(graph, freed, _free_shape(target, known))
    # With this attribute a 0 would mean an axis without entries.
    kept = [one for one in node.attribute if one.name != "allowzero"]
    del node.attribute[:]
    node.attribute.extend(kept)


def _append_constant(graph: onnx.GraphProto, name: str, numbers: list[int]) -> None:
    graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), name))


def _free_shape(target: list[int], known: list[int] | None) -> list[int]:
    """A reshape's target whose first entry is any number.

    Args:
        target: with the fixed batch in front.
        known: the sizes that come out at the fixed batch, if all are known.
    """
    rest = target[1:]
    if known is not None and len(known) == len(target):
        rest = known[1:]
    # Only one entry may be found out (-1); 0 takes the size from what comes in.
    return [0 if -1 in rest else -1, *rest]


def _known_sizes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """The values of the graph whose sizes are all known."""
    inferred = onnx.shape_inference.infer_shapes(model)
    return {
        one.name: [side.dim_value for side in one.type.tensor_type.shape.dim]
        for one in [*inferred.graph.value_info, *inferred.graph.output]
        if all(side.dim_value > 0 for side in one.type.tensor_type.shape.dim)
    }
