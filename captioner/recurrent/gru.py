"""The gated recurrent unit by its equations, in both published forms.

``x`` is the input, ``h`` the previous state, ``⊙`` the element-wise product (Cho et al. 2014; the article's 3.1)::

    z  = σ(W_z x + U_z h + b_z)                     how much of the state is renewed
    r  = σ(W_r x + U_r h + b_r)                     how much of the past the candidate sees
    h~ = tanh(W_h x + U_h (r ⊙ h) + b_h)            reset = "before" the matrix product
    h~ = tanh(W_h x + b_h + r ⊙ (U_h h + c_h))      reset = "after" it (cuDNN, torch.nn.GRU)
    h' = (1 - z) ⊙ h + z ⊙ h~

``torch.nn.GRU`` writes ``1 - z`` where we write ``z``; negating its update gate's weights gives ours.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Reset = Literal["before", "after"]


class GRUCell(nn.Module):
    """One step of a GRU over inputs (..., I) and states (..., H).

    The product with the input is apart (:meth:`project`), so that a caller who knows all inputs beforehand
    makes it once for all steps, outside the loop over time.
    """

    states, gates = 1, 3

    def __init__(self, inputs: int, hidden: int, *, reset: Reset = "after") -> None:
        super().__init__()
        self.hidden = hidden
        self.reset = reset
        self.input = nn.Linear(inputs, 3 * hidden)  # rows: z, r, h~
        # "after" is one product for all gates, with torch's second bias; "before" needs r first, so two products
        self.recurrent = nn.Linear(hidden, (3 if reset == "after" else 2) * hidden, bias=reset == "after")
        self.candidate = nn.Linear(hidden, hidden, bias=False) if reset == "before" else None
        self._initialise()

    def _initialise(self) -> None:
        """Glorot for inputs, orthogonal for each recurrent gate, zero biases."""
        nn.init.xavier_uniform_(self.input.weight)
        nn.init.zeros_(self.input.bias)
        for gate in self.recurrent.weight.detach().split(self.hidden):
            nn.init.orthogonal_(gate)
        if self.recurrent.bias is not None:
            nn.init.zeros_(self.recurrent.bias)
        if self.candidate is not None:
            nn.init.orthogonal_(self.candidate.weight)

    def project(self, x: Tensor) -> Tensor:
        """``W x + b`` for all three gates: (..., I) -> (..., 3H)."""
        return self.input(x)

    def forward(self, projected: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next state, one tensor (..., H), from a projected input (..., 3H) and the state."""
        [state] = states
        recurrent = self.recurrent(state)
        z, r = self._open(projected, recurrent)
        candidate = projected[..., 2 * self.hidden :]
        if self.candidate is None:
            past = r * recurrent[..., 2 * self.hidden :]
        else:
            past = self.candidate(r * state)
        return (torch.lerp(state, torch.tanh(candidate + past).to(state.dtype), z.to(state.dtype)),)

    def opened(self, projected: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """How far the gates z and r open at this step, 0 to 1: (..., H) each."""
        return self._open(projected, self.recurrent(states[0]))

    def _open(self, projected: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor]:
        both = slice(0, 2 * self.hidden)
        z, r = torch.sigmoid(projected[..., both] + recurrent[..., both]).chunk(2, dim=-1)
        return z, r
