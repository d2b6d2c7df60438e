"""Training and validation clips in memory, with their features or pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from captioner.errors import DataError, counted
from captioner.manifest import Clip, read_manifest
from captioner.training.config import DataConfig, Recipe, Targets
from captioner.training.features import FeatureCache
from captioner.training.log import TrainingLog
from captioner.training.processes import Processes
from captioner.video.config import VideoConfig
from captioner.vision.encoder import FrameEncoder


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Parallel lists, one entry a clip."""

    clips: list[Clip]
    arrays: list[np.ndarray]
    repeat: list[int]
    views: list[list[np.ndarray]]
    """Other views of each clip (training.views), for training only."""

    def draw(self, clip: int, rng: np.random.Generator, *, stills: float = 0.0) -> np.ndarray:
        """A random view of a clip. With probability ``stills``, three views of a photo become a clip of 16 frames."""
        own, others = self.arrays[clip], self.views[clip]
        if stills and len(own) == 1 and rng.random() < stills:
            return np.repeat(np.concatenate([own, others[1], others[3]]), [6, 5, 5], axis=0)  # none of them mirrored
        view = int(rng.integers(1 + len(others)))
        return others[view - 1] if view else own


def load_corpora(
    recipe: Recipe, encoder: FrameEncoder | None, *, video: VideoConfig, log: TrainingLog, in_memory: bool
) -> tuple[Corpus, dict[str, Corpus]]:
    """The clips of training and of each validation set, with their features; missing features are computed.

    Without an encoder the arrays are pixels. Arrays that are not ``in_memory`` are read from disk as they are needed.
    Clips that cannot be decoded are left out and reported; raises DataError when nothing is left.
    """
    targets = recipe.task.targets
    clips, repeat = training_clips(recipe.data, targets)
    val = validation_sets(recipe.data, targets)
    cache = FeatureCache(recipe.data.cache, video=video, encoder=encoder)
    seen = [clip for group in val.values() for clip in group]
    count = log.counter("features", len(clips) + len(seen))
    processes = Processes()
    if processes.count > 1:  # each makes its share
        cache.fill(processes.share(clips), views=recipe.data.views)
        cache.fill(processes.share(seen))
        processes.wait()
    failures = cache.fill(clips, views=recipe.data.views, on_clip=count) + cache.fill(seen, on_clip=count)
    for clip, error in failures:
        log.say(f"left out: {clip.path}: {error} [{error.code}]")
    failed = {id(clip) for clip, _ in failures}

    def corpus(clips: Sequence[Clip], repeat: Sequence[int], views: int) -> Corpus:
        kept = [i for i, clip in enumerate(clips) if id(clip) not in failed]
        if not kept:
            raise DataError(f"none of {counted(len(clips), 'clip')} can be used; the first: {failures[0][1]}")
        load = cache.load
        return Corpus(
            clips=[clips[i] for i in kept],
            arrays=[load(clips[i], in_memory=in_memory) for i in kept],
            repeat=[repeat[i] for i in kept],
            views=[[load(clips[i], v, in_memory=in_memory) for v in range(1, views)] for i in kept],
        )

    return corpus(clips, repeat, recipe.data.views), {n: corpus(group, [1] * len(group), 1) for n, group in val.items()}


def training_clips(data: DataConfig, targets: Targets = "captions") -> tuple[list[Clip], list[int]]:
    """The ``train`` clips of all manifests, and how often an epoch visits each."""
    clips: list[Clip] = []
    repeat: list[int] = []
    for i, path in enumerate(data.manifests):
        found = [c for c in read_manifest(path, split="train") if c.path is not None and getattr(c, targets)]
        clips += found
        repeat += [data.repeat[i] if data.repeat else 1] * len(found)
    if not clips:
        raise DataError(f"there is nothing to train on: data.manifests names no train clip with {targets}")
    return clips, repeat


def detector_clips(
    recipe: Recipe, encoder: FrameEncoder, *, name: Literal["rendered", "actions"], video: VideoConfig
) -> tuple[list[Clip], list[np.ndarray]]:
    """The ``train`` clips of the manifests in one setting of [data], and their features."""
    cache = FeatureCache(recipe.data.cache, video=video, encoder=encoder)
    clips = [clip for path in getattr(recipe.data, name) for clip in read_manifest(path, split="train") if clip.path]
    if failures := cache.fill(clips):
        raise DataError(f"{counted(len(failures), 'clip')} of data.{name} cannot be used; the first: {failures[0][1]}")
    return clips, [cache.load(clip) for clip in clips]


def action_labels(data: DataConfig) -> list[str]:
    """The labels of the ``train`` clips of ``data.actions``, sorted."""
    return sorted({label for path in data.actions for c in read_manifest(path, split="train") for label in c.labels})


def validation_sets(data: DataConfig, targets: Targets = "captions") -> dict[str, list[Clip]]:
    """The ``val`` clips of each validation manifest, by the manifest's folder name."""
    paths = [Path(p) for p in data.val or data.manifests[:1]]
    names = [p.parent.name if p.stem == "manifest" else p.stem for p in paths]
    sets = {
        name: [c for c in read_manifest(path) if c.split == "val" and c.path is not None and getattr(c, targets)]
        for name, path in zip(names, paths, strict=True)
    }
    for name, path in zip(names, paths, strict=True):
        if not sets[name]:
            raise DataError(
                f"there is nothing to validate on: {path} names no val clip with {targets}; give at least two clips "
                "the split val (python -m data folder: put them into a subfolder val), or name another in data.val"
            )
    if len(sets) != len(paths):
        raise DataError(f"two validation manifests go by the same name: {', '.join(names)}")
    return sets
