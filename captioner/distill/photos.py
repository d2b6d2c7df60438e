"""What is looked at: photos and frames of clips, decoded once into a memory-mapped array.

Only what is marked ``train`` is learned from and only ``val`` is measured on; a ``test`` clip is never opened.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from captioner.config import VideoConfig
from captioner.distill.recipe import PhotoConfig
from captioner.errors import DataError
from captioner.manifest import read_manifest
from captioner.video import sample_frames

_PHOTO_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})


def load_photos(photos: PhotoConfig, *, split: Literal["train", "val"]) -> np.ndarray:
    """Every frame of a split, memory-mapped: (N,S,S,3) uint8 RGB.

    Decodes once; ``<split>.npy`` in the pack's folder is used as long as settings and files are the same. Where the
    sources are not at hand, as on a borrowed GPU, a pack that was carried along is taken as it is, also in its
    compact form (:func:`compact`). Raises VideoError for a file that cannot be decoded.
    """
    folder = Path(photos.pack)
    note, pixels = folder / f"{split}.json", folder / f"{split}.npy"
    carried = note.exists() and not any(Path(source).exists() for source in (*photos.manifests, *photos.folders))
    key = "" if carried else _key(photos, files := split_files(photos, split=split), split=split)
    if note.exists():
        said = json.loads(note.read_text(encoding="utf-8"))
        if carried or said["key"] == key:
            if not pixels.exists():
                _write(_read_compact(folder / f"{split}.webp", said["bytes"]), pixels, count=said["frames"])
            return np.load(pixels, mmap_mode="r")
    frames = _frames_of(photos, split)
    folder.mkdir(parents=True, exist_ok=True)
    config = VideoConfig(frames=frames, size=photos.size)
    decoded = (frame for file in files for frame in sample_frames(file, config).pixels)
    packed = _write(decoded, pixels, count=frames * len(files))
    note.write_text(json.dumps({"key": key, "files": len(files), "frames": len(packed)}), encoding="utf-8")
    return packed


def split_files(photos: PhotoConfig, *, split: Literal["train", "val"]) -> list[Path]:
    """The files of a split; raises DataError if there are none, or if one of them is in another split as well."""
    clips = [clip for manifest in photos.manifests for clip in read_manifest(manifest) if clip.path is not None]
    paths = [(clip.split, Path(clip.path or "").resolve()) for clip in clips]
    for folder in photos.folders:
        if not (below := Path(folder) / "train").is_dir():
            raise DataError(f"{below} is not a folder; photos to learn from lie below a subfolder named train")
        paths += [("train", file) for file in sorted(below.rglob("*")) if file.suffix.lower() in _PHOTO_SUFFIXES]
    mine = [path for other, path in paths if other == split]
    if both := set(mine) & {path for other, path in paths if other != split}:
        raise DataError(f"{min(both)} is in the split {split!r} and in another; it can be in one only")
    if not mine:
        raise DataError(f"no {split} clip with a file in {', '.join(photos.manifests) or 'any manifest'}")
    return mine


def compact(photos: PhotoConfig, *, split: Literal["train", "val"], quality: int) -> int:
    """Write the split's frames as WebP images, one after the other, to carry to another machine; returns the bytes.

    ``<split>.webp`` and ``<split>.json`` are then enough for :func:`load_photos`.
    """
    from PIL import Image

    def encoded(frame: np.ndarray) -> bytes:
        out = io.BytesIO()
        Image.fromarray(frame).save(out, "WEBP", quality=quality, method=4)
        return out.getvalue()

    frames, folder = load_photos(photos, split=split), Path(photos.pack)
    sizes = []
    with (folder / f"{split}.webp").open("wb") as out, ThreadPoolExecutor() as pool:
        for at in range(0, len(frames), 256):
            sizes += [out.write(image) for image in pool.map(encoded, frames[at : at + 256])]
    note = folder / f"{split}.json"
    note.write_text(json.dumps(json.loads(note.read_text(encoding="utf-8")) | {"bytes": sizes}), encoding="utf-8")
    return sum(sizes)


def _read_compact(file: Path, sizes: list[int]) -> Iterator[np.ndarray]:
    from PIL import Image

    if not file.exists():
        raise DataError(f"{file} is missing; pack the photos anew")

    def decoded(image: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))

    with file.open("rb") as images, ThreadPoolExecutor() as pool:
        for at in range(0, len(sizes), 256):
            yield from pool.map(decoded, [images.read(size) for size in sizes[at : at + 256]])


def _frames_of(photos: PhotoConfig, split: str) -> int:
    return photos.frames if split == "train" else photos.held_out_frames


def _key(photos: PhotoConfig, files: Iterable[Path], *, split: str) -> str:
    digest = hashlib.sha256(f"{_frames_of(photos, split)} {photos.size}".encode())
    for file in files:
        digest.update(f"{file}\n".encode())
    return digest.hexdigest()[:16]


def _write(frames: Iterable[np.ndarray], target: Path, *, count: int) -> np.ndarray:
    """Write at most ``count`` frames one after the other as ``target`` (.npy), and map it."""
    temporary = target.with_name(f".{target.name}.tmp")
    written, shape = 0, ()
    with temporary.open("wb") as out:
        header = 0
        for frame in frames:
            if not shape:
                shape = frame.shape
                np.lib.format.write_array_header_1_0(out, _header(count, shape))
                header = out.tell()
            out.write(np.ascontiguousarray(frame).data)
            written += 1
        # The header was written for the largest count; numpy pads it, so that a smaller one fits the same bytes.
        out.seek(0)
        np.lib.format.write_array_header_1_0(out, _header(written, shape))
        assert out.tell() == header
    temporary.replace(target)
    return np.load(target, mmap_mode="r")


def _header(count: int, shape: tuple[int, ...]) -> dict[str, object]:
    return {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
