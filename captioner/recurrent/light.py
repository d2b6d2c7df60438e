"""The light GRU (Li-GRU; Ravanelli et al. 2018): no reset gate, ReLU, batch normalisation of what comes in::

    z  = σ(BN(W_z x) + U_z h)
    h~ = ReLU(BN(W_h x) + U_h h)
    h' = (1 - z) ⊙ h + z ⊙ h~

(The paper writes ``z`` where we write ``1 - z``.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LightGRUCell(nn.Module):
    """One step of a Li-GRU over inputs (..., I) and states (..., H)."""

    states, gates = 1, 2

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.input = nn.Linear(inputs, 2 * hidden, bias=False)  # rows: z, h~; the normalisation has the biases
        self.normalise = nn.BatchNorm1d(2 * hidden)
        self.recurrent = nn.Linear(hidden, 2 * hidden, bias=False)
        nn.init.xavier_uniform_(self.input.weight)
        for gate in self.recurrent.weight.detach().split(hidden):
            nn.init.orthogonal_(gate)

    def project(self, x: Tensor) -> Tensor:
        """``BN(W x)`` for both gates, over all steps given at once: (..., I) -> (..., 2H)."""
        product = self.input(x)
        rows = product.flatten(0, -2)
        if len(rows) > 1:
            return self.normalise(rows).view_as(product)
        norm = self.normalise  # one row has no statistics of its own
        return nn.functional.batch_norm(rows, norm.running_mean, norm.running_var, norm.weight, norm.bias).view_as(
            product
        )

    def forward(self, projected: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next state, one tensor (..., H), from a projected input (..., 2H) and the state."""
        [state] = states
        z, candidate = (projected + self.recurrent(state)).chunk(2, dim=-1)
        return (torch.lerp(state, torch.relu(candidate).to(state.dtype), torch.sigmoid(z).to(state.dtype)),)
