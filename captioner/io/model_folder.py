"""What a model's folder calls things: its files, and the CNN's weights among them. ``checkpoint`` writes and checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CNN = "encoder.cnn."
"""Prefix of the CNN's weights."""


def cnn_source(folder: Path) -> str:
    """The source that the folder's CNN was made of; empty: the folder holds all of it."""
    source: str = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["encoder"]["source"]
    return source


def cnn_weights(folder: Path) -> dict[str, Tensor]:
    """The CNN's weights that the folder holds, by their names in the CNN, sorted: those that its source has not."""
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "pt") as file:
        names = sorted(name for name in file.keys() if name.startswith(CNN))  # noqa: SIM118 - no dictionary
        return {name.removeprefix(CNN): file.get_tensor(name) for name in names}
