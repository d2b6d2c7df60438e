"""Finds the input files: expands files, folders, patterns, lists and manifests into one list without repeats."""

from __future__ import annotations

import glob
import os
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from captioner.errors import CaptionerError, ConfigError, VideoError, VideoErrorCode, counted
from captioner.io.addresses import is_web, shown
from captioner.io.stores import Remote, Stores
from captioner.manifest import read_manifest

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3g2", "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "gif", "h264", "hevc", "ivf", "m1v", "m2t", "m2ts"),
        *("m2v", "m4v", "mjpeg", "mkv", "mov", "mp4", "mpe", "mpeg", "mpg", "mts", "mxf", "ogm", "ogv", "qt", "rm"),
        *("rmvb", "ts", "vob", "webm", "wmv"),
    )
)
IMAGE_SUFFIXES = frozenset(f".{name}" for name in ("apng", "avif", "bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A file to caption, or a part of it."""

    path: str
    id: str = ""
    """Its name in a manifest; empty outside one."""
    start_seconds: float | None = None
    end_seconds: float | None = None
    remote: Remote | None = None
    """Where it lies, if that is a store; ``path`` is then its address as people may see it."""


@dataclass(frozen=True, kw_only=True)
class Unlisted:
    """A folder that could not be listed, at all or to its end."""

    path: str
    reason: str
    code: VideoErrorCode = "not_found"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The list, and what was left out of it."""

    items: tuple[Item, ...]
    hidden: int = 0
    """Hidden files and folders passed by."""
    others: int = 0
    """Files in folders that are no videos by their names."""
    duplicates: int = 0
    unreadable: tuple[Unlisted, ...] = ()
    lists: tuple[str, ...] = ()
    """The files that named them: lists and manifests."""
    is_one_file: bool = False
    """Whether one file was named outright: no list, no folder, no pattern, no address."""
    stores: Stores = field(default_factory=Stores)
    """Through which the items of stores are fetched."""


@dataclass
class _Collector:
    """Gathers items and counts what it passes by."""

    recursive: bool
    suffixes: frozenset[str]
    null: bool
    stores: Stores | None
    start_seconds: float | None
    end_seconds: float | None
    items: dict[tuple[str, float | None, float | None], Item] = field(default_factory=dict)
    hidden: int = 0
    others: int = 0
    photos: int = 0  # of the others
    duplicates: int = 0
    unreadable: list[Unlisted] = field(default_factory=list)
    subfolders: int = 0

    def make(self, path: str, remote: Remote | None = None) -> Item:
        return Item(path=path, start_seconds=self.start_seconds, end_seconds=self.end_seconds, remote=remote)

    def add(self, item: Item) -> None:
        path = item.remote.address if item.remote else os.path.abspath(item.path)
        key = (path, item.start_seconds, item.end_seconds)
        if key in self.items:
            self.duplicates += 1
        else:
            self.items[key] = item

    def add_name(self, name: str) -> None:
        """A file, a folder, or a pattern that matches some; what does not exist is for the decoder to report."""
        if not name:
            raise CaptionerError("an input is empty (''); give a file, a folder, a pattern or @list")
        if self.stores is not None and self.stores.takes(name):
            self.add_address(name, self.stores)
        elif os.path.isdir(name):
            self.add_folder(name)
        elif glob.has_magic(name) and not os.path.lexists(name) and (found := sorted(glob.glob(name, recursive=True))):
            for match in found:
                self.add_name(match)
        else:
            self.add(self.make(name))

    def add_folder(self, folder: str) -> None:
        """Its files and, when recursive, those of all folders below, through links too, each folder once."""
        entered: set[tuple[int, int]] = set()
        for where, folders, files in os.walk(folder, onerror=self._failed, followlinks=True):
            status = os.stat(where)
            if (status.st_dev, status.st_ino) in entered:  # a link to a folder above, or to one that was seen
                folders.clear()
                continue
            entered.add((status.st_dev, status.st_ino))
            self.hidden += sum(name.startswith(".") for name in (*folders, *files))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if name.startswith("."):
                    continue
                if os.path.splitext(name)[1].lower() in self.suffixes:
                    self.add(self.make(os.path.join(where, name)))
                else:
                    self.skip(name)
            if not self.recursive:
                self.subfolders += len(folders)
                break

    def skip(self, file: str) -> None:
        self.others += 1
        self.photos += os.path.splitext(file)[1].lower() in IMAGE_SUFFIXES

    def add_address(self, name: str, stores: Stores) -> None:
        """An object in a store, all below an address, or those that a pattern matches; a web address is of one file."""
        if not is_web(name) and glob.has_magic(name) and (found := self.matches(name, stores)) is not None:
            for match in found:
                self.add_address(match, stores)
        elif os.path.splitext(name)[1].lower() not in self.suffixes and stores.is_folder(name):
            self.add_prefix(name, stores)
        else:
            self.add(self.make(shown(name), Remote(address=name)))

    def matches(self, pattern: str, stores: Stores) -> list[str] | None:
        """The addresses that a pattern matches; None where there are none, and it may be a name itself."""
        try:
            return stores.glob(pattern) or None
        except VideoError as error:
            self.unreadable.append(Unlisted(path=shown(pattern), reason=str(error), code=error.code))
            return []

    def add_prefix(self, folder: str, stores: Stores) -> None:
        """What a folder would give, had it the same names: of each folder first its files, then its subfolders."""
        found: list[tuple[str, Remote]] = []
        hidden: set[str] = set()
        try:
            for name, remote in stores.walk(folder, recursive=self.recursive):
                *folders, file = name.split("/")
                dark = next((i for i, part in enumerate((*folders, file)) if part.startswith(".")), None)
                if dark is not None:
                    hidden.add("/".join((*folders, file)[: dark + 1]))
                elif remote is None:
                    self.subfolders += 1
                elif os.path.splitext(file)[1].lower() in self.suffixes:
                    found.append(("".join(f"\1{part}\0" for part in folders) + f"\0{file}", remote))
                else:
                    self.skip(file)
        except VideoError as error:
            self.unreadable.append(Unlisted(path=shown(folder), reason=str(error), code=error.code))
        self.hidden += len(hidden)
        for _, remote in sorted(found, key=lambda pair: pair[0]):
            self.add(self.make(shown(remote.address), remote))

    def add_list(self, data: bytes, *, source: str) -> None:
        """Names, one a line, or each ended by a NUL byte; relative to the current folder."""
        if (data if not self.null else data[:4096].rstrip(b"\0")).count(b"\0" * (1 + self.null)):
            raise CaptionerError(f"{source} is not a list of names but binary data; to caption a video, leave @ out")
        for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\0" if self.null else b"\n"):
            name = os.fsdecode(line if self.null else line.rstrip(b"\r"))
            if name.strip():
                self.add_name(name)

    def add_manifest(self, manifest: str, split: str | None) -> None:
        """The clips that have a file; the part that the command names is that of clips without one of their own."""
        for clip in read_manifest(manifest, split=split):
            if clip.path is not None:
                item = replace(self.make(str(clip.path)), id=clip.id)
                if clip.start_seconds is not None or clip.end_seconds is not None:
                    item = replace(item, start_seconds=clip.start_seconds, end_seconds=clip.end_seconds)
                self.add(item)

    def _failed(self, error: OSError) -> None:
        name = os.fsdecode(error.filename)
        self.unreadable.append(Unlisted(path=name, reason=error.strerror or "it cannot be listed"))


def find_inputs(
    arguments: Sequence[str],
    *,
    recursive: bool = False,
    images: bool = False,
    null: bool = False,
    manifests: Sequence[str] = (),
    split: str | None = None,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    stores: Stores | None = None,
) -> Inputs:
    """Everything that the command line names: files, folders, patterns, ``@list``, ``-`` (stdin) and manifests.

    In folders, hidden files and those whose suffix is not a video's (nor, with ``images``, a picture's) are passed by
    and counted; a file that is named is always taken. ``start_seconds`` and ``end_seconds`` are those of every item
    that a manifest does not give its own. Without ``stores``, an address is a name like any other. Raises
    CaptionerError for a list that cannot be read, and when nothing is found.
    """
    suffixes = VIDEO_SUFFIXES | IMAGE_SUFFIXES if images else VIDEO_SUFFIXES
    found = _Collector(recursive, suffixes, null, stores, start_seconds, end_seconds)
    for argument in arguments:
        if argument == "-":
            found.add_list(_stdin(), source="stdin")
        elif argument.startswith("@"):
            found.add_list(_read(argument[1:]), source=argument[1:])
        else:
            found.add_name(argument)
    for manifest in manifests:
        found.add_manifest(manifest, split)
    if not found.items and not found.unreadable:
        raise CaptionerError(_nothing(found, [*arguments, *map(str, manifests)]))
    only = arguments[0] if len(arguments) == 1 and not manifests else ""
    return Inputs(
        items=tuple(found.items.values()),
        hidden=found.hidden,
        others=found.others,
        duplicates=found.duplicates,
        unreadable=tuple(found.unreadable),
        lists=(*(name[1:] for name in arguments if name.startswith("@")), *map(str, manifests)),
        is_one_file=[item.path for item in found.items.values() if item.remote is None] == [only],
        stores=stores or Stores(),
    )


def _stdin() -> bytes:
    if sys.stdin is None:
        raise CaptionerError("cannot read the list from stdin: it is closed")
    return sys.stdin.buffer.read()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid file name"
        raise CaptionerError(
            f"cannot read the list {path}: {reason}; for a file called @{path} write ./@{path}"
        ) from None


def _nothing(found: _Collector, named: Sequence[str]) -> str:
    """What to do when no file was found: the folders are named, and the option that would find one."""
    places = ["stdin" if name == "-" else shown(name.removeprefix("@")) for name in named]
    said = f"no videos in {', '.join(places[:3])}" + (" ..." if len(places) > 3 else "")
    if found.hidden or found.others:
        said += f" ({found.hidden} hidden and {counted(found.others, 'other file')} skipped)"
    if found.photos:
        said += f"; captioner caption takes {counted(found.photos, 'photo')} with --images"
    if found.subfolders:
        said += "; add -r to search subfolders"
    return said


@dataclass(frozen=True)
class Shard:
    """Part ``index`` of ``count`` of a list, for one of as many machines."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``i/n``, from 1/n to n/n; raises ConfigError."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise ConfigError(f"shard is {text!r}; it must be I/N with I from 1 to N, such as 2/8")
        return cls(int(index), int(count))

    def takes(self, item: Item) -> bool:
        """By the name as it is given: a file stays in its shard when others come and go."""
        name = f"{item.path}\0{item.start_seconds}\0{item.end_seconds}"
        return zlib.crc32(os.fsencode(name)) % self.count == self.index - 1
