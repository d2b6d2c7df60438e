"""What a training changed: the captions of validation clips before it and after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from captioner.caption.captioner import Captioner
from captioner.caption.clips import EncodedClip
from captioner.errors import DataError, VideoError
from captioner.io.status import Status
from captioner.language.tokenizer import normalise
from captioner.manifest import Clip
from captioner.metrics.characters import tokenizer_for
from captioner.metrics.cider import CiderScorer
from captioner.safe.text import visible
from captioner.training.config import Recipe
from captioner.training.corpus import validation_sets
from captioner.training.features import FeatureCache
from captioner.video.frames import Frames, sample_frames

MOST_CLIPS = 100
"""The first of the first validation set."""
SHOWN = 3


@dataclass(frozen=True)
class Change:
    """The captions of a clip before and after the training."""

    clip: Clip
    before: str
    after: str


def compare(recipe: Recipe, checkpoint: Path, *, status: Status) -> list[Change]:
    """The captions by the checkpoint that the recipe starts from, and by the trained ``checkpoint``."""
    before, after = Captioner.load(recipe.train.start), Captioner.load(checkpoint)
    clips = next(iter(validation_sets(recipe.data).values()))[:MOST_CLIPS]
    frozen = not recipe.train.train_encoder
    cache = FeatureCache(recipe.data.cache, video=before.video, encoder=before.checkpoint.model.encoder)

    def say(captioner: Captioner, clip: Clip, frames: Frames) -> str:
        features = cache.load(clip).astype("float32") if frozen else captioner.encode(frames)
        return captioner.caption_encoded([EncodedClip(frames, features)])[0].text

    changes = []
    for number, clip in enumerate(clips):
        status.show(f"captions before and after: {number}/{len(clips)}", share=number / len(clips))
        assert clip.path is not None
        with suppress(VideoError, DataError):  # left out of the training too
            frames = sample_frames(
                clip.path, before.video, start_seconds=clip.start_seconds, end_seconds=clip.end_seconds
            )
            changes.append(Change(clip, say(before, clip, frames), say(after, clip, frames)))
    return changes


def told(changes: Sequence[Change]) -> Iterator[str]:
    """Lines that say how many captions changed and how CIDEr changed, then some examples."""
    if not changes:
        return
    changed = [change for change in changes if change.before != change.after]
    references = {str(i): [normalise(c) for c in change.clip.captions] for i, change in enumerate(changes)}

    said = [caption for group in references.values() for caption in group]
    scorer = CiderScorer(references, tokenize=tokenizer_for(said).tokenize)

    def cider(captions: Sequence[str]) -> float:
        scores = scorer.score(list(references), [normalise(caption) for caption in captions])
        return 100 * float(scores.mean())

    text = f"{len(changed)} of {len(changes)} val captions changed"
    if len(changes) > 1:
        text += f"; CIDEr {cider([c.before for c in changes]):.0f} -> {cider([c.after for c in changes]):.0f}"
    yield text
    for change in (changed or changes)[:SHOWN]:
        yield visible(f"  {change.clip.path}: {change.before} -> {change.after}")
