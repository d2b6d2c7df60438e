"""Where the right one stands among all that were scored."""

from __future__ import annotations

import numpy as np


def ranks(scores: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How many of the N scored things come before the right one, for each of Q queries: 0 is the first place.

    ``scores`` is (Q, N), ``wanted`` (Q,). Of things with the same score half come before it, rounded down.
    """
    own = np.take_along_axis(scores, wanted[:, None], axis=1)
    return (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) // 2
