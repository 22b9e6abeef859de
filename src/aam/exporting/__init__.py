"""Fitted models as ONNX graphs, which programs without AAM read."""
