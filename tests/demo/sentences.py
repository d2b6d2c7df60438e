"""The sentences that the states of the page show, with every gap filled.

python -m tests.demo.sentences > tests/demo/sentences.tsv    # after a sentence was changed on purpose
"""

from __future__ import annotations

import string

from demo import strings

_FILLING: dict[str, object] = {
    "share": 0.62,
    "score": 0.62,
    "seconds": 45.0,
    "minutes": 60.0,
    "threshold": "dashed line",
    "strength": 2.5,
    "megabytes": 500,
    "limit": 50,
    "count": 4,
    "captions": "4 captions",
    "clips": "4 clips",
    "files": "4 files",
}


def gaps(text: str) -> set[str]:
    """The names of its fields."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def sentences() -> dict[str, str]:
    """By name: each text of the page that has gaps or ends a sentence; labels are none."""
    texts = {name: value for name, value in vars(strings).items() if name.isupper() and isinstance(value, str)}
    return {
        name: text.format(**{gap: _FILLING.get(gap, f"<{gap}>") for gap in gaps(text)})
        for name, text in texts.items()
        if gaps(text) or text.endswith((".", "…", "?", ":"))
    }


if __name__ == "__main__":
    for name, sentence in sentences().items():
        print(name, sentence, sep="\t")
