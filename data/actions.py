"""Clips or photos in folders named by their action, as Stanford 40, UCF101 and Kinetics are laid out.

The name of the folder is the category, and becomes three plain captions: "a man is riding a horse", "a woman ...",
"a person ...". Labels know no more; the other data sets teach who it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from captioner.errors import DataError
from data.folder import SUBFOLDERS
from data.join import Join, join
from data.sources import clips_below, require_folder

WHO = ("a man", "a woman", "a person")
PHRASES = {  # labels of Stanford 40 (Yao et al. 2011) that are no English as they stand
    "phoning": "talking on a phone",
    "playing guitar": "playing a guitar",
    "playing violin": "playing a violin",
    "texting message": "texting on a phone",
    "throwing frisby": "throwing a frisbee",
    "watching TV": "watching television",
    "writing on a book": "writing in a book",
}


def actions(source: str | Path) -> Join:
    """Join the folders ``SPLIT/ACTION`` of ``source``; ids are file names inside it.

    An action is spelt with ``_``, ``-`` or in CamelCase (``riding_a_horse``, ``RidingAHorse``). Raises DataError where
    a file lies elsewhere.
    """
    files = clips_below(require_folder(source))
    captions, splits, categories = dict[str, list[str]](), dict[str, str](), dict[str, str]()
    for name in files:
        parts = name.split("/")
        if len(parts) < 3 or parts[0] not in SUBFOLDERS:
            raise DataError(f"{name} must lie in train/ACTION, val/ACTION or test/ACTION")
        captions[name] = [f"{who} is {action_of(parts[1])}" for who in WHO]
        splits[name], categories[name] = SUBFOLDERS[parts[0]], spoken(parts[1])
    return join(captions, splits, files, categories=categories)


def action_of(label: str) -> str:
    """A label as people say it: ``phoning`` as ``talking on a phone``."""
    action = spoken(label)
    return PHRASES.get(action, action)


def spoken(label: str) -> str:
    """``riding_a_horse`` and ``RidingAHorse`` as ``riding a horse``; capitals of abbreviations stay."""
    words = re.sub(r"[_-]|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", label).split()
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
