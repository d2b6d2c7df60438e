"""Libraries of optional extras, imported where they are used."""

from __future__ import annotations

import importlib
from typing import Any

from captioner.errors import CaptionerError


def import_extra(module: str, *, extra: str, what: str, library: str = "") -> Any:
    """A module that ``what`` needs, of a ``library`` in an extra; raises CaptionerError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise CaptionerError(f"{what} needs {library or module}: pip install 'captioner[{extra}]'") from None


def import_onnx() -> None:
    """What an export needs; raises CaptionerError where it is not installed."""
    for library in ("onnx", "onnxruntime", "onnxscript"):
        import_extra(library, extra="onnx", what="an export")
