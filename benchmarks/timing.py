"""Times several ways of doing one thing: they alternate, so that all see the same noise; the least time counts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping


def least_seconds(
    ways: Mapping[str, Callable[[], object]], rounds: int, *, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Of processor time, or by another ``clock``, in the best of so many ``rounds``."""
    least = dict.fromkeys(ways, math.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            began = clock()
            way()
            least[name] = min(least[name], clock() - began)
    return least
