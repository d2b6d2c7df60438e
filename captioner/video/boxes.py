"""Reads the boxes of MP4, MOV and AVIF files (ISO 14496-12) to tell cut-off and encrypted ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FIRST = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"wide", b"free", b"skip", b"pnot")
_MOST_BOXES = 100_000
_INDEX_BYTES = 16 << 20


class Box(NamedTuple):
    """A box at the top of a file: its kind and where it lies; ``end`` may lie beyond the end of the file."""

    kind: bytes
    start: int
    end: int


def top_boxes(path: Path) -> Iterator[Box]:
    """The boxes at the top of a file, up to the first thing that is no box."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(_MOST_BOXES):
            file.seek(place)
            head = file.read(16)
            if len(head) < 8:
                return
            length, kind = struct.unpack_from(">I4s", head)
            if length == 1 and len(head) == 16:
                [length] = struct.unpack_from(">Q", head, 8)
            elif length == 0:
                length = size - place
            if length < 8 or not kind.isascii() or (place == 0 and kind not in _FIRST):
                return
            yield Box(kind, place, place + length)
            place += length


def is_cut_off(path: Path) -> bool:
    """Whether the last box goes on beyond the end of the file, or the index (moov) is missing altogether."""
    boxes = list(top_boxes(path))
    if not boxes:
        return False
    return boxes[-1].end > path.stat().st_size or b"moov" not in {box.kind for box in boxes}


def movie_index(path: Path) -> bytes:
    """The index (moov), as far as it is read; empty without one."""
    for box in top_boxes(path):
        if box.kind == b"moov":
            with path.open("rb") as file:
                file.seek(box.start)
                return file.read(min(box.end - box.start, _INDEX_BYTES))
    return b""


def is_encrypted(index: bytes) -> bool:
    """Whether an index says that a video track needs a key (common encryption, ISO 23001-7)."""
    return b"encv" in index
