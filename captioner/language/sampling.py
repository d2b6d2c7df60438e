"""Sampling in place of search: each hypothesis goes on with a token that is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captioner.language.config import SearchConfig


def chances(seeds: Sequence[int], config: SearchConfig) -> Tensor:
    """Where in the cumulated probability each draw falls: [0, 1) float64 (B, K, max_length), each clip by its seed.

    A sample's draws lie together: the first samples stay the same when more are asked for.
    """
    size = (config.beams, config.max_length)
    rows = [torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows) if rows else torch.empty(0, *size)


def draw(running: Tensor, allowed: Tensor, chance: Tensor, config: SearchConfig) -> tuple[Tensor, Tensor]:
    """One token after each hypothesis by inverting the cumulated probability.

    Log-probabilities (B, K, 1) and tokens (B, K, 1), from ``running`` (B, K, 1), ``allowed`` (B, K, 1, V) and
    ``chance`` (B, K).
    """
    allowed = allowed.squeeze(2)  # (B, K, V)
    tempered, order = allowed / config.temperature, None
    if 0 < config.top_k < allowed.shape[-1]:
        tempered, order = tempered.topk(config.top_k)
    elif config.top_p < 1:
        tempered, order = tempered.sort(descending=True)
    probs = tempered.softmax(-1)
    if config.top_p < 1:  # the token that reaches top_p is still in
        probs = probs.masked_fill(probs.cumsum(-1) - probs >= config.top_p, 0)
    cumulated = probs.cumsum(-1, dtype=torch.float64)
    # right=True: the first token whose cumulated probability exceeds the draw, so never one of probability 0
    token = torch.searchsorted(cumulated, chance[..., None] * cumulated[..., -1:], right=True)
    token = token.clamp_(max=tempered.shape[-1] - 1)  # where nothing is possible: its -inf empties the slot
    if order is not None:
        token = order.gather(-1, token)
    return running + allowed.gather(-1, token), token
