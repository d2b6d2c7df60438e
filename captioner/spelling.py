"""The known name that a mistyped one most likely means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The nearest of ``known``; None where all are too far: at most a third of the letters may be wrong.

    Two letters that changed places are one mistake, and of equally near names that with the same letters comes first.
    """
    letters = Counter(word)
    ranked = [
        (mistakes(word, name), (Counter(name) - letters).total() + (letters - Counter(name)).total(), place, name)
        for place, name in enumerate(known)
    ]
    if not ranked:
        return None
    wrong, _, _, name = min(ranked)
    return name if wrong <= max(1, len(word.strip("-")) // 3) else None


def mistakes(one: str, other: str) -> int:
    """How many letters were left out, added, changed or swapped with the next (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
