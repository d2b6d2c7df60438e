"""Which recurrent cell: one small table. A new cell is a module of its own and a line in :data:`CELLS`.

A cell's state is a tuple of tensors (..., H) that only the cell opens; its first is what the cell says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from captioner.recurrent.gru import GRUCell, Reset
from captioner.recurrent.light import LightGRUCell
from captioner.recurrent.lstm import LSTMCell
from captioner.recurrent.minimal import MGUCell, MinGRUCell

CellState = tuple[Tensor, ...]


class Cell(Protocol):
    """One step of a recurrent network over inputs (..., I)."""

    hidden: int
    """Width H of a state."""
    states: int
    """Tensors in a state."""
    gates: int
    """How many times H a projected input is wide."""

    def project(self, x: Tensor) -> Tensor:
        """The product with the input, for all gates, apart from the state: (..., I) -> (..., gates * H)."""

    def __call__(self, projected: Tensor, state: CellState) -> CellState:
        """The next state from a projected input and the state."""


CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "gru": GRUCell,
    "lstm": LSTMCell,
    "light": LightGRUCell,
    "mgu": MGUCell,
    "mingru": MinGRUCell,
}


def make_cell(name: str, inputs: int, hidden: int, *, reset: Reset = "after") -> nn.Module:
    """The cell of this name; ``reset`` is of GRUs."""
    return GRUCell(inputs, hidden, reset=reset) if name == "gru" else CELLS[name](inputs, hidden)
