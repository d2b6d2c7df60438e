"""Which recurrent cell: one small table. A new cell is a module of its own and a line in :data:`CELLS`.

A cell's state is a tuple of tensors (..., H) that only the cell opens; its first is what the cell says.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from captioner.language.gru import GRUCell, Reset

CellState = tuple[Tensor, ...]


class Cell(Protocol):
    """One step of a recurrent network over inputs (..., I)."""

    states: int
    """Tensors in a state."""
    gates: int
    """How many times H a projected input is wide."""

    def project(self, x: Tensor) -> Tensor:
        """The product with the input, for all gates, apart from the state: (..., I) -> (..., gates * H)."""

    def __call__(self, projected: Tensor, state: CellState) -> CellState:
        """The next state from a projected input and the state."""


CELLS = {"gru": GRUCell}


def make_cell(name: str, inputs: int, hidden: int, *, reset: Reset) -> nn.Module:
    """The cell of this name; ``reset`` is of GRUs."""
    return CELLS[name](inputs, hidden, reset=reset)
