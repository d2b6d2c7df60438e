"""Shows a field made by ``captioner.config.setting`` as its default, with its help as the first sentence."""

from __future__ import annotations

import ast
from typing import Any

from griffe import Attribute, Docstring, ExprCall, Extension


class Settings(Extension):
    """For mkdocstrings: reads the call from the source, and runs nothing."""

    def on_attribute_instance(self, *, attr: Attribute, **_: Any) -> None:
        value = attr.value
        if not isinstance(value, ExprCall) or str(value.function) != "setting":
            return
        default, text = value.arguments[:2]
        text = ast.literal_eval(str(text))
        said = f" {attr.docstring.value}" if attr.docstring else ""
        attr.value = default
        attr.docstring = Docstring(f"{text[0].upper()}{text[1:]}.{said}", parent=attr, lineno=attr.lineno)
