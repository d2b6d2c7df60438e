"""The names of the cells, apart from torch."""

from __future__ import annotations

from typing import Literal

CellName = Literal["gru", "lstm", "light", "mgu", "mingru"]
"""See ``recurrent.cells``."""
