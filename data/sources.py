"""Reading what was published: text, JSON and the media files in a folder, with one clear line when it is not there."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from captioner.errors import DataError
from captioner.io.inputs import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from captioner.io.status import Status
from captioner.safe import text as safe
from captioner.safe.text import decode_text, first_line_of, read_text

T = TypeVar("T")

PHOTO_SUFFIXES = IMAGE_SUFFIXES
LARGEST_UNPACKED = 512 * 2**20
"""Bytes that a text file inside a zip may unpack to; MSR-VTT's largest has 16 MB."""


def squeeze(text: str) -> str:
    """``text`` with runs of white space made one space: real captions hold tabs and newlines.

    Half a surrogate pair (JSON can hold one, UTF-8 cannot) becomes a question mark.
    """
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def require_folder(path: str | Path) -> Path:
    """The absolute path of an existing folder."""
    folder = Path(path)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"the folder {folder} {what}")
    return folder.resolve()


def first_existing(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of ``names`` that exists in ``folder``."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, each with its number (from 1)."""
    return list(safe.numbered_lines(read_text(path)))


def read_table(
    path: Path, *, needs: tuple[str, ...], delimiter: str | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table whose header names the columns it ``needs``, each with its line; empty cells are ``""``.

    Without a ``delimiter`` the header tells: a tab, else a comma. Raises DataError, perhaps after some rows. Strict: a
    quote that is never closed would otherwise swallow the rest of the file as one cell.
    """
    table = read_text(path)
    delimiter = delimiter or ("\t" if "\t" in first_line_of(table) else ",")
    rows = csv.DictReader(io.StringIO(table, newline=""), delimiter=delimiter, strict=True)
    try:
        if not set(needs) <= set(rows.fieldnames or ()):
            raise DataError(
                f"the first line of {path} must name the columns {needs[0]} and {needs[1]}, not {rows.fieldnames}"
            )
        for row in rows:
            if None in row:
                raise DataError(
                    f"{path}, line {rows.line_num}: more cells than columns; put a {needs[1]} that holds a "
                    'separator into "quotes"'
                )
            yield rows.line_num, {name: cell or "" for name, cell in row.items()}
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: not a valid table ({error})") from error


def texts_in_zip(archive: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """The text files of a zip, by their base names, that are ``wanted``. Raises DataError, perhaps after some."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                name = PurePosixPath(member.filename).name
                if wanted(name):
                    if member.file_size > LARGEST_UNPACKED:
                        size = member.file_size / 2**20
                        raise DataError(f"{archive}: {name} would unpack to {size:.0f} MB; refused")
                    yield name, decode_text(opened.read(member), name=f"{archive}: {name}")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from error


def name_inside(text: str) -> str:
    """A file's name inside a folder, as tables give it, with forward slashes."""
    return PurePosixPath(text.strip().replace("\\", "/")).as_posix()


def media_files(folder: Path, *, suffixes: frozenset[str] = VIDEO_SUFFIXES) -> dict[str, Path]:
    """The media files below ``folder`` by stem, sorted; refuses two files with one stem, and none at all."""
    files: dict[str, Path] = {}
    for path in walk(folder, suffixes=suffixes):
        if path.stem in files:
            raise DataError(
                f"{path} and {files[path.stem]} would both be the clip {path.stem!r}; keep one of them in {folder}"
            )
        files[path.stem] = path
    if not files:
        raise DataError(f"{folder} holds no media files ({' '.join(sorted(suffixes))})")
    return files


def find_videos(folder: Path, names: tuple[str, ...], *, videos: str | Path | None, text_only: bool) -> dict[str, Path]:
    """The videos of a data set by stem: in ``videos``, or in the folders of ``names``; none where only text is wanted.

    Raises DataError where there is no such folder, and for two files of one stem.
    """
    if text_only:
        return {}
    places = [require_folder(videos)] if videos else [folder / name for name in names if (folder / name).is_dir()]
    if not places:
        raise DataError(
            f"{folder} has no folder {' or '.join(names)}; name the videos' folder with --videos, "
            "or write the captions alone with --text-only"
        )
    files: dict[str, Path] = {}
    for place in places:
        for stem, path in media_files(place).items():
            if stem in files:
                raise DataError(f"{path} and {files[stem]} would both be the clip {stem!r}; keep one of them")
            files[stem] = path
    return files


def clips_below(root: Path) -> dict[str, Path]:
    """Every video and photo below ``root`` by its name inside it; raises DataError where there is none."""
    files = {p.relative_to(root).as_posix(): p for p in walk(root, suffixes=VIDEO_SUFFIXES | PHOTO_SUFFIXES)}
    if not files:
        raise DataError(f"{root} holds no clips ({' '.join(sorted(VIDEO_SUFFIXES | PHOTO_SUFFIXES))})")
    return files


def walk(folder: Path, *, suffixes: frozenset[str]) -> list[Path]:
    """Every file below ``folder`` with one of ``suffixes`` (any case), sorted; hidden ones are left out.

    Links to folders are followed, but no folder is entered twice.
    """
    paths, entered = [], set[tuple[int, int]]()
    for where, folders, files in os.walk(folder, followlinks=True):
        status = Path(where).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = (Path(where, name) for name in files if not name.startswith("."))
        paths += [path for path in names if path.suffix.lower() in suffixes and path.is_file()]
    paths.sort()
    for path in paths:
        try:
            str(path).encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"the file name {str(path)!a} is not valid UTF-8; rename it") from error
    return paths


def progress(items: Sequence[T], *, what: str) -> Iterator[T]:
    """``items`` one by one, with a count and the time left on stderr."""
    status = Status()
    for count, item in enumerate(items):
        status.show(f"{count:,} of {len(items):,} {what}", share=count / len(items))
        yield item
    status.clear()
