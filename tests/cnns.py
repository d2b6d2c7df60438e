"""Small seeded transformers CNNs of every family that the encoder promises, as if they had been trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.precision import dead_leaves

FAMILIES: dict[str, dict[str, Any]] = {
    "resnet": {"embedding_size": 16, "hidden_sizes": [16, 32, 48], "depths": [1, 2, 1], "layer_type": "basic"},
    "bottleneck": {"model_type": "resnet", "embedding_size": 16, "hidden_sizes": [32, 64], "depths": [1, 2]},
    "mobilenet_v2": {"depth_multiplier": 0.35},
    "convnext": {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1]},
    "regnet": {"embedding_size": 16, "hidden_sizes": [16, 32, 48], "depths": [1, 2, 1], "groups_width": 8},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320},
    "poolformer": {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
}
UNRECORDABLE = "poolformer"
"""Its group normalisation is none of the steps that a recording may hold."""


def write_config(folder: Path, family: str) -> Path:
    """A folder with nothing but the family's config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": family} | FAMILIES[family]))
    return folder


def settled_encoder(folder: Path, family: str, **options: Any) -> FrameEncoder:
    """A seeded encoder whose batch normalisation knows its input, as after training: each layer's output is of order 1.

    With the statistics of a new network (0 and 1) a MobileNetV2's features would vanish.
    """
    torch.manual_seed(0)
    encoder = FrameEncoder.load(EncoderConfig(source=str(write_config(folder, family)), weights="random", **options))
    norms = {module: module.momentum for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)}
    for norm in norms:
        norm.momentum = None  # the mean over all batches seen
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
    encoder.train()
    with torch.no_grad():
        for _ in range(3):
            encoder(frames())
    for norm, momentum in norms.items():
        norm.momentum = momentum
    return encoder.eval()


def frames(height: int = 64, width: int = 96) -> torch.Tensor:
    """Four frames, (4, height, width, 3) uint8."""
    return dead_leaves(4, height=height, width=width)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """The lowest cosine between the features ``(..., D)`` of a place in ``a`` and in ``b``."""
    return float(torch.cosine_similarity(a.double(), b.double(), dim=-1).min())
