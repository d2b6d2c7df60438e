"""Which recurrent cell: one small table, which needs no torch. A new cell is a module and a line in :data:`CELLS`.

A cell's state is a tuple of tensors (..., H) that only the cell opens; its first is what the cell says.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from captioner.config import require
from captioner.errors import nearest

if TYPE_CHECKING:
    from torch import Tensor, nn

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


CELLS = {
    "gru": "gru.GRUCell",
    "lstm": "lstm.LSTMCell",
    "light": "light.LightGRUCell",
    "mgu": "minimal.MGUCell",
    "mingru": "minimal.MinGRUCell",
}
"""Each cell's module in this room, and its class."""


def check_cell(name: str, setting: str) -> None:
    """Raise ConfigError for the name of no cell."""
    near = nearest(name, CELLS)
    hint = f"; did you mean {near!r}?" if near else ""
    require(name in CELLS, f"{setting} is {name!r}; allowed: {', '.join(CELLS)}{hint}")


def make_cell(name: str, inputs: int, hidden: int, *, reset: str = "after") -> nn.Module:
    """The cell of this name; ``reset`` is of GRUs."""
    module, _, kind = CELLS[name].partition(".")
    cell: Any = getattr(import_module(f"captioner.recurrent.{module}"), kind)
    made: nn.Module = cell(inputs, hidden, reset=reset) if name == "gru" else cell(inputs, hidden)
    return made
