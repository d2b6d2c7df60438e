"""The long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000)::

    i = σ(W_i x + U_i h + b_i)      f = σ(W_f x + U_f h + b_f)      o = σ(W_o x + U_o h + b_o)
    g = tanh(W_g x + U_g h + b_g)
    c' = f ⊙ c + i ⊙ g              h' = o ⊙ tanh(c')

``σ`` is the logistic function, ``⊙`` the element-wise product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTMCell(nn.Module):
    """One step; its state is ``(h, c)``, each (..., H)."""

    states, gates = 2, 4

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.input = nn.Linear(inputs, 4 * hidden)  # rows: i, f, g, o
        self.recurrent = nn.Linear(hidden, 4 * hidden, bias=False)
        nn.init.xavier_uniform_(self.input.weight)
        nn.init.zeros_(self.input.bias)
        nn.init.ones_(self.input.bias.detach()[hidden : 2 * hidden])  # forget little at first (Jozefowicz et al. 2015)
        for gate in self.recurrent.weight.detach().split(hidden):
            nn.init.orthogonal_(gate)

    def project(self, x: Tensor) -> Tensor:
        """``W x + b`` for all gates: (..., I) -> (..., 4H)."""
        return self.input(x)

    def forward(self, projected: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next ``(h, c)`` from a projected input (..., 4H) and the state."""
        h, c = states
        i, f, g, o = (projected + self.recurrent(h)).chunk(4, dim=-1)
        kept = torch.sigmoid(f).to(c.dtype) * c + (torch.sigmoid(i) * torch.tanh(g)).to(c.dtype)
        return (torch.sigmoid(o).to(h.dtype) * torch.tanh(kept).to(h.dtype), kept)
