"""Writes files and folders whole or not at all, and replaces a file only where the user said so.

Every command and page that makes a file writes it through here. Errors name the file, and nothing half-written stays.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from captioner.errors import CaptionerError, first_line

_LIBRARIES = re.compile(r"os error \d+|PytorchStreamWriter|inline_container|write failed|No space left|File too large")
"""How libraries that write in C++ and Rust say that they could not."""


def encode(text: str) -> bytes:
    """UTF-8; a lone half of a character, as a file's name may hold, is escaped."""
    return text.encode("utf-8", "backslashreplace")


def is_filled(path: str | Path) -> bool:
    """Whether there is a regular file with something in it."""
    return os.path.isfile(path) and os.path.getsize(path) > 0


def is_regular(path: str | Path) -> bool:
    """Whether a name is of a regular file, or of nothing yet; a name that is too long is of nothing."""
    return os.path.isfile(path) or not os.path.lexists(path)


def refuse_to_replace(paths: Iterable[str | Path | None], *, overwrite: bool) -> None:
    """Raise CaptionerError for a file that is there with something in it; better before the work than after."""
    for path in paths:
        if not overwrite and path is not None and is_filled(path):
            raise CaptionerError(_exists(path))


def check_folder(folder: Path, *, overwrite: bool, ours: Callable[[Path], bool]) -> None:
    """Raise CaptionerError unless a folder may be written: it is new or empty, or ``ours`` and to be replaced."""
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder.is_dir() and ours(folder)):
        raise CaptionerError(f"{folder} exists and holds something else; choose another folder for -o")
    if not overwrite:
        raise CaptionerError(_exists(folder))


def _exists(path: str | Path) -> str:
    return f"{path} exists; --overwrite replaces it"


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Raise what goes wrong with writing in the block as a CaptionerError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise CaptionerError(f"cannot write {path}: {error.strerror or first_line(error)}") from error
    except (CaptionerError, KeyboardInterrupt):
        raise
    except Exception as error:
        if not _LIBRARIES.search(str(error)):
            raise
        raise CaptionerError(f"cannot write {path}: {first_line(error)}") from error


def temporary_for(path: Path, *, suffix: str = "") -> Path:
    """A hidden sibling to write before it is renamed to ``path``; short, for the name may be of any length."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return path.with_name(f".captioner-{digest}.{os.getpid()}.tmp{suffix}")


def put(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Give a finished file its name. One that is there stays, unless it holds nothing, the same, or ``overwrite``.

    Raises CaptionerError where it stays, and OSError.
    """
    if not overwrite and not _linked(temporary, path) and is_filled(path):
        if not filecmp.cmp(temporary, path, shallow=False):
            raise CaptionerError(_exists(path))
        temporary.unlink()
    else:
        temporary.replace(path)  # a link is replaced by itself, which leaves the temporary name
        temporary.unlink(missing_ok=True)


def _linked(temporary: Path, path: Path) -> bool:
    """Link ``path`` to the file unless there is one of that name, in one step; False where that cannot be."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV):
            raise
        return False
    return True


class WholeFile:
    """A file written as a temporary sibling, which gets the name when the ``with`` block ends well.

    One that is there is kept unless ``overwrite``; a symbolic link stays one. ``make_folder`` also makes the folder it
    goes into. Raises CaptionerError.
    """

    def __init__(self, path: str | Path, *, make_folder: bool = False, overwrite: bool = False) -> None:
        self._named = path
        self._path, self._overwrite = Path(os.path.realpath(path)), overwrite
        refuse_to_replace([path], overwrite=overwrite)
        self._temporary = temporary_for(self._path)
        with writing(path):
            if make_folder:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("wb")

    def write(self, text: str) -> None:
        with writing(self._named):
            self._file.write(encode(text))

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with writing(self._named):
                self._file.close()
                if kind is None:
                    put(self._temporary, self._path, overwrite=self._overwrite)
        except CaptionerError:
            if kind is None:
                raise
        finally:
            self._temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_path(
    path: str | Path, *, overwrite: bool = False, make_folder: bool = False, suffix: str = ""
) -> Iterator[Path]:
    """A temporary sibling to write, which gets the name ``path`` when the block ends well, as by :class:`WholeFile`.

    ``suffix`` is for libraries that choose a format by it. Raises CaptionerError, also for an OSError in the block.
    """
    whole = Path(os.path.realpath(path))
    temporary = temporary_for(whole, suffix=suffix)
    try:
        with writing(path):
            if make_folder:
                whole.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            put(temporary, whole, overwrite=overwrite)
    finally:
        with contextlib.suppress(OSError):  # its folder may be a file
            temporary.unlink()


def write_whole(path: str | Path, content: str | bytes, *, overwrite: bool = False, make_folder: bool = False) -> None:
    """Write a whole file at once; the same content again changes nothing. Devices are written as they are.

    Raises CaptionerError.
    """
    data = encode(content) if isinstance(content, str) else content
    if is_regular(path):
        with whole_path(path, overwrite=overwrite, make_folder=make_folder) as temporary:
            temporary.write_bytes(data)
    else:
        with writing(path), open(path, "wb") as out:
            out.write(data)


@contextlib.contextmanager
def whole_folder(
    folder: str | Path, *, overwrite: bool = False, ours: Callable[[Path], Collection[str]] = lambda folder: ()
) -> Iterator[Path]:
    """A temporary sibling to fill, which becomes ``folder`` when the block ends well.

    A folder that is there is replaced with ``overwrite`` alone, and only what ``ours`` names in it: other files that
    lie in it stay. Raises CaptionerError.
    """
    folder = Path(os.path.abspath(folder))
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            _swap(temporary, folder, overwrite=overwrite, ours=ours)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(new: Path, folder: Path, *, overwrite: bool, ours: Callable[[Path], Collection[str]]) -> None:
    """Put ``new`` where ``folder`` is. What was there is only deleted once the new one is in place."""
    if not folder.is_dir() or not any(folder.iterdir()):
        new.rename(folder)  # fails where something else has that name by now
        return
    if not overwrite:
        raise CaptionerError(_exists(folder))
    kept = [path.name for path in folder.iterdir() if path.name not in ours(folder) and not (new / path.name).exists()]
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    folder.rename(old)
    new.rename(folder)
    for name in kept:
        (old / name).rename(folder / name)
    shutil.rmtree(old, ignore_errors=True)
