"""Errors meant for the person at the keyboard: one plain sentence each, never a traceback.

An ``assert`` is for our own bugs. A :class:`CaptionerError` is for the user's: it echoes the value,
says what is allowed and what to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

VideoErrorCode = Literal[
    "not_found",
    "not_a_file",
    "empty",
    "no_video",
    "unsupported",
    "damaged",
    "too_large",
    "blocked",
    "timeout",
    "forbidden",
    "unreachable",
    "changed",
]


class CaptionerError(Exception):
    """Something the user can put right. ``str(error)`` is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConfigError(CaptionerError):
    """A recipe, option or setting that does not make sense."""


class UsageError(CaptionerError):
    """A command whose options contradict each other: exit status 2."""


class DataError(CaptionerError):
    """A manifest, data set or predictions file that cannot be used."""


class CheckpointError(CaptionerError):
    """A checkpoint, CNN or tokenizer folder that is missing something or does not match itself."""


class VideoError(CaptionerError):
    """A file that cannot be captioned.

    ``code`` is one of :data:`VideoErrorCode` and stays stable for scripts; ``str(error)`` is for people.
    """

    def __init__(self, code: VideoErrorCode, message: str) -> None:
        assert code in get_args(VideoErrorCode), code
        super().__init__(message)
        self.code: VideoErrorCode = code

    def __reduce__(self) -> tuple[type[VideoError], tuple[VideoErrorCode, str]]:
        return VideoError, (self.code, str(self))


def first_line(error: Exception) -> str:
    """What a library's error says, in short: its first line, cut between words."""
    line = str(error).strip().split("\n", 1)[0]
    if len(line) > 200:
        line = line[:200].rpartition(" ")[0] + " ..."
    return line or type(error).__name__


def counted(count: int, one: str, many: str = "") -> str:
    """``1 file``, ``2 files``; ``many`` for what does not end in a mere s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def about_file(path: str, message: str) -> str:
    """A message about a file, which it names once."""
    return message if " ".join(path.split()) in message else f"{path}: {message}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that a mistyped name most likely means; None where more than a third of it is wrong.

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
