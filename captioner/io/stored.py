"""A file in a store that is written whole, at the end, or not at all."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator
from pathlib import Path

from captioner.errors import CaptionerError, UsageError, VideoError
from captioner.io.addresses import protocol, shown
from captioner.io.scratch import Scratch
from captioner.io.stores import Stores, keeps_whole


def check_output(address: str, stores: Stores, *, overwrite: bool) -> None:
    """Raise CaptionerError where a file in a store could not be written, or exists and must not be replaced."""
    if not keeps_whole(address):
        raise UsageError(f"-o {shown(address)}: {protocol(address)}:// cannot be written whole; name a file or s3://")
    if not posixpath.basename(address):
        raise UsageError(f"-o {shown(address)} is a folder; name a file in it, such as {shown(address)}captions.jsonl")
    try:
        if stores.look_at(address) is not None and not overwrite:
            raise CaptionerError(f"{shown(address)} exists; --overwrite replaces it")
    except VideoError as error:
        if error.code != "forbidden":
            raise
        if not overwrite:  # who may write need not be allowed to look
            raise CaptionerError(f"{error}, so it may exist already; --overwrite writes it all the same") from error


@contextlib.contextmanager
def stored(address: str, stores: Stores, *, scratch: str | None = None) -> Iterator[Path]:
    """A local file to write, which is put at the address when the block ends well; raises CaptionerError."""
    with Scratch(scratch) as local:
        path = local.folder / "output"
        yield path
        try:
            stores.put(path, address)
        except VideoError as error:
            said = "what was captioned is in the journal: give the same command again"
            raise CaptionerError(f"{error}; {said}") from error
