"""What is learned from, in memory: clips, their captions as tokens, their features or pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioner.checkpoint import Checkpoint, load_checkpoint
from captioner.errors import DataError, VideoError
from captioner.language.config import TokenizerConfig
from captioner.language.tokenizer import CaptionTokenizer, normalise
from captioner.manifest import Clip, read_manifest
from captioner.metrics.cider import CiderScorer
from captioner.training.config import DataConfig, Recipe, TrainConfig
from captioner.training.features import FeatureCache
from captioner.training.log import TrainingLog
from captioner.video.config import VideoConfig
from captioner.vision.encoder import FrameEncoder


@dataclass(frozen=True)
class Corpus:
    """Parallel lists, one entry a clip."""

    clips: list[Clip]
    tokens: list[list[tuple[int, ...]]]
    arrays: list[np.ndarray]
    repeat: list[int]
    views: list[list[np.ndarray]]
    """Other views of each clip (captioner.views), for training only."""

    def draw(self, clip: int, rng: np.random.Generator, *, stills: float = 0.0) -> np.ndarray:
        """One view of a clip, each as likely; of a photo, in a share ``stills`` of the draws, three views as a clip."""
        own, others = self.arrays[clip], self.views[clip]
        if stills and len(own) == 1 and rng.random() < stills:
            return np.repeat(np.concatenate([own, others[1], others[3]]), [6, 5, 5], axis=0)  # none of them mirrored
        view = int(rng.integers(1 + len(others)))
        return others[view - 1] if view else own

    def can_be_scored(self) -> bool:
        """Whether CIDEr can tell a right caption from a wrong one here: words that every clip has count nothing."""
        references = self.references()
        own = [captions[0] for captions in references.values()]
        return bool(CiderScorer(references).score(list(references), own).max() > 0)

    def references(self) -> dict[str, list[str]]:
        """Normalised captions by index (as a string), for CIDEr."""
        return {str(i): [normalise(c) for c in clip.captions] for i, clip in enumerate(self.clips)}


@dataclass(frozen=True)
class TrainingData:
    """All that a training run reads."""

    tokenizer: CaptionTokenizer
    train: Corpus
    val: dict[str, Corpus]
    text: list[tuple[int, ...]]
    """Captions without clips."""


def load_training_data(
    recipe: Recipe,
    encoder: FrameEncoder,
    *,
    video: VideoConfig,
    tokenizer: CaptionTokenizer | None = None,
    log: TrainingLog,
) -> TrainingData:
    """Read the recipe's manifests, make the tokenizer (unless given) and whatever features are missing.

    With ``train.train_encoder`` the arrays are pixels, read from disk as they are needed. Clips that cannot be
    decoded and captions that are too long are left out and reported; raises DataError when nothing is left.
    """
    clips, repeat = training_clips(recipe.data)
    val = validation_sets(recipe.data)
    text = text_captions(recipe.data)
    if tokenizer is None:
        tokenizer = _tokenizer(recipe.tokenizer, [normalise(c) for clip in clips for c in clip.captions] + text)
    end_to_end = recipe.train.train_encoder
    cache = FeatureCache(recipe.data.cache, video=video, encoder=None if end_to_end else encoder)
    seen = [clip for group in val.values() for clip in group]
    count = log.counter("features", len(clips) + len(seen))
    failures = cache.fill(clips, views=recipe.data.views, on_clip=count) + cache.fill(seen, on_clip=count)
    for clip, error in failures:
        log.say(f"left out: {clip.path}: {error} [{error.code}]")
    longest = recipe.search.max_length - 1

    def corpus(clips: Sequence[Clip], repeat: Sequence[int] | None = None, views: int = 1) -> Corpus:
        return build_corpus(
            clips,
            cache=cache,
            tokenizer=tokenizer,
            failures=failures,
            longest=longest,
            repeat=repeat,
            views=views,
            in_memory=not end_to_end,
        )

    coded = (tuple(tokenizer.encode(c)) for c in text)
    data = TrainingData(
        tokenizer=tokenizer,
        train=corpus(clips, repeat, recipe.data.views),
        val={name: corpus(group) for name, group in val.items()},
        text=[c for c in coded if 0 < len(c) <= longest],
    )
    _report(data, log, longest=longest)
    _warn_of_unknown(data, log)
    return data


def load_start(config: TrainConfig) -> Checkpoint | None:
    """The checkpoint that a recipe goes on from, None where it names none; raises CheckpointError."""
    return load_checkpoint(config.start) if config.start else None


def _tokenizer(config: TokenizerConfig, captions: list[str]) -> CaptionTokenizer:
    if config.source:
        return CaptionTokenizer.from_pretrained(config.source, captions)
    return CaptionTokenizer.train(captions, vocab_size=config.vocab_size)


def _report(data: TrainingData, log: TrainingLog, *, longest: int) -> None:
    count = sum(map(len, data.train.tokens))
    captions = [caption for clip in data.train.clips for caption in clip.captions]
    wordless = sum(not normalise(caption) for caption in captions)
    if wordless == len(captions):
        raise DataError(f"none of the {len(captions)} captions has a word in it (the first: {captions[0]!r})")
    if wordless:
        log.say(f"left out: {wordless} captions without a word")
    if dropped := len(captions) - wordless - count:
        log.say(f"left out: {dropped} captions of more than {longest} tokens (search.max_length)")
    if not count:
        raise DataError(f"no caption has at most {longest} tokens; raise search.max_length")
    log.say(
        f"train: {len(data.train.clips)} clips, {count} captions; text: {len(data.text)}; val: "
        + ", ".join(f"{name} {len(c.clips)}" for name, c in data.val.items())
        + f"; vocabulary: {len(data.tokenizer)} pieces"
    )


def _warn_of_unknown(data: TrainingData, log: TrainingLog) -> None:
    """Say how much of the captions the tokenizer has no piece for: it may have been made for another language."""
    pieces = [piece for known in data.train.tokens for tokens in known for piece in tokens]
    share = pieces.count(data.tokenizer.unk_id) / len(pieces)
    if share > 0.01:
        log.say(
            f"warning: the tokenizer lacks {100 * share:.0f} % of the pieces of the captions, which can never be said; "
            "for another language or script train without train.start, so that a tokenizer is made of these captions"
        )


def training_clips(data: DataConfig) -> tuple[list[Clip], list[int]]:
    """The ``train`` clips of all manifests, and how often an epoch visits each."""
    clips: list[Clip] = []
    repeat: list[int] = []
    for i, path in enumerate(data.manifests):
        found = [clip for clip in read_manifest(path, split="train") if clip.path is not None and clip.captions]
        clips += found
        repeat += [data.repeat[i] if data.repeat else 1] * len(found)
    if not clips:
        raise DataError("there is nothing to train on: data.manifests names no train clip with captions")
    return clips, repeat


def validation_sets(data: DataConfig) -> dict[str, list[Clip]]:
    """The ``val`` clips of each validation manifest, by the manifest's folder name."""
    paths = [Path(p) for p in data.val or data.manifests[:1]]
    names = [p.parent.name if p.stem == "manifest" else p.stem for p in paths]
    sets = {
        name: [clip for clip in read_manifest(path) if clip.split == "val" and clip.path is not None and clip.captions]
        for name, path in zip(names, paths, strict=True)
    }
    for name, path in zip(names, paths, strict=True):
        if not sets[name]:
            raise DataError(
                f"there is nothing to validate on: {path} names no val clip with captions; give at least two clips the "
                "split val (python -m data folder: put them into a subfolder val), or name another manifest in data.val"
            )
    if len(sets) != len(paths):
        raise DataError(f"two validation manifests go by the same name: {', '.join(names)}")
    return sets


def text_captions(data: DataConfig) -> list[str]:
    """The ``train`` captions of all text manifests, normalised."""
    return [normalise(c) for path in data.text for clip in read_manifest(path, split="train") for c in clip.captions]


def build_corpus(
    clips: Sequence[Clip],
    *,
    cache: FeatureCache,
    tokenizer: CaptionTokenizer,
    failures: Sequence[tuple[Clip, VideoError]],
    longest: int,
    repeat: Sequence[int] | None = None,
    views: int = 1,
    in_memory: bool = True,
) -> Corpus:
    """What the cache holds of ``clips``, less those that failed and captions of more than ``longest`` tokens."""
    failed = {id(clip) for clip, _ in failures}
    kept = [i for i, clip in enumerate(clips) if id(clip) not in failed]
    if not kept:
        raise DataError(f"none of the {len(clips)} clips can be used; the first: {failures[0][1]}")
    tokens = []
    for i in kept:
        coded = [tuple(tokenizer.encode(normalise(c))) for c in clips[i].captions]
        tokens.append([c for c in coded if 0 < len(c) <= longest])
    return Corpus(
        clips=[clips[i] for i in kept],
        tokens=tokens,
        arrays=[cache.load(clips[i], in_memory=in_memory) for i in kept],
        repeat=[repeat[i] if repeat else 1 for i in kept],
        views=[[cache.load(clips[i], view, in_memory=in_memory) for view in range(1, views)] for i in kept],
    )
