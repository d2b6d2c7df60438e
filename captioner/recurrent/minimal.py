"""Cells with one gate.

The minimal gated unit (MGU; Zhou et al. 2016), whose one gate forgets and renews::

    f  = σ(W_f x + U_f h + b_f)
    h~ = tanh(W_h x + U_h (f ⊙ h) + b_h)
    h' = (1 - f) ⊙ h + f ⊙ h~

minGRU (Feng et al. 2024, eq. 3.1), whose gate and candidate see the input alone, so that all steps but the last
product can be made at once::

    z = σ(W_z x + b_z)     h~ = W_h x + b_h     h' = (1 - z) ⊙ h + z ⊙ h~
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MGUCell(nn.Module):
    """One step of a minimal gated unit over inputs (..., I) and states (..., H)."""

    states, gates = 1, 2

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.input = nn.Linear(inputs, 2 * hidden)  # rows: f, h~
        self.forget = nn.Linear(hidden, hidden, bias=False)
        self.candidate = nn.Linear(hidden, hidden, bias=False)
        nn.init.xavier_uniform_(self.input.weight)
        nn.init.zeros_(self.input.bias)
        nn.init.orthogonal_(self.forget.weight)
        nn.init.orthogonal_(self.candidate.weight)

    def project(self, x: Tensor) -> Tensor:
        """``W x + b`` for gate and candidate: (..., I) -> (..., 2H)."""
        return self.input(x)

    def forward(self, projected: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next state, one tensor (..., H), from a projected input (..., 2H) and the state."""
        [state] = states
        gate, candidate = projected.chunk(2, dim=-1)
        f = torch.sigmoid(gate + self.forget(state)).to(state.dtype)
        return (torch.lerp(state, torch.tanh(candidate + self.candidate(f * state)).to(state.dtype), f),)


class MinGRUCell(nn.Module):
    """One step of a minGRU over inputs (..., I) and states (..., H)."""

    states, gates = 1, 2

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.input = nn.Linear(inputs, 2 * hidden)  # rows: z, h~
        nn.init.xavier_uniform_(self.input.weight)
        nn.init.zeros_(self.input.bias)

    def project(self, x: Tensor) -> Tensor:
        """``W x + b`` for gate and candidate: (..., I) -> (..., 2H)."""
        return self.input(x)

    def forward(self, projected: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next state, one tensor (..., H), from a projected input (..., 2H) and the state."""
        [state] = states
        z, candidate = projected.chunk(2, dim=-1)
        return (torch.lerp(state, candidate.to(state.dtype), torch.sigmoid(z).to(state.dtype)),)
