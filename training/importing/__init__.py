"""A foreign ONNX network becomes a model directory of ours."""
