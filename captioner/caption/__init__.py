"""The one path from a clip to its caption; the same for torch and for ONNX."""
