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


def is_stored(address: str, stores: Stores) -> bool:
    """Whether there may be something at the address of an output; raises CaptionerError where none can be."""
    if not keeps_whole(address):
        raise UsageError(f"-o {shown(address)}: {protocol(address)}:// cannot be written; name a local file or s3://")
    if not posixpath.basename(address):
        raise UsageError(f"-o {shown(address)} is a folder; name a file in it, such as {shown(address)}captions.jsonl")
    try:
        return stores.look_at(address) is not None
    except VideoError as error:
        if error.code != "forbidden":
            raise
        return True  # who may write need not be allowed to look


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
