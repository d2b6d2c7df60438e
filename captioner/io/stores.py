"""Objects in stores and on web servers, through fsspec: listed, looked up, fetched and put (extra captioner[cloud]).

Every request that fails for a passing reason is tried again, each time after a longer pause. Credentials are the
store's own (environment, profile): none is taken or told here.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from captioner.errors import CaptionerError, VideoError
from captioner.io.addresses import is_web, protocol, shown
from captioner.io.faults import NO_BUCKET, fault_of

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 30.0  # a server that sends nothing for so long is given up
_LOCAL = frozenset({"file", "local", "dir", "data", "zip", "tar", "libarchive", "reference", "generic", "cached"})
_COMMON = frozenset({"http", "https", "s3", "gs", "az"})
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
_PAGE = 1000  # the most that S3 gives at once
_TIMES = ("Last-Modified", "LastModified", "last_modified", "updated", "mtime", "created")


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """An object in a store: where it lies, and which version of it was found there."""

    address: str = field(repr=False)
    """As it was given, secrets and all."""
    version: str = ""
    """Of the content, by the store's ETag or time of change; empty: not looked up yet."""
    size: int | None = None
    """In bytes; None: not known."""


def keeps_whole(address: str) -> bool:
    """Whether what is put at an address is there all at once or not at all."""
    return protocol(address) in _WHOLE


class Stores:
    """The stores of one run. Its methods may be called from any thread; all raise CaptionerError."""

    def __init__(self, *, retries: int = 3) -> None:
        """``retries`` is how often a request is repeated after the first time."""
        self.retries = retries
        self.repeated = 0
        """Requests that had to be repeated so far."""
        self._turn = threading.Lock()
        self._systems: dict[str, Any] = {}

    def takes(self, name: str) -> bool:
        """Whether a name is the address of something that fsspec reads; raises CaptionerError where it lacks a package.

        What it does not read (``rtsp://``) is a name like any other, which the decoder will refuse.
        """
        kind = protocol(name)
        if not kind or kind in _LOCAL or not _is_known(kind):
            return False
        self._open(name)
        return True

    def is_folder(self, address: str) -> bool:
        """Whether something lies below an address, and not at it."""
        if is_web(address):
            return False
        if address.endswith("/"):
            return True
        system, path = self._open(address)
        with contextlib.suppress(VideoError):  # of a name that is not there, the fetch will tell
            return str(self._attempt(address, lambda: system.info(path))["type"]) == "directory"
        return False

    def walk(self, folder: str, *, recursive: bool) -> Iterator[tuple[str, Remote | None]]:
        """The objects below an address, page by page, each with its name from there on; None for a folder."""
        system, root = self._open(folder)
        root = root.strip("/")
        top = folder.rstrip("/") + "/"
        for info in self._pages(system, folder, root, recursive=recursive):
            name = info["name"].lstrip("/")[len(root) + 1 :]  # an object's name may begin with a slash from here on
            if info["type"] == "file" and name:
                yield name, _remote(top + name, info)
            elif name and not recursive:
                yield name.rstrip("/"), None

    def glob(self, pattern: str) -> list[str]:
        """The addresses that match a pattern, sorted."""
        system, path = self._open(pattern)
        start = pattern[: pattern.index("://") + 3]
        found = self._attempt(pattern, lambda: system.glob(path))
        return sorted(start + name.lstrip("/") for name in found)

    def look(self, remote: Remote) -> Remote:
        """The version of an object that lies there now; raises VideoError."""
        system, path = self._open(remote.address)
        info = self._attempt(remote.address, lambda: system.info(path))
        if info["type"] == "directory":
            raise VideoError("not_a_file", f"{shown(remote.address)} is a folder; end its name with /")
        return _remote(remote.address, info)

    def fetch(self, remote: Remote, to: Path, *, stopped: threading.Event | None = None) -> None:
        """Bring an object to a file, until ``stopped``; raises VideoError where it cannot be had."""
        stopped = stopped or threading.Event()
        system, path = self._open(remote.address)

        def fetch() -> None:
            system.get_file(path, str(to), callback=_progress(stopped))
            fetched = to.stat().st_size
            now = _remote(remote.address, system.info(path))
            if now.version != remote.version:
                raise VideoError("changed", f"{shown(remote.address)} changed during the run; give the command again")
            if now.size is not None and fetched != now.size:
                raise ConnectionError(f"{fetched} of {now.size} bytes arrived")

        self._attempt(remote.address, fetch, stopped)

    def look_at(self, address: str) -> Remote | None:
        """What lies at an address, None if nothing does; raises VideoError also where its bucket does not exist."""
        try:
            return self.look(Remote(address=address))
        except VideoError as error:
            if error.code == "not_found" and NO_BUCKET not in str(error):
                return None
            raise

    def put(self, file: Path, address: str) -> None:
        """Write a file to an address; until all of it is there, nothing is. Raises VideoError."""
        system, path = self._open(address)
        self._attempt(address, lambda: system.put_file(str(file), path), doing="written")

    def _open(self, address: str) -> tuple[Any, str]:
        """The file system of an address and its name there."""
        kind = protocol(address)
        try:
            from fsspec import get_filesystem_class

            made = get_filesystem_class(kind)
            of_address = made._get_kwargs_from_urls(address)  # such as the host, for FTP
            key = repr((kind, sorted(of_address.items())))
            with self._turn:
                if key not in self._systems:
                    self._systems[key] = made(**_options(kind), **of_address, skip_instance_cache=True)
                    self._systems[key].retries = 1  # s3fs repeats by itself too: here it is counted
        except ImportError as error:
            raise CaptionerError(_missing(kind)) from error
        return self._systems[key], made._strip_protocol(address)

    def _pages(self, system: Any, folder: str, root: str, *, recursive: bool) -> Iterator[dict[str, Any]]:
        if not hasattr(system, "call_s3"):
            find = system.find if recursive else system.ls
            found = self._attempt(folder, lambda: find(root, detail=True))
            yield from found.values() if recursive else found
            return
        bucket, _, prefix = root.partition("/")
        asked: dict[str, Any] = {
            "Bucket": bucket,
            "Prefix": f"{prefix}/" if prefix else "",
            "Delimiter": "" if recursive else "/",
        }
        asked["MaxKeys"] = _PAGE
        while True:  # s3fs itself would hold all pages at once
            page = self._attempt(folder, lambda: system.call_s3("list_objects_v2", **asked))
            for found in page.get("Contents", ()):
                kind = "directory" if found["Key"].endswith("/") else "file"
                yield {**found, "name": f"{bucket}/{found['Key']}", "size": found["Size"], "type": kind}
            for found in page.get("CommonPrefixes", ()):
                yield {"name": f"{bucket}/{found['Prefix']}", "size": 0, "type": "directory"}
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _attempt(
        self, address: str, do: Callable[[], T], stopped: threading.Event | None = None, *, doing: str = "read"
    ) -> T:
        """What ``do`` gives; where it fails for a passing reason, it is done again after a pause."""
        stopped = stopped or threading.Event()
        for number in itertools.count():
            try:
                return do()
            except CaptionerError:
                raise
            except Exception as error:
                fault = fault_of(error, shown(address), doing=doing)
                if not fault.passes or number >= self.retries or stopped.is_set():
                    raise fault.error(number) from error
            with self._turn:
                self.repeated += 1
            stopped.wait(_FIRST_PAUSE_SECONDS * 2**number * random.uniform(0.5, 1.0))
        raise AssertionError


def _is_known(kind: str) -> bool:
    try:
        from fsspec.registry import available_protocols
    except ImportError:
        return kind in _COMMON
    return kind in available_protocols()


def _options(kind: str) -> dict[str, Any]:
    """How a file system is opened: one try a request, short waits, and nothing remembered."""
    if kind in ("s3", "s3a"):
        once = {"total_max_attempts": 1}
        limits = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _SILENT_SECONDS, "retries": once}
        return {"use_listings_cache": False, "config_kwargs": limits}
    if kind in ("http", "https"):
        from aiohttp import ClientTimeout

        limit = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS)
        return {"use_listings_cache": False, "client_kwargs": {"timeout": limit}}
    return {"use_listings_cache": False}


def _missing(kind: str) -> str:
    """What to install for a protocol."""
    package = "fsspec"
    with contextlib.suppress(ImportError):
        from fsspec.registry import known_implementations

        package = str(known_implementations.get(kind, {}).get("class", "fsspec.")).partition(".")[0]
    if package in ("fsspec", "s3fs"):
        return f"{kind}:// needs fsspec, s3fs and aiohttp: pip install 'captioner[cloud]'"
    return f"{kind}:// needs the package {package}: pip install {package}"


def _progress(stopped: threading.Event) -> Any:
    """A callback for fsspec that ends a transfer once ``stopped`` is set."""
    from fsspec.callbacks import Callback

    class Watch(Callback):
        def relative_update(self, inc: int = 1) -> None:
            if stopped.is_set():
                raise CaptionerError("the transfer was stopped")

    return Watch()


def _remote(address: str, info: dict[str, Any]) -> Remote:
    """What a store tells of an object. An ETag of S3 is of the content; all else counts for its own name alone."""
    size = info.get("size")
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("content_md5")
    mark = tag or next((_time(info[name]) for name in _TIMES if info.get(name)), "")
    name = "" if tag and protocol(address) in ("s3", "s3a") else shown(address)
    return Remote(address=address, version=repr((mark, size, name)), size=size)


def _time(value: Any) -> str:
    """A time as one text, whichever of its forms a store gives."""
    seconds = value.timestamp() if hasattr(value, "timestamp") else value
    return f"{seconds:.3f}" if isinstance(seconds, float | int) else str(seconds)
