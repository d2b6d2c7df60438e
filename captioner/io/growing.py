"""A file of lines that only grows: whole at any time, and no line stands in it twice."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from captioner.errors import CaptionerError
from captioner.io.platform import BINARY
from captioner.safe.whole import encode, writing


class GrowingFile:
    """Lines are added at its end, those that it does not have. Use it in a ``with`` block.

    What a run that was killed left of a line is cut off. One that was moved away is begun again under its name.
    Raises CaptionerError.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._known: set[int] = set()
        self._file = self._open()

    def write(self, text: str) -> None:
        """Add lines, at once, whichever are new; nothing of them stays where that fails."""
        lines = [line for line in encode(text).splitlines(keepends=True) if hash(line) not in self._known]
        if not lines:
            return
        if not self._is_there():
            os.close(self._file)
            self._file = self._open()
        end = os.lseek(self._file, 0, os.SEEK_END)
        data = memoryview(b"".join(lines))
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            os.ftruncate(self._file, end)
            raise CaptionerError(
                f"cannot write {self._path}: {error.strerror}; what was done is kept: "
                "make room and give the same command again to go on"
            ) from error
        self._known.update(map(hash, lines))

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _open(self) -> int:
        with writing(self._path):
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
            end = 0
            with open(file, "rb", closefd=False) as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._known.add(hash(line))
                    end += len(line)
            os.ftruncate(file, end)
        return file

    def _is_there(self) -> bool:
        """Whether the name is still that of the open file."""
        try:
            named, opened = self._path.stat(), os.fstat(self._file)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
