"""Captions without torch: what ``captioner export`` wrote, on numpy, onnxruntime and PyAV alone."""

from captioner.runtime.runner import Runner

__all__ = ["Runner"]
