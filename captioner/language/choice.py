"""Which of the sentences that the search found to say, by the words that were seen in the clip.

The search ranks sentences by how likely the decoder finds them. Each word of a sentence that the detector knows adds
``weight`` times how much likelier it is in this clip than in any (Fang et al. 2015 rank sentences anew likewise).
It knows no model, and no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np


class _Scored(Protocol):
    @property
    def score(self) -> float: ...


S = TypeVar("S", bound=_Scored)


class Choice:
    """``forms`` are the detector's words, each as all its forms with spaces between them."""

    def __init__(self, forms: Sequence[str]) -> None:
        self._column = {form: column for column, row in enumerate(forms) for form in row.split()}

    def order(self, found: Sequence[S], texts: Sequence[str], *, seen: np.ndarray, weight: float) -> list[S]:
        """The sentences ``found``, best first. ``texts`` are what they say; ``seen`` (W,) is the detector's output."""

        def worth(place: int) -> float:
            known = {self._column[word] for word in texts[place].split() if word in self._column}
            return found[place].score + weight * float(sum(seen[column] for column in known))

        return [found[place] for place in sorted(range(len(found)), key=worth, reverse=True)]
