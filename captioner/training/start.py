"""What a training begins with: a checkpoint, or a CNN and a frame recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from captioner.actions.checkpoint import ActionCheckpoint, load_recognizer
from captioner.checkpoint.captioning import Checkpoint, checkpoint_folder, load_checkpoint
from captioner.checkpoint.cnn import WordHead, load_tuned
from captioner.checkpoint.files import is_for
from captioner.checkpoint.hub import find_papers
from captioner.errors import ConfigError
from captioner.training.config import Recipe
from captioner.video.config import VideoConfig
from captioner.vision.backbones import PACKAGED
from captioner.vision.encoder import FrameEncoder


@dataclass(frozen=True)
class Start:
    """Where a run begins."""

    checkpoint: Checkpoint | ActionCheckpoint | None
    """What ``train.start`` names; a recogniser of actions only for the same task."""
    encoder: FrameEncoder
    video: VideoConfig
    papers: dict[str, bytes]
    """Notices and licences that go with what the run makes."""
    words: WordHead | None = None
    """What detects words, where the CNN was tuned on them."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the checkpoint; empty without one."""
        return self.checkpoint.fingerprint if self.checkpoint else ""


def cached_encoder(recipe: Recipe, begun: Start) -> FrameEncoder | None:
    """What makes the features that the training reads from the cache; None where it reads pixels.

    Its weights stay, so what is found of them now holds in every checkpoint of the run.
    """
    if recipe.train.train_encoder:
        return None
    begun.encoder.find_exact(begun.video.size)
    return begun.encoder


def load_start(recipe: Recipe) -> Start:
    """Load what a recipe begins with. Raises CheckpointError and ConfigError."""
    source = recipe.train.start
    if not source:
        tuned = Path(recipe.encoder.source)
        own = is_for(tuned, "words")
        encoder, words = load_tuned(tuned, recipe.encoder) if own else (FrameEncoder.load(recipe.encoder), None)
        if recipe.decoder.evidence not in ("", encoder.config.source):
            raise ConfigError(
                f"decoder.evidence is {recipe.decoder.evidence!r}; it must be the CNN that the features are of "
                f"({encoder.config.source!r}), since the classifier reads them"
            )
        if recipe.decoder.detector and not (words and words.stems):
            raise ConfigError(
                f"decoder.detector is {recipe.decoder.detector}; encoder.source ({recipe.encoder.source!r}) must be a "
                "CNN that a recipe with task.kind = 'words' fine-tuned"
            )
        if recipe.decoder.detector and recipe.train.train_encoder:
            raise ConfigError("decoder.detector reads features that train.train_encoder would change; leave one out")
        return Start(None, _for_task(recipe, encoder), recipe.video, find_papers(tuned) if own else {}, words)
    own = recipe.task.kind == "actions" and is_for(checkpoint_folder(source), "actions")
    checkpoint = load_recognizer(source) if own else load_checkpoint(source)
    return Start(checkpoint, _for_task(recipe, checkpoint.model.encoder), checkpoint.video, checkpoint.papers)


def _for_task(recipe: Recipe, encoder: FrameEncoder) -> FrameEncoder:
    """The encoder without the original CNN, unless the task reads nouns from it."""
    if not encoder.config.untuned:
        return encoder
    if encoder.config.source not in PACKAGED:
        raise ConfigError(
            f"encoder.source is {encoder.config.source!r}; encoder.untuned needs a CNN that comes as a package: "
            + ", ".join(PACKAGED)
        )
    captions = recipe.task.kind in ("captions", "retrieval")
    return encoder if captions else encoder.read_as(replace(encoder.config, untuned=False))
