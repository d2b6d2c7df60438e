"""A recurrent network over whole sequences: layers of cells, in one direction or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from captioner.recurrent.cells import Cell, make_cell
from captioner.recurrent.gru import Reset

if TYPE_CHECKING:
    from captioner.recurrent.cells import CellState


class Recurrent(nn.Module):
    """Cells run over sequences (B, T, I) -> (B, T, H): the temporal encoder.

    ``bidirectional`` runs a second cell from the end and concatenates the two, of H/2 each (Schuster & Paliwal 1997).
    ``layers`` stack. Steps that ``mask`` (B, T) rules out leave the state as it was.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        cell: str = "gru",
        layers: int = 1,
        bidirectional: bool = False,
        reset: Reset = "after",
    ) -> None:
        super().__init__()
        each = hidden // 2 if bidirectional else hidden
        self.directions = 1 + bidirectional
        self.cells = nn.ModuleList(
            make_cell(cell, hidden if layer else inputs, each, reset=reset)
            for layer in range(layers)
            for _ in range(self.directions)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        cells: list[Cell] = list(self.cells)  # type: ignore[arg-type]
        for first in range(0, len(cells), self.directions):
            both = cells[first : first + self.directions]
            x = torch.cat([self._run(cell, x, mask, backwards=d == 1) for d, cell in enumerate(both)], dim=-1)
        return x

    @staticmethod
    def _run(cell: Cell, x: Tensor, mask: Tensor, *, backwards: bool) -> Tensor:
        projected = cell.project(x)
        state: CellState = (x.new_zeros(x.shape[0], cell.hidden),) * cell.states
        said = [state[0]] * x.shape[1]
        for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
            after = cell(projected[:, t], state)
            state = tuple(torch.where(mask[:, t, None], new, old) for new, old in zip(after, state, strict=True))
            said[t] = state[0]
        return torch.stack(said, dim=1)
