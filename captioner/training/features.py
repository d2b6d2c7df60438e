"""The feature cache: encoded clips on disk, keyed by the clip's content and the encoding recipe.

A changed video, frame recipe, CNN or library of weights gives another key, so a stale feature is never used.
One ``.npy`` a clip, written to a temporary sibling and renamed: a killed run loses at most the clip in hand.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from captioner.config import to_dict
from captioner.errors import ConfigError, DataError, VideoError
from captioner.io.ahead import work_ahead
from captioner.manifest import Clip
from captioner.safe.whole import put, write_whole, writing
from captioner.training.views import cut_view, has_sides, view_recipe
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames
from captioner.vision.encoder import FrameEncoder

_AHEAD = 8  # clips decoded before the encoder needs them


class Stored:
    """An array on disk that opens its file for each read: a process may hold only some thousand files open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        array = self._open()
        self.shape, self.dtype = array.shape, array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.array(self._open()[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._open(), dtype=dtype)

    def _open(self) -> np.ndarray:
        return np.load(self._path, mmap_mode="r", allow_pickle=False)


class FeatureCache:
    """Features (T, P, D) float16 of each clip; without an encoder its pixels (T, S, S, 3) uint8 (end to end)."""

    def __init__(self, folder: str | Path, *, video: VideoConfig, encoder: FrameEncoder | None) -> None:
        recipe = {"video": to_dict(video), "encoder": encoder.fingerprint() if encoder else "pixels"}
        self.recipe = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = Path(folder) / self.recipe
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / "recipe.json", json.dumps(recipe, indent=1) + "\n", overwrite=True)
        self._video = video
        self._encode = encoder.fast() if encoder else None
        self._contents: dict[Path, str] = {}

    def path(self, clip: Clip, view: int = 0) -> Path:
        """Where the features of a clip's view are or will be; raises VideoError when the file cannot be read."""
        assert clip.path is not None
        if clip.path not in self._contents:
            self._contents[clip.path] = _content(clip.path)
        part = f"{self._contents[clip.path]} {clip.start_seconds} {clip.end_seconds}" + f" view {view}" * (view > 0)
        return self.folder / f"{hashlib.sha256(part.encode()).hexdigest()[:32]}.npy"

    def load(self, clip: Clip, view: int = 0, *, in_memory: bool = True) -> np.ndarray:
        """The cached array of a clip's view; raises DataError when it is not there or damaged.

        Not ``in_memory``: a :class:`Stored`, which is read when needed.
        """
        path = self.path(clip, view)
        try:
            if not in_memory:
                return Stored(path)  # type: ignore[return-value]
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"the cached features of {clip.id!r} cannot be read ({path.name}): {error}") from error

    def fill(
        self, clips: Sequence[Clip], *, views: int = 1, on_clip: Callable[[Clip], None] | None = None
    ) -> list[tuple[Clip, VideoError]]:
        """Compute the missing features of the first ``views`` views; returns the clips that failed, and why."""
        failures: list[tuple[Clip, VideoError]] = []
        decoded = work_ahead(
            clips, partial(self._decode, views=views), most=_AHEAD, threads=min(4, os.cpu_count() or 1)
        )
        for clip, result in decoded:
            if isinstance(result, VideoError):
                failures.append((clip, result))
            else:
                for view, pixels in result.items():
                    self._store(self.path(clip, view), self._features(pixels))
            if on_clip:
                on_clip(clip)
        return failures

    def _decode(self, clip: Clip, *, views: int) -> dict[int, np.ndarray] | VideoError:
        """The pixels of each view whose features are not there yet."""
        assert clip.path is not None
        span = {"start_seconds": clip.start_seconds, "end_seconds": clip.end_seconds}
        pixels: dict[int, np.ndarray] = {}
        try:
            missing = [view for view in range(views) if not self.path(clip, view).exists()]
            if 0 in missing:
                pixels[0] = sample_frames(clip.path, self._video, **span).pixels
            if any(missing):
                whole = sample_frames(clip.path, view_recipe(self._video), **span).pixels
                flip, name = not has_sides((*clip.captions, *clip.labels)), self._contents[clip.path]
                for view in filter(None, missing):
                    pixels[view] = cut_view(whole, view=view, video=self._video, name=name, flip=flip)
        except VideoError as error:
            return error
        except ConfigError as error:  # a part that the manifest names, but the file does not have
            return VideoError("not_found", str(error))
        return pixels

    def _features(self, pixels: np.ndarray) -> np.ndarray:
        if self._encode is None:
            return pixels
        with torch.inference_mode():
            return self._encode(torch.from_numpy(pixels)).cpu().to(torch.float16).numpy()

    @staticmethod
    def _store(path: Path, array: np.ndarray) -> None:
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with writing(path):
                with temporary.open("wb") as out:
                    np.save(out, array, allow_pickle=False)
                put(temporary, path, overwrite=True)
        finally:
            temporary.unlink(missing_ok=True)


_digests: dict[tuple[Path, int, int], str] = {}
"""Of files by path, size and time of change: the trials of a search read each file once."""


def _content(path: Path) -> str:
    try:
        stat = path.stat()
        key = (path, stat.st_size, stat.st_mtime_ns)
        if key not in _digests:
            with path.open("rb") as file:
                _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return _digests[key]
    except FileNotFoundError:
        raise VideoError("not_found", f"there is no file {path}") from None
    except OSError as error:
        raise VideoError("not_a_file", f"cannot read {path}: {error.strerror}") from error
