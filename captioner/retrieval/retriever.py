"""Clips and sentences as vectors (Faghri et al. 2018; the contrastive loss of van den Oord et al. 2018).

Shapes: B clips or queries, T frames, P places, D feature width, L words, W numbers of a vector.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from captioner.recurrent.network import Recurrent
from captioner.retrieval.config import RetrieverConfig
from captioner.retrieval.queries import PAD


def pooled(features: Tensor, mask: Tensor, *, places: int) -> Tensor:
    """Features (B, T, P, D) with mask (B, T) -> the numbers of each clip (B, 2D, or 3D with the original CNN).

    They are the mean over places and frames, then the mean over frames of each frame's maximum over places. The last
    part is the mean features of the original CNN (:mod:`captioner.vision.encoder`).
    """
    own, shown = features[:, :, :places].float(), features[:, :, places:].float()
    parts = [_mean(own.mean(dim=2), mask), _mean(own.amax(dim=2), mask)]
    if shown.shape[2]:
        frames = shown[:, :, 0]
        parts.append(_mean(frames, mask & (frames != 0).any(dim=2)))
    return torch.cat(parts, dim=-1)


def _mean(frames: Tensor, mask: Tensor) -> Tensor:
    shown = mask.float()[:, :, None]
    return (frames * shown).sum(dim=1) / shown.sum(dim=1).clamp(min=1)


class ClipReader(nn.Module):
    """Pooled features (B, F) to unit vectors (B, W)."""

    middle: Tensor
    spread: Tensor

    def __init__(self, config: RetrieverConfig, *, inputs: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        self.dropout = nn.Dropout(config.dropout)
        self.narrow = nn.Linear(inputs, config.rank, bias=False) if config.rank else None
        self.out = nn.Linear(config.rank or inputs, config.width)

    def learn_scale(self, clips: Tensor) -> None:
        """Take the mean and the deviation of the pooled features (N, F) of training clips as the scale."""
        self.middle.copy_(clips.mean(dim=0))
        self.spread.copy_(clips.std(dim=0) + 1e-3)

    def forward(self, clips: Tensor) -> Tensor:
        x = self.dropout((clips - self.middle) / self.spread)
        return normalize(self.out(x if self.narrow is None else self.narrow(x)).float(), dim=-1)


class QueryReader(nn.Module):
    """Words (B, L), padded with :data:`PAD`, to unit vectors (B, W): a GRU's state after the last word."""

    def __init__(self, config: RetrieverConfig, *, words: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, config.embed, padding_idx=PAD)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.gru = Recurrent(config.embed, config.hidden)
        self.dropout = nn.Dropout(config.query_dropout)
        self.out = nn.Linear(config.hidden, config.width)

    def forward(self, words: Tensor) -> Tensor:
        mask = words != PAD
        states = self.gru(self.dropout(self.embed(words)), mask)
        return normalize(self.out(self.dropout(states[:, -1].float())).float(), dim=-1)


class Retriever(nn.Module):
    """Reads clips and queries as vectors: those that belong together lie together.

    ``places`` is P of the features that it reads, without the original CNN's. They are a captioner's, whose CNN stays
    as it is: there is nothing in ``encoder`` for the training loop to tune.
    """

    def __init__(self, config: RetrieverConfig, *, inputs: int, words: int, places: int) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.config, self.places = config, places
        self.clips = ClipReader(config, inputs=inputs)
        self.queries = QueryReader(config, words=words)

    @torch.inference_mode()
    def vectors(self, features: Tensor, mask: Tensor) -> np.ndarray:
        """Unit vectors (B, W) float16 of clips' features (B, T, P, D) with mask (B, T)."""
        clips = pooled(features.cpu(), mask.cpu(), places=self.places)
        return self.clips(clips).numpy().astype(np.float16)


def contrast(queries: Tensor, clips: Tensor, *, temperature: float) -> Tensor:
    """What B queries and their B clips cost: each must find the other among all of the batch."""
    scores = queries @ clips.T / temperature
    own = torch.arange(len(scores), device=scores.device)
    return (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2
