"""Fine-tunes the last stages of the CNN to detect caption words and actions in single frames.

The task is multi-label detection of caption words (Fang et al. 2015; Gan et al. 2017) and of labelled actions on the
pooled map. A distillation loss holds the CNN's ImageNet classifier in place (learning without forgetting; Li & Hoiem
2016), so that it still detects nouns. Each visit crops, mirrors and relights a frame at random.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captioner.checkpoint.cnn import Tuned, head, save_tuned
from captioner.errors import ConfigError, DataError, counted
from captioner.manifest import Clip
from captioner.metrics.content import content_words
from captioner.training.augment import augment
from captioner.training.config import Recipe
from captioner.training.corpus import Corpus, load_corpora
from captioner.training.log import TrainingLog
from captioner.training.start import load_start
from captioner.training.task import Batch, Scores, Stage
from captioner.vision.backbones import classifier_weights
from captioner.vision.lite import EfficientNetLite
from captioner.vision.tail import Tail, trunk_encoder

_BATCH = 64
_LEAST_CLIPS = 12
"""A word that fewer training clips have is not learned."""
_CERTAIN = 0.5
"""A word that this share of a clip's captions has, or more, is there; below it the target is in proportion."""


class TunedCNN(nn.Module):
    """The tail that is tuned, and what it is asked: words and actions, of the mean of its map."""

    def __init__(self, cnn: EfficientNetLite, *, words: int, actions: int, width: int) -> None:
        super().__init__()
        self.encoder = Tail(cnn)
        self.words, self.actions = head(width, words), head(width, actions)
        for linear in (self.words, self.actions):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the trunk (N, P, C) to the pooled features (N, D) in float32."""
        features: Tensor = self.encoder(maps).float().mean(dim=(2, 3))
        return features


class WordsTask:
    """What :class:`captioner.training.task.Task` asks for, for the words of a CNN."""

    def __init__(self, recipe: Recipe, log: TrainingLog, device: torch.device) -> None:
        self.recipe, self.config, self.device = recipe, recipe.train, device
        begun = load_start(recipe)
        self.video, self.start, self._full = begun.video, begun.fingerprint, begun.encoder
        if not isinstance(begun.encoder.cnn, EfficientNetLite):
            raise ConfigError(
                f"encoder.source is {recipe.encoder.source!r}; task.kind = 'words' fine-tunes a packaged CNN "
                "(efficientnet-lite2)"
            )
        if not recipe.train.train_encoder:
            raise ConfigError("task.kind = 'words' fine-tunes the CNN: set train.train_encoder = true")
        on_gpu = device.type != "cpu"  # there a step is so short that reading the frames would be most of it
        self.corpus, self.val = load_corpora(recipe, None, video=self.video, log=log, in_memory=on_gpu)
        self.words, self.actions = common_words(self.corpus.clips), _actions(self.corpus.clips)
        if not self.words and not self.actions:
            raise DataError(f"no word is in the captions of {_LEAST_CLIPS} clips or more, and there are no labels")
        log.say(
            f"train: {counted(len(self.corpus.clips), 'clip')}; {counted(len(self.words), 'word')}, "
            f"{counted(len(self.actions), 'action')}; val: "
            + ", ".join(f"{name} {len(corpus.clips)}" for name, corpus in self.val.items())
        )
        weight, bias = classifier_weights(begun.encoder.config.source)
        self._classifier = weight.to(device), bias.to(device)
        width = begun.encoder.width
        self.model = TunedCNN(begun.encoder.cnn, words=len(self.words), actions=len(self.actions), width=width).to(
            device
        )
        self._trunk = trunk_encoder(begun.encoder, size=self.video.size).to(device).fast()
        self._untuned = copy.deepcopy(self.model.encoder).requires_grad_(False)
        self._dropout = nn.Dropout(0.3)
        self._wanted = {id(corpus): self._targets(corpus.clips) for corpus in (self.corpus, *self.val.values())}
        self.stages = (Stage("words", self.config.epochs, self.config.learning_rate),)

    def _targets(self, clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
        """Words (clips, W) as probabilities, NaN for a clip without captions; actions (clips,), -1 without a label."""
        words = torch.full((len(clips), max(1, len(self.words))), torch.nan)
        actions = torch.full((len(clips),), -1)
        columns = {word: i for i, word in enumerate(self.words)}
        for row, clip in enumerate(clips):
            if clip.captions and self.words:
                words[row] = 0
                for word, share in word_shares(clip).items():
                    if word in columns:
                        words[row, columns[word]] = min(1.0, share / _CERTAIN)
            if clip.labels and clip.labels[0] in self.actions:
                actions[row] = self.actions.index(clip.labels[0])
        return words.to(self.device), actions.to(self.device)

    def batches(self, stage: Stage, rng: np.random.Generator) -> Iterator[Batch]:
        visits = rng.permutation([i for i, times in enumerate(self.corpus.repeat) for _ in range(times)])
        for start in range(0, len(visits), self.config.batch_size):
            yield visits[start : start + self.config.batch_size].tolist()

    def loss(
        self, stage: Stage, batch: Batch, *, rng: np.random.Generator, step: int
    ) -> tuple[Tensor, dict[str, float]]:
        """One frame of each clip of the batch, augmented; with ``mixup`` each mixed with that of another."""
        arrays = [self.corpus.draw(clip, rng) for clip in batch]
        frames = torch.from_numpy(np.stack([array[rng.integers(len(array))] for array in arrays])).to(self.device)
        frames = augment(frames, rng, least=self.recipe.task.window)
        mixup, partners = self.recipe.task.mixup, rng.permutation(len(batch))
        share = float(rng.beta(mixup, mixup)) if mixup else 1.0
        if share < 1:
            frames = torch.lerp(frames[partners].float(), frames.float(), share).round().to(torch.uint8)
        maps = self._trunk(frames)
        features = self.model(maps)
        with torch.no_grad():
            before = self._nouns(self._untuned(maps).float().mean(dim=(2, 3))).exp()
        forgotten = nn.functional.kl_div(self._nouns(features), before, reduction="batchmean")
        kept = self._dropout(features)
        words, actions = self._costs(kept, self.corpus, batch)
        if share < 1:
            others = self._costs(kept, self.corpus, [batch[i] for i in partners])
            words, actions = torch.lerp(others[0], words, share), torch.lerp(others[1], actions, share)
        loss = words / 10 + actions / 2 + self.recipe.task.hold * forgotten
        return loss, {"words": words.item(), "forgotten": forgotten.item()}

    def weight(self, stage: Stage, batch: Batch) -> float:
        return float(len(batch))

    def _nouns(self, features: Tensor) -> Tensor:
        return nn.functional.linear(features, *self._classifier).log_softmax(dim=1)

    def _costs(self, features: Tensor, corpus: Corpus, clips: Batch) -> tuple[Tensor, Tensor]:
        """Of words, in nats a clip, and of actions; zero where none of the clips has any."""
        words, actions = (wanted[clips] for wanted in self._wanted[id(corpus)])
        told, labelled = ~words[:, 0].isnan(), actions >= 0
        nothing = features.sum() * 0
        spoken = nn.functional.binary_cross_entropy_with_logits(
            self.model.words(features[told]).float(), words[told], reduction="none"
        )
        acted = nn.functional.cross_entropy(
            self.model.actions(features[labelled]).float(), actions[labelled], label_smoothing=0.1
        )
        return (
            spoken.sum(dim=1).mean() if told.any() else nothing,
            acted if labelled.any() else nothing,
        )

    def validate(self) -> Scores:
        """Mean average precision of words and accuracy of actions, over the middle frame of each clip; and how often
        the classifier's first noun is what it was.
        """
        values: dict[str, float] = {}
        for name, corpus in self.val.items():
            features, before = self._features(corpus)
            words, actions = self._wanted[id(corpus)]
            told, labelled = ~words[:, 0].isnan(), actions >= 0
            if told.any():
                values[f"words_{name}"] = _mean_precision(self.model.words(features[told]), words[told] >= 0.8)
            if labelled.any():
                right = self.model.actions(features[labelled]).argmax(dim=1) == actions[labelled]
                values[f"actions_{name}"] = right.float().mean().item()
            same = self._nouns(features).argmax(dim=1) == self._nouns(before).argmax(dim=1)
            values[f"nouns_{name}"] = same.float().mean().item()
        for_words = [value for name, value in values.items() if name.startswith("words_")]
        for_actions = [value for name, value in values.items() if name.startswith("actions_")]
        choice = float(np.mean(for_words or for_actions))  # actions only help the words
        return Scores(choice, {"words" if for_words else "actions": choice}, values)

    @torch.inference_mode()
    def _features(self, corpus: Corpus) -> tuple[Tensor, Tensor]:
        """Of the middle frame of each clip, tuned and untuned (clips, D)."""
        pairs = []
        for start in range(0, len(corpus.arrays), _BATCH):
            frames = np.stack([array[len(array) // 2] for array in corpus.arrays[start : start + _BATCH]])
            maps = self._trunk(torch.from_numpy(frames).to(self.device))
            pairs.append((self.model(maps), self._untuned(maps).float().mean(dim=(2, 3))))
        tuned, untuned = zip(*pairs, strict=True)
        return torch.cat(tuned), torch.cat(untuned)

    def save(self, folder: Path, *, trained_on: dict[str, Any]) -> None:
        model = copy.deepcopy(Tuned(self._full, self.model.words, self.model.actions)).cpu()
        save_tuned(folder, model, words=self.words, labels=self.actions, video=self.video, trained_on=trained_on)


def word_shares(clip: Clip) -> dict[str, float]:
    """Each content word's stem and the share of the clip's captions that has it."""
    counts = Counter(word for caption in clip.captions for word in content_words(caption) if word.isalpha())
    return {word: count / len(clip.captions) for word, count in counts.items()}


def common_words(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Stems that enough clips have, each in several of its captions."""
    counts = Counter(word for clip in clips for word, share in word_shares(clip).items() if share >= 0.15)
    return tuple(sorted(word for word, count in counts.items() if count >= _LEAST_CLIPS))


def _actions(clips: Sequence[Clip]) -> tuple[str, ...]:
    return tuple(sorted({clip.labels[0] for clip in clips if clip.labels}))


def _mean_precision(logits: Tensor, wanted: Tensor) -> float:
    """Mean over words of the average precision, of words that five clips or more have."""
    ranked = wanted.gather(0, logits.argsort(dim=0, descending=True)).float()
    precision = ranked.cumsum(dim=0) / torch.arange(1, len(ranked) + 1, device=ranked.device)[:, None]
    found = ranked.sum(dim=0)
    average = (precision * ranked).sum(dim=0) / found.clamp(min=1)
    return average[found >= 5].mean().item() if (found >= 5).any() else 0.0
