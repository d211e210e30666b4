"""A torch network as one ONNX file with float16 weights that computes in float32.

Beside `training.importing.foreign_file` and `training.importing.graph`, which read and rewire
foreign files, the only importer of onnx.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from embedding.errors import ExportDisagrees

INPUT_NAME = "crops"
OUTPUT_NAME = "embeddings"
OPSET = 18

# Small tensors (biases, slopes) stay float32: they are 1 % of the bytes.
MIN_HALF_SIZE = 2048


def onnx_bytes(network: nn.Module) -> bytes:
    """The network as ONNX: (B, 3, 112, 112) float32 in, (B, D) raw embeddings out.

    Convolutions and their batch normalisations are one operation in it; large weights are stored
    as float16 and cast to float32 when the file is loaded.

    Raises:
        ExportDisagrees: a weight that float16 cannot hold.
    """
    network = network.eval().cpu().to(memory_format=torch.contiguous_format)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, 112, 112),),
            str(path),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: batch},),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        model = onnx.load(path)
    halve_weights(model)
    for entry in (model, model.graph):
        entry.doc_string = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def halve_weights(model: onnx.ModelProto) -> None:
    """Replaces large float32 weights by float16 ones followed by a cast, in place.

    Raises:
        ExportDisagrees: a weight that float16 cannot hold.
    """
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < MIN_HALF_SIZE:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ExportDisagrees(f"the weight {weight.name} is too large for float16")
        name = weight.name
        stored = f"{name}.float16"
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    # Shapes noted for the renamed weights would contradict their new type.
    del model.graph.value_info[:]
