"""Output files of runs that go on, standard output, the names of outputs, and what is an input."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Formatter

from captioner.errors import CaptionerError, ConfigError
from captioner.io.inputs import Item
from captioner.io.platform import BINARY
from captioner.io.progress import has_colour
from captioner.safe.whole import encode, writing

_FIELDS = ("folder", "stem", "name", "suffix", "format", "index", "id")


class ResumedFile:
    """A file written from its beginning, which keeps what is there already as far as it is the same.

    A run that goes on writes the same lines again first: the file is never shorter in between than it was. Use it in
    a ``with`` block; what lies behind the last text is cut off at the end. Raises CaptionerError.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._same = True
        with writing(self._path):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)

    def write(self, text: str) -> None:
        """Write through to the file at once."""
        data = memoryview(encode(text))
        if self._same:
            here = os.lseek(self._file, 0, os.SEEK_CUR)
            if os.read(self._file, len(data)) == data:
                return
            self._same = False
            os.lseek(self._file, here, os.SEEK_SET)
            self._cut()
        with writing(self._path):
            while data:
                data = data[os.write(self._file, data) :]

    def _cut(self) -> None:
        with contextlib.suppress(OSError):  # not a regular file, such as /dev/stdout
            os.ftruncate(self._file, os.lseek(self._file, 0, os.SEEK_CUR))

    def __enter__(self) -> ResumedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._cut()
        os.close(self._file)


class StandardOutput:
    """stdout, written through at once, for a terminal of any encoding."""

    def __init__(self, *, mark: str = "") -> None:
        """``mark`` is a text that stands out on a terminal (not with NO_COLOR).

        Raises CaptionerError when it is closed (``>&-``).
        """
        if sys.stdout is None:
            raise CaptionerError("cannot write to stdout: it is closed; give -o FILE")
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
        self._mark = mark if mark and sys.stdout.isatty() and has_colour() else ""

    def write(self, text: str) -> None:
        if self._mark:
            text = text.replace(self._mark, f"\x1b[33m{self._mark}\x1b[0m")
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter would try again at its end
            raise CaptionerError(f"cannot write to stdout: {error.strerror}") from error

    def __enter__(self) -> StandardOutput:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def holds(path: Path, text: str) -> bool:
    """Whether a file is there and says exactly this."""
    try:
        return path.read_bytes() == encode(text)
    except OSError:
        return False


def is_folder(path: str | Path) -> bool:
    """Whether a name is of a folder; a name that is too long is not."""
    return os.path.isdir(path)


def is_there(path: str | Path) -> bool:
    """Whether anything has this name; a name that is too long has nothing."""
    return os.path.lexists(path)


def refuse_to_overwrite(inputs: Iterable[str], outputs: Iterable[str | Path | None]) -> None:
    """Raise CaptionerError if a file to be written is also read, under any name or link."""
    read = {identity: path for path in inputs if (identity := _identity(path))}
    for output in outputs:
        identity = _identity(output) if output is not None else None
        if identity and (source := read.get(identity)):
            raise CaptionerError(f"writing {output} would destroy the input {source}; give another output")


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Device and inode of the regular file behind a name; None without one."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


class Template:
    """Names of output files made of the names of videos, such as ``{folder}/{stem}.{format}``.

    ``{folder}`` is the video's folder, ``{name}`` its file name, ``{stem}`` the name without suffix, and ``{suffix}``
    the suffix without the dot. ``{format}`` is the output format, ``{index}`` the place in the list from 1, and
    ``{id}`` the id in the manifest.
    """

    def __init__(self, text: str, *, form: str) -> None:
        """Raises ConfigError for a field that is not known."""
        self._text, self._form = text, form
        try:
            names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
            self.path(0, Item(path="a.mp4"))
        except (ValueError, IndexError, KeyError, AttributeError) as error:
            known = ", ".join(f"{{{name}}}" for name in _FIELDS)
            raise ConfigError(
                f"{text!r} is not a name: {error}; known fields: {known}; a brace itself is {{{{"
            ) from None
        if not set(names) & {"stem", "name", "index", "id"}:
            raise ConfigError(f"{text!r} is one name for all files; put {{stem}}, {{name}}, {{id}} or {{index}} in it")

    def path(self, index: int, item: Item) -> Path:
        """Where the output of the item at this place in the list goes."""
        folder, name = os.path.split(item.path)
        stem, suffix = os.path.splitext(name)
        values = {
            "folder": folder or ".",
            "stem": stem,
            "name": name,
            "suffix": suffix.removeprefix("."),
            "format": self._form,
            "index": index + 1,
            "id": item.id or stem,
        }
        return Path(self._text.format_map(values))

    def shared_folder(self, items: Iterable[Item]) -> Path:
        """The folder that holds all outputs: the one that the template names, or the one that all videos lie in."""
        if not self._text.startswith("{folder}"):
            return Path(os.path.dirname(self._text.partition("{")[0]))
        try:
            return Path(os.path.commonpath([os.path.dirname(item.path) for item in items]))
        except ValueError:  # absolute and relative names, or several drives
            return Path()

    def check(self, items: tuple[Item, ...]) -> None:
        """Raise CaptionerError if two items would have one output."""
        owners: dict[str, str] = {}
        for index, item in enumerate(items):
            path = os.path.abspath(self.path(index, item))
            if path in owners:
                raise CaptionerError(
                    f"{owners[path]} and {item.path} would both be written to {path}; use {{name}} or {{index}} in it"
                )
            owners[path] = item.path
