"""The optimiser of a training stage, and its learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from captioner.training.config import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig, rate: float) -> torch.optim.Optimizer:
    """Weight decay on matrices only; the CNN (``encoder``), when it is trained, at its own rate."""
    cnn: Any = model.encoder
    cnn.requires_grad_(config.train_encoder)
    seen = set(cnn.parameters())
    rest = [p for p in model.parameters() if p not in seen]
    groups = []
    for parameters, module_rate in ((rest, rate), (list(cnn.parameters()), config.encoder_learning_rate)):
        weights = [p for p in parameters if p.requires_grad]
        for decayed in (True, False):
            chosen = [p for p in weights if (p.dim() > 1) == decayed]
            if chosen:
                decay = config.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "lr": module_rate, "base": module_rate, "weight_decay": decay})
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True)
    kind: Callable[..., torch.optim.Optimizer] = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=rate, betas=(0.9, 0.98))


def rate_factor(progress: float, total: int, warmup: int) -> float:
    """Linear warm-up (at most a tenth of the stage), then a cosine to zero: the rate's factor."""
    start = min(warmup / total, 0.1)
    if progress < start:
        return (progress * total + 1) / (start * total)
    return 0.5 * (1 + math.cos(math.pi * (progress - start) / (1 - start)))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor
