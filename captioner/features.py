"""Features on disk: what the encoder made of each clip, keyed by the clip's content and the whole recipe.

A changed video, frame recipe, CNN or library of weights gives another key, so a stale feature is never used.
One ``.npy`` a clip, written to a temporary sibling and renamed: a killed run loses at most the clip in hand.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from captioner.config import VideoConfig, to_dict
from captioner.encoder import FrameEncoder
from captioner.errors import ConfigError, DataError, VideoError
from captioner.manifest import Clip
from captioner.video import Frames, sample_frames

_AHEAD = 8  # clips decoded ahead of the encoder: bounds the memory


class FeatureCache:
    """Features (T, P, D) float16 of each clip; without an encoder its pixels (T, S, S, 3) uint8 (end to end)."""

    def __init__(self, folder: str | Path, *, video: VideoConfig, encoder: FrameEncoder | None) -> None:
        recipe = {"video": to_dict(video), "encoder": encoder.fingerprint() if encoder else "pixels"}
        self.recipe = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = Path(folder) / self.recipe
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
        self._video = video
        self._encode = encoder.fast() if encoder else None
        self._contents: dict[Path, str] = {}

    def path(self, clip: Clip) -> Path:
        """Where the clip's features are or will be; raises VideoError when the file cannot be read."""
        assert clip.path is not None
        if clip.path not in self._contents:
            self._contents[clip.path] = _content(clip.path)
        part = f"{self._contents[clip.path]} {clip.start_seconds} {clip.end_seconds}"
        return self.folder / f"{hashlib.sha256(part.encode()).hexdigest()[:32]}.npy"

    def load(self, clip: Clip, *, in_memory: bool = True) -> np.ndarray:
        """The clip's cached array; raises DataError when it is not there or damaged."""
        path = self.path(clip)
        try:
            return np.load(path, mmap_mode=None if in_memory else "r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"the cached features of {clip.id!r} cannot be read ({path.name}): {error}") from error

    def fill(
        self, clips: Sequence[Clip], *, on_clip: Callable[[Clip], None] | None = None
    ) -> list[tuple[Clip, VideoError]]:
        """Make what is missing; returns the clips that cannot be used, each with its reason."""
        failures: list[tuple[Clip, VideoError]] = []
        for clip, result in _ahead(clips, self._decode):
            if isinstance(result, VideoError):
                failures.append((clip, result))
            elif result is not None:
                self._store(self.path(clip), self._features(result))
            if on_clip:
                on_clip(clip)
        return failures

    def _decode(self, clip: Clip) -> Frames | VideoError | None:
        """The clip's frames; None when its features are there already."""
        assert clip.path is not None
        try:
            if self.path(clip).exists():
                return None
            return sample_frames(clip.path, self._video, start_seconds=clip.start_seconds, end_seconds=clip.end_seconds)
        except VideoError as error:
            return error
        except ConfigError as error:  # a part that the manifest names, but the file does not have
            return VideoError("not_found", str(error))

    def _features(self, frames: Frames) -> np.ndarray:
        if self._encode is None:
            return frames.pixels
        with torch.inference_mode():
            return self._encode(torch.from_numpy(frames.pixels)).cpu().to(torch.float16).numpy()

    @staticmethod
    def _store(path: Path, array: np.ndarray) -> None:
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as out:
            np.save(out, array, allow_pickle=False)
        temporary.replace(path)


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise VideoError("not_found", f"there is no file {path}") from None
    except OSError as error:
        raise VideoError("not_a_file", f"cannot read {path}: {error.strerror}") from error


def _ahead(clips: Sequence[Clip], work: Callable[[Clip], Any]) -> Iterator[tuple[Clip, Any]]:
    """``work(clip)`` in order, done in threads at most ``_AHEAD`` clips before it is asked for."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        waiting: list[tuple[Clip, Future[Any]]] = []
        source = iter(clips)
        try:
            waiting = [(clip, pool.submit(work, clip)) for clip in islice(source, _AHEAD)]
            while waiting:
                clip, future = waiting.pop(0)
                yield clip, future.result()
                waiting += [(clip, pool.submit(work, clip)) for clip in islice(source, 1)]
        finally:
            for _, future in waiting:
                future.cancel()
