"""Additive attention over what the encoder saw (Bahdanau et al. 2015)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Memory(NamedTuple):
    """A clip as the decoder sees it: made once, never changed, shared by all beams of the clip."""

    values: Tensor  # (B, N, H) what is read
    keys: Tensor  # (B, N, A) what is compared; projected once a clip
    mask: Tensor  # (B, N) bool: True where there is something to look at (at least one place a clip)
    evidence: Tensor | None = None  # (B, V) for each token: whether the CNN's classifier saw it


class AdditiveAttention(nn.Module):
    """``a_n = softmax_n(v · tanh(W_q q + k_n))``, context = ``Σ_n a_n value_n`` (Bahdanau et al. 2015, A.1.2)."""

    def __init__(self, query: int, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, hidden, bias=False)
        self.energy = nn.Linear(hidden, 1, bias=False)

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Queries (B, K, H) -> contexts (B, K, H) and weights (B, K, N), which sum to 1 over N."""
        hidden = (self.query(query)[:, :, None] + memory.keys[:, None]).tanh_()  # (B, K, N, A)
        energy = self.energy(hidden).squeeze(-1).float()  # (B, K, N)
        weights = energy.masked_fill(~memory.mask[:, None], float("-inf")).softmax(dim=-1)
        return weights.to(memory.values.dtype) @ memory.values, weights
