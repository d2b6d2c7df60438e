"""A file of JSON Lines that only grows: whole at any time, and what it says last of a path is not said again."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.io.platform import BINARY
from captioner.safe.whole import encode, writing

_SUBJECT = re.compile(rb'\{"path": ("(?:[^"\\]|\\.)*")')


def append(file: int, content: bytes, *, path: Path) -> int:
    """Add bytes to an open file, all or none; returns where they begin. Raises CaptionerError, with ``path`` in it."""
    end = os.lseek(file, 0, os.SEEK_END)
    data = memoryview(content)
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError as error:
        os.ftruncate(file, end)
        raise CaptionerError(
            f"cannot write {path}: {error.strerror}; finished results are kept: "
            "make room and give the same command again"
        ) from error
    return end


class GrowingFile:
    """Lines about paths, in the order in which they were written. Use it in a ``with`` block.

    What a run that was killed left of a line is cut off. One that was moved away is begun again under its name.
    Raises CaptionerError.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._said: dict[int, tuple[int, ...]] = {}
        """By the hash of a path: the hashes of the last lines about it that follow each other."""
        self._about = 0
        """The path of the last line, as a hash."""
        self._file = self._open()

    def write(self, text: str) -> None:
        """Add lines about one path at once, unless they were the last about it; nothing stays where that fails."""
        lines = encode(text).splitlines(keepends=True)
        lines = lines[self._known(lines) :]
        if not lines:
            return
        if not self._is_there():
            os.close(self._file)
            self._about = 0
            self._file = self._open()
        append(self._file, b"".join(lines), path=self._path)
        for line in lines:
            self._note(line)

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def _open(self) -> int:
        with writing(self._path):
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
            end = 0
            with open(file, "rb", closefd=False) as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._note(line)
                    end += len(line)
            os.ftruncate(file, end)
        return file

    def _note(self, line: bytes) -> None:
        about = _subject(line)
        before = self._said.get(about, ()) if about == self._about else ()
        self._said[about] = (*before, hash(line))
        self._about = about

    def _known(self, lines: Sequence[bytes]) -> int:
        """How many of the first lines are the last that were written about their path."""
        said = self._said.get(_subject(lines[0]), ()) if lines else ()
        hashes = tuple(map(hash, lines))
        return next((n for n in range(min(len(said), len(hashes)), 0, -1) if said[-n:] == hashes[:n]), 0)

    def _is_there(self) -> bool:
        """Whether the name is still that of the open file."""
        try:
            named, opened = self._path.stat(), os.fstat(self._file)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _subject(line: bytes) -> int:
    """The path that a line is about, or else the line itself, as a hash."""
    found = _SUBJECT.match(line)
    return hash(found.group(1) if found else line)
