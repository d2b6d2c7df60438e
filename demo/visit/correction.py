"""What a visitor corrected, as sentences to show and as training data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from captioner.caption.result import Caption

MOST_LETTERS = 300

Corrections = Mapping[str, str]
"""The corrections of one visit: a line of a manifest by the id of its clip."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """The captions of one video, and which of them the visitor has corrected."""

    captions: tuple[Caption, ...] = ()
    pictures: tuple[str, ...] = ()
    """One for each caption, as ``data:`` URIs, where they are shown as a list."""
    meaning: str = ""
    """What their confidence is the chance of; empty where it is not calibrated."""
    corrected: frozenset[int] = frozenset()
    name: str = ""
    """Of the result on the shelf."""

    def add(self, caption: Caption, picture: str) -> Told:
        """The same with one more caption."""
        return replace(self, captions=(*self.captions, caption), pictures=(*self.pictures, picture))

    def correct(self, index: int, text: str) -> Told:
        """The same with one sentence replaced; an empty one, or an index that is none, changes nothing."""
        text = " ".join(text.split())[:MOST_LETTERS]
        if not text or not 0 <= index < len(self.captions):
            return self
        captions = list(self.captions)
        captions[index] = replace(captions[index], text=text, abstained=False)
        return replace(self, captions=tuple(captions), corrected=self.corrected | {index})

    def corrections(self) -> dict[str, str]:
        """The corrected captions as lines of a manifest, which ``captioner train`` learns from."""
        lines = {}
        for index in sorted(self.corrected):
            caption = self.captions[index]
            row: dict[str, Any] = {
                "id": caption.path,
                "path": caption.path,
                "split": "train",
                "captions": [caption.text],
            }
            if len(self.captions) > 1:
                start, end = round(caption.start_seconds, 3), caption.end_seconds
                row |= {"id": f"{caption.path}@{start}", "start_seconds": start}
                row |= {} if end is None else {"end_seconds": round(end, 3)}
            lines[str(row["id"])] = json.dumps(row, ensure_ascii=False) + "\n"
        return lines
