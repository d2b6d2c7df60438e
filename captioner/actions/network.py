"""From features to the logits of actions, frame by frame (CNN-GRU classification; Ballas et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from captioner.actions.config import HeadConfig
from captioner.recurrent.network import Recurrent
from captioner.vision.encoder import FrameEncoder


class ActionHead(nn.Module):
    """Features (B, T, P, D) -> logits (B, T, C). Each frame attends to its places; a recurrent network reads on."""

    def __init__(self, config: HeadConfig, *, width: int, classes: int) -> None:
        super().__init__()
        self.config = config
        self.look = nn.Sequential(nn.LayerNorm(width), nn.Dropout(config.dropout), nn.Linear(width, config.hidden))
        self.energy = nn.Linear(config.hidden, 1)
        self.temporal = (
            Recurrent(
                config.hidden,
                config.hidden,
                cell=config.cell,
                layers=config.layers,
                bidirectional=config.temporal == "bigru",
            )
            if config.temporal != "none"
            else None
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(config.hidden, classes)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, T, C) of each frame, with what came before it; ``mask`` is (B, T)."""
        x = nn.functional.gelu(self.look(features.to(self.energy.weight.dtype)))
        weights = self.energy(torch.tanh(x)).softmax(dim=2)  # over places
        frames = (weights * x).sum(dim=2)
        if self.temporal is not None:
            frames = frames + self.temporal(frames, mask)
        return self.classify(self.dropout(frames))


class ActionModel(nn.Module):
    """A frame encoder and the head on top of it."""

    def __init__(self, encoder: FrameEncoder, config: HeadConfig, *, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ActionHead(config, width=encoder.width, classes=classes)

    def forward(self, clips: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, T, H, W, 3) or features (B, T, P, D) -> logits of clips (B, C) and of frames (B, T, C).

        A clip's logits are the mean of its frames'.
        """
        frames = self.head(self.encoder.read_clips(clips, mask), mask)
        shares = (mask / mask.sum(dim=1, keepdim=True)).to(frames.dtype)
        return (shares[:, :, None] * frames).sum(dim=1), frames


def probabilities(logits: Tensor, *, multi_label: bool, temperature: float) -> Tensor:
    """Logits (..., C) as calibrated probabilities (temperature scaling; Guo et al. 2017)."""
    scaled = logits.float() / temperature
    return scaled.sigmoid() if multi_label else scaled.softmax(dim=-1)
