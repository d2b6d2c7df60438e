"""Files that come into folders: each is handed on once it has stopped growing (extra captioner[watch]).

The operating system reports changes, and a scan of the whole folder now and then finds what it did not report. So
nothing is lost on a network drive, in a folder that was away, or in a burst of a thousand files.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError
from captioner.io.arrivals import Arrivals, Wanted
from captioner.io.extras import import_extra
from captioner.io.inputs import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Item, find_inputs

_SCAN_SECONDS = 60.0
_SCAN_SHARE = 20  # a look at the folder takes at most one part in so many of the time
_TICK_SECONDS = 0.5
_MOST_IN_A_ROW = 64  # then None comes, for a list of files that are known must not keep its reader
_MOST_TRIES = 10  # of a file that cannot be read: it is handed on all the same, and fails by name
_TAIL_BYTES = 1 << 16

Signature = tuple[int, int, int]
"""Size, time of change and inode of a file."""


@dataclass(frozen=True)
class _Candidate:
    signature: Signature
    due: float
    tries: int = 0


class FolderArrivals(Arrivals):
    """The files in folders, each when its size and time of change stood still for a while and its end can be read.

    A file comes again when it has changed since.
    """

    def __init__(
        self,
        folders: Iterable[str],
        wanted: Wanted = Wanted(),  # noqa: B008 - it cannot change
        *,
        settle_seconds: float = 5.0,
    ) -> None:
        """Raises CaptionerError for a folder that is none, and where watchfiles is not installed."""
        super().__init__(wanted)
        self._watch = import_extra("watchfiles", extra="watch", what="--watch").watch
        self._folders = {folder: os.path.realpath(folder) for folder in folders}
        for folder in self._folders:
            if not os.path.isdir(folder):
                raise CaptionerError(f"{folder} is not a folder; --watch takes existing folders")
        self._settle_seconds = settle_seconds
        self._suffixes = VIDEO_SUFFIXES | IMAGE_SUFFIXES if wanted.images else VIDEO_SUFFIXES
        self._tick = min(_TICK_SECONDS, max(0.02, settle_seconds / 2))
        self._candidates: dict[str, _Candidate] = {}  # in the order of their time
        self._handed_on: dict[str, Signature] = {}
        self._ready: deque[tuple[str, Signature]] = deque()
        self._again: deque[tuple[str, Signature]] = deque()
        self._polling: bool | None = None  # None: as the environment says (WATCHFILES_FORCE_POLLING)
        self._told: set[str] = set()
        self._next_scan = 0.0
        self._in_a_row = 0

    def _next(self) -> Item | None:
        while self._ready and self._in_a_row < _MOST_IN_A_ROW:
            self._in_a_row += 1
            path, signature = self._ready.popleft()
            if _signature(path) == signature:
                return self._wanted.make(path)
            self._again.append((path, signature))  # it has changed, or gone where it is found under another name
        self._in_a_row = 0
        return None

    @property
    def waiting(self) -> int:
        """Files that were found and not handed on."""
        return len(self._candidates) + len(self._ready) + len(self._again)

    def _look(self) -> None:
        """Take what comes into the folders that are there, until one of them comes or goes."""
        here = self._here()
        self._tell_of(here)
        self._next_scan = 0.0
        with contextlib.closing(self._changes(list(here))) as all_changes:
            for changes in all_changes:
                for path in changes:
                    self._take(path)
                if time.monotonic() >= self._next_scan:
                    self._scan(here)
                self._settle()
                if self._stopped.is_set() or self._here() != here:
                    return

    def _changes(self, folders: list[str]) -> Any:
        """The paths that have changed, every tick."""
        step = max(1, round(1000 * self._tick))
        real = [self._folders[folder] for folder in folders]
        while not real:
            self._stopped.wait(self._tick)
            yield ()
        try:
            for changes in self._watch(
                *real,
                watch_filter=None,
                debounce=step,
                step=min(50, step),
                rust_timeout=step,
                yield_on_timeout=True,
                recursive=self._wanted.recursive,
                force_polling=self._polling,
                poll_delay_ms=step,
                stop_event=self._stopped,
                ignore_permission_denied=True,
            ):
                yield [path for _, path in changes]
        except FileNotFoundError:  # it went at this moment
            self._stopped.wait(self._tick)
        except OSError as error:  # such as the limit of inotify
            if self._polling:
                raise CaptionerError(f"the folders cannot be watched: {error}") from error
            self._polling = True
            self._wanted.say(f"the system reports no changes ({error}); the folders are scanned instead")

    def _here(self) -> dict[str, tuple[int, int]]:
        """Device and inode of each folder that is there."""
        here = {}
        for folder, real in self._folders.items():
            with contextlib.suppress(OSError):
                status = os.stat(real)
                if stat.S_ISDIR(status.st_mode):
                    here[folder] = (status.st_dev, status.st_ino)
        return here

    def _tell_of(self, here: dict[str, tuple[int, int]]) -> None:
        for folder in self._folders:
            if folder not in here and folder not in self._told:
                self._told.add(folder)
                self._wanted.say(f"{folder} is gone; its files are taken when it comes back")
            elif folder in here and folder in self._told:
                self._told.remove(folder)
                self._wanted.say(f"{folder} is back")

    def _scan(self, folders: Collection[str]) -> None:
        """Look at all files; forget those that are gone, but for a folder that is away and may come back."""
        began = time.monotonic()
        found: set[str] = set()
        for folder in folders:
            found |= self._scan_folder(folder)
        for path in self._handed_on.keys() - found if len(folders) == len(self._folders) else ():
            if not os.path.lexists(path):
                self._handed_on.pop(path, None)
        now = time.monotonic()
        self._next_scan = now + max(_SCAN_SECONDS, _SCAN_SHARE * (now - began))

    def _scan_folder(self, folder: str) -> set[str]:
        try:
            inputs = find_inputs([folder], recursive=self._wanted.recursive, images=self._wanted.images)
        except CaptionerError:  # there is nothing in it
            return set()
        for unlisted in inputs.unreadable:
            if unlisted.path not in self._told and unlisted.path not in self._folders:
                self._told.add(unlisted.path)
                self._wanted.say(f"{unlisted.path} cannot be listed: {unlisted.reason}")
        for item in inputs.items:
            self._consider(item.path)
        return {item.path for item in inputs.items}

    def _take(self, real: str) -> None:
        """Consider a path that the operating system says has changed."""
        for folder, root in self._folders.items():
            inside = real.removeprefix(os.path.join(root, ""))
            if inside == real or any(part.startswith(".") for part in inside.split(os.sep)):
                continue
            path = os.path.join(folder, inside)
            if os.sep in inside and not self._wanted.recursive:
                continue
            if os.path.isdir(path):
                if self._wanted.recursive:  # a folder that was moved in brings files of which nothing is said
                    self._scan_folder(path)
            elif os.path.splitext(path)[1].lower() in self._suffixes:
                self._consider(path)

    def _consider(self, path: str, *, tries: int = 0) -> None:
        """Wait until a file stands still, unless it was handed on as it is."""
        signature = _signature(path)
        known = self._candidates.get(path)
        if known is not None and known.signature == signature and not tries:
            return
        self._candidates.pop(path, None)
        if (
            signature is None
            or signature == self._handed_on.get(path)
            or not self._wanted.takes(self._wanted.make(path))
        ):
            return
        self._candidates[path] = _Candidate(signature, time.monotonic() + self._settle_seconds, tries)

    def _settle(self) -> None:
        """Hand on the files whose time has come."""
        while self._again:
            path, signature = self._again.popleft()
            if self._handed_on.get(path) == signature:
                del self._handed_on[path]
                self._consider(path)
        now = time.monotonic()
        while self._candidates:
            path, candidate = next(iter(self._candidates.items()))
            if candidate.due > now:
                return
            if _signature(path) != candidate.signature:
                self._consider(path)
            elif not _can_be_read(path, candidate.signature) and candidate.tries < _MOST_TRIES:
                self._consider(path, tries=candidate.tries + 1)
            else:
                del self._candidates[path]
                self._handed_on[path] = candidate.signature
                self._ready.append((path, candidate.signature))


def _signature(path: str) -> Signature | None:
    """Of a regular file; None for anything else."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _can_be_read(path: str, signature: Signature) -> bool:
    """Whether the end of a file is there: a program that copies may have set its size and locked it."""
    size = signature[0]
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, size - _TAIL_BYTES))
            return len(file.read(_TAIL_BYTES)) == min(size, _TAIL_BYTES)
    except OSError:
        return False
