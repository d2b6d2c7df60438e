"""Reads footage for anomaly detection in its published layouts: UCSD Ped1 and Ped2, CUHK Avenue, or one's own folder.

UCSD (Mahadevan et al. 2010) has TIFF frames and a ``.m`` file that lists the abnormal ones; Avenue (Lu et al. 2013) has
AVI files and a ``.mat`` file of masks for each. No MATLAB is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from captioner.errors import CaptionerError, DataError
from captioner.manifest import Clip
from captioner.video.frames import probe
from data.join import Join, check_files
from data.shapes import write_clip
from data.sources import VIDEO_SUFFIXES, progress, read_table, require_folder

UCSD_RATE = 10
"""Frames a second."""
Span = tuple[float, float]


def anomalies(layout: str, source: str | Path, *, out: str | Path, overwrite: bool = False) -> Join:
    """Clips of normal footage (train) and of footage with what is abnormal in it (test). Raises DataError."""
    folder = require_folder(Path(source))
    if layout == "ucsd":
        clips = _ucsd(folder, Path(out), overwrite=overwrite)
    else:
        clips = {"avenue": _avenue, "folder": _folder}[layout](folder)
    check_files(clips)
    if not any(clip.abnormal for clip in clips):
        raise DataError(f"{source} lists no abnormal moment")
    return Join(clips=tuple(clips))


def _ucsd(source: Path, out: Path, *, overwrite: bool) -> list[Clip]:
    """``Train/Train001/*.tif``, ``Test/Test001/*.tif`` and ``Test/UCSDped1.m``; a folder becomes a file."""
    lists = sorted((source / "Test").glob("*.m"))
    if not lists:
        raise DataError(f"{source} is not UCSD Ped1 or Ped2: it has no Test/*.m with the abnormal frames")
    frames = [set(listed) for listed in abnormal_frames(lists[0].read_text(encoding="utf-8", errors="replace"))]
    plan = [
        (split, folder)
        for split, name in (("train", "Train"), ("test", "Test"))
        for folder in sorted((source / name).glob(f"{name}[0-9]*"))
        if folder.is_dir() and not folder.name.endswith("_gt")
    ]
    tests = [folder for split, folder in plan if split == "test"]
    if len(tests) != len(frames):
        raise DataError(f"{lists[0]} lists {len(frames)} films, but there are {len(tests)} folders of test frames")
    (out / "clips").mkdir(parents=True, exist_ok=True)
    clips = []
    for split, folder in progress(plan, what="films"):
        pictures = [_tiff(path) for path in sorted(folder.glob("*.tif")) if not path.name.startswith("._")]
        if not pictures:
            raise DataError(f"{folder} holds no .tif frames")
        path = (out / "clips" / f"{folder.name}.mp4").resolve()
        write_clip(path, np.stack(pictures), rate=UCSD_RATE, overwrite=overwrite)
        listed = frames[tests.index(folder)] if split == "test" else set()
        flags = [number in listed for number in range(1, len(pictures) + 1)]
        clips.append(Clip(id=folder.name, path=path, split=split, abnormal=spans(flags, rate=UCSD_RATE)))
    return clips


def abnormal_frames(text: str) -> list[list[int]]:
    """The frames, counted from 1, of each ``TestVideoFile{end+1}.gt_frame = [60:152, 170];`` in order."""
    films = []
    code = "\n".join(line.partition("%")[0] for line in text.splitlines())
    for listed in re.findall(r"gt_frame\s*=\s*\[([^\]]*)\]", code):
        numbers: list[int] = []
        for part in re.findall(r"\d+(?:\s*:\s*\d+)?", listed):
            first, _, last = part.partition(":")
            numbers += range(int(first), int(last or first) + 1)
        films.append(numbers)
    return films


def spans(flags: Sequence[bool], *, rate: float) -> tuple[Span, ...]:
    """From when to when, in seconds, runs of frames are abnormal."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, np.int8), [0]])))
    return tuple((float(start) / rate, float(end) / rate) for start, end in edges.reshape(-1, 2))


def _tiff(path: Path) -> NDArray[np.uint8]:
    try:
        with av.open(str(path), format="tiff_pipe") as file:
            rgb: NDArray[np.uint8] = next(file.decode(video=0)).to_ndarray(format="rgb24")
    except (av.FFmpegError, StopIteration):
        raise DataError(f"{path} cannot be decoded as a TIFF frame") from None
    height, width = (side // 2 * 2 for side in rgb.shape[:2])  # what H.264 can hold
    return rgb[:height, :width]


def _avenue(source: Path) -> list[Clip]:
    """``training_videos/01.avi``, ``testing_videos/01.avi`` and ``1_label.mat``, wherever below the folder."""
    masks = {int(path.name.split("_")[0]): path for path in sorted(source.rglob("[0-9]*_label.mat"))}
    clips = [
        Clip(id=f"train-{path.stem}", path=path.resolve(), split="train")
        for path in sorted(source.rglob("training_videos/*.avi"))
    ]
    tests = sorted(source.rglob("testing_videos/*.avi"))
    if not (clips and tests and masks):
        raise DataError(f"{source} is not Avenue: it needs training_videos/, testing_videos/ and *_label.mat")
    for path in tests:
        mask = masks.get(int(path.stem)) if path.stem.isdecimal() else None
        if mask is None:
            raise DataError(f"there is no {path.stem.lstrip('0')}_label.mat for {path}")
        rate = probe(path).frames_per_second or 25.0
        clips.append(
            Clip(id=f"test-{path.stem}", path=path.resolve(), split="test", abnormal=spans(_masked(mask), rate=rate))
        )
    return clips


def _masked(path: Path) -> list[bool]:
    """Whether anything is marked in each frame: ``volLabel``, a cell array of masks, or ``vol``, height x width x T."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise CaptionerError("reading .mat files needs SciPy: pip install scipy") from None
    try:
        values: dict[str, Any] = loadmat(str(path))
    except (ValueError, TypeError, IndexError, OSError, NotImplementedError) as error:
        raise DataError(f"{path} is not a .mat file that can be read: {error}") from None
    if "volLabel" in values:
        return [bool(np.any(mask)) for mask in values["volLabel"].ravel()]
    if "vol" in values:
        return [bool(flag) for flag in values["vol"].any(axis=(0, 1))]
    raise DataError(f"{path} has neither volLabel nor vol in it")


def _folder(source: Path) -> list[Clip]:
    """``normal/`` and ``test/`` with videos, and ``abnormal.csv`` with the columns file, start and end (seconds)."""
    listed: dict[str, list[Span]] = {}
    for line, row in read_table(source / "abnormal.csv", needs=("file", "start", "end")):
        try:
            start, end = float(row["start"]), float(row["end"])
        except ValueError:
            start = end = 0.0
        if not 0 <= start < end < float("inf"):
            raise DataError(f"{source / 'abnormal.csv'}, line {line}: start and end must be seconds, start first")
        listed.setdefault(row["file"].strip(), []).append((start, end))
    found = {}
    for split, name in (("train", "normal"), ("test", "test")):
        found[split] = [path for path in sorted((source / name).glob("*")) if path.suffix.lower() in VIDEO_SUFFIXES]
        if not found[split]:
            raise DataError(f"{source / name} holds no video")
    if unknown := set(listed) - {path.name for path in found["test"]}:
        raise DataError(f"{source / 'abnormal.csv'} names {sorted(unknown)[0]}, which is not in {source / 'test'}")
    clips = []
    for split, paths in found.items():
        for path in paths:
            abnormal = sorted(listed.get(path.name, ())) if split == "test" else ()
            clips.append(Clip(id=f"{split}/{path.name}", path=path.resolve(), split=split, abnormal=tuple(abnormal)))
    return clips
