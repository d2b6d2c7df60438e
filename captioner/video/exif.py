"""The orientation of a photo, from its EXIF block (CIPA DC-008, tag 0x0112) in JPEG, PNG, WebP and TIFF files.

FFmpeg has it as side data of the frame, which PyAV cannot read safely. Some kinds of side data have no name there
(ValueError), and a colour profile beside it is freed twice (a crash).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_ORIENTATION = 0x0112
_LONGEST = 1 << 16
"""Bytes of a block that are looked at: the orientation stands in its first directory."""
_MOST_BLOCKS = 10_000


def exif_orientation(path: Path) -> int | None:
    """1 to 8 for a photo (1 where it does not say), None for a file of another format."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head[:3] == b"\xff\xd8\xff":
                blocks = _jpeg_blocks(file)
            elif head[:8] == b"\x89PNG\r\n\x1a\n":
                blocks = _chunks(file, start=8, name=b"eXIf", order=">", name_first=False)
            elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
                blocks = _chunks(file, start=12, name=b"EXIF", order="<", name_first=True)
            elif head[:4] in (b"II*\0", b"MM\0*"):
                return _orientation(file, start=0) or 1
            else:
                return None
            for start in blocks:
                if found := _orientation(file, start=start):
                    return found
    except (OSError, struct.error):
        pass
    return 1


def _jpeg_blocks(file: BinaryIO) -> Iterator[int]:
    """Where the TIFF structures of APP1 segments begin, up to the picture itself."""
    place = 2
    for _ in range(_MOST_BLOCKS):
        file.seek(place)
        marker, length = struct.unpack(">2sH", file.read(4))
        if marker[0] != 0xFF or marker[1] in (0xD9, 0xDA):
            return
        if marker[1] == 0xE1 and file.read(6) == b"Exif\0\0":
            yield place + 10
        place += 2 + length


def _chunks(file: BinaryIO, *, start: int, name: bytes, order: str, name_first: bool) -> Iterator[int]:
    """Where the contents of a PNG's or a RIFF file's chunks of this name begin."""
    place = start
    for _ in range(_MOST_BLOCKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        found, size = (head[:4], head[4:]) if name_first else (head[4:], head[:4])
        [length] = struct.unpack(f"{order}I", size)
        if found == name:
            file.seek(place + 8)
            yield place + 8 + 6 * (file.read(6) == b"Exif\0\0")
        place += 8 + length + (length % 2 if name_first else 4)  # RIFF pads to even sizes, PNG adds a checksum


def _orientation(file: BinaryIO, *, start: int) -> int | None:
    """The orientation that the TIFF structure at ``start`` gives; None if it gives none that makes sense."""
    file.seek(start)
    head = file.read(8)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return None
    file.seek(start + struct.unpack(f"{order}I", head[4:])[0])
    [count] = struct.unpack(f"{order}H", file.read(2))
    entries = file.read(min(12 * count, _LONGEST))
    for place in range(0, len(entries) - 11, 12):
        tag, kind, number, value = struct.unpack_from(f"{order}HHIH", entries, place)
        if tag == _ORIENTATION and kind == 3 and number == 1 and 1 <= value <= 8:
            return int(value)
    return None
