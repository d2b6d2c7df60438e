"""The recognition of actions as a task: cross-entropy over labels, chosen by accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captioner.actions.checkpoint import ActionCheckpoint, save_recognizer
from captioner.actions.config import HeadConfig
from captioner.actions.network import ActionModel
from captioner.errors import ConfigError, DataError, counted
from captioner.training.batch import collate_clips
from captioner.training.config import Recipe
from captioner.training.corpus import Corpus, load_corpora
from captioner.training.log import TrainingLog
from captioner.training.start import cached_encoder, load_start
from captioner.training.task import Batch, Scores, Stage

_BATCH = 64


class ActionTask:
    """What :class:`captioner.training.task.Task` asks for, for actions.

    ``train.start`` may be a recogniser of the same labels, which is trained on, or a captioner, whose CNN and frame
    recipe are taken over.
    """

    def __init__(self, recipe: Recipe, log: TrainingLog, device: torch.device) -> None:
        self.recipe, self.config, self.device = recipe, recipe.train, device
        begun = load_start(recipe)
        start, self.video, self.start = begun.checkpoint, begun.video, begun.fingerprint
        self._papers = begun.papers
        encoder = cached_encoder(recipe, begun)
        self.corpus, self.val = load_corpora(recipe, encoder, video=self.video, log=log, in_memory=encoder is not None)
        counts = Counter(label for clip in self.corpus.clips for label in clip.labels)
        self.labels = tuple(sorted(counts))
        self._check(counts, log)
        if isinstance(start, ActionCheckpoint):
            if recipe.head not in (HeadConfig(), start.model.head.config):
                raise ConfigError(f"{recipe.train.start} has a head of its own; leave [head] out of the recipe")
            if start.labels != self.labels:
                raise DataError(
                    f"{recipe.train.start} knows {len(start.labels)} labels, and the manifests have others; leave "
                    "train.start out"
                )
            self.model = start.model.to(device)
        else:
            self.model = ActionModel(begun.encoder, recipe.head, classes=len(self.labels)).to(device)
        self.temperature = 1.0
        share = torch.tensor([counts[label] for label in self.labels]).float()
        weights = share.mean() / share  # each class counts the same
        self._weights = weights.to(device) if recipe.task.class_weights else None
        self.stages = (Stage("actions", self.config.epochs, self.config.learning_rate),)

    def _check(self, counts: Counter[str], log: TrainingLog) -> None:
        if len(counts) < 2:
            raise DataError(f"all clips have the one label {next(iter(counts))!r}; recognition takes two or more")
        unknown = {label for corpus in self.val.values() for clip in corpus.clips for label in clip.labels} - set(
            counts
        )
        if unknown:
            raise DataError(
                f"the validation clips have labels without a training clip: {', '.join(sorted(unknown)[:3])}"
            )
        several = next((clip for clip in self.corpus.clips if len(clip.labels) > 1), None)
        if several and not self.recipe.head.multi_label:
            raise DataError(f"{several.id!r} has {len(several.labels)} labels; set head.multi_label = true")
        log.say(
            f"train: {counted(len(self.corpus.clips), 'clip')} of {len(counts)} labels; val: "
            + ", ".join(f"{name} {len(corpus.clips)}" for name, corpus in self.val.items())
        )

    def batches(self, stage: Stage, rng: np.random.Generator) -> Iterator[Batch]:
        """Batches of photos or of clips: in a mixed batch, photos would be padded to the frames of a clip."""
        visits = [i for i, times in enumerate(self.corpus.repeat) for _ in range(times)]
        batches = []
        for photos in (True, False):
            alike = rng.permutation([i for i in visits if (len(self.corpus.arrays[i]) == 1) == photos])
            size = self.config.batch_size
            batches += [alike[start : start + size].tolist() for start in range(0, len(alike), size)]
        yield from (batches[i] for i in rng.permutation(len(batches)))

    def loss(
        self, stage: Stage, batch: Batch, *, rng: np.random.Generator, step: int
    ) -> tuple[Tensor, dict[str, float]]:
        stills = float(rng.random() < self.recipe.data.stills)  # all photos of a batch, or none
        arrays = [self.corpus.draw(clip, rng, stills=stills) for clip in batch]
        clips, mask = collate_clips(arrays, like=arrays[0], frame_dropout=self.config.frame_dropout, rng=rng)
        self.model.train()
        logits, _ = self.model(clips.to(self.device), mask.to(self.device))
        return self._cost(logits, self._targets(self.corpus, batch), smoothing=self.config.label_smoothing), {}

    def weight(self, stage: Stage, batch: Batch) -> float:
        """The number of clips, each weighted by its class where ``task.class_weights`` is set."""
        if self._weights is None or self.model.head.config.multi_label:
            return float(len(batch))
        return float((self._targets(self.corpus, batch) @ self._weights).sum())

    def _targets(self, corpus: Corpus, clips: Batch) -> Tensor:
        """(B, C), 1 for every label of a clip."""
        place = {label: i for i, label in enumerate(self.labels)}
        targets = torch.zeros(len(clips), len(self.labels))
        for row, clip in enumerate(clips):
            targets[row, [place[label] for label in corpus.clips[clip].labels]] = 1
        return targets.to(self.device)

    def _cost(self, logits: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        if self.model.head.config.multi_label:
            return nn.functional.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=self._weights)
        return nn.functional.cross_entropy(
            logits.float(), targets.argmax(dim=1), weight=self._weights, label_smoothing=smoothing
        )

    def validate(self) -> Scores:
        """Accuracy of each set (with several labels a clip: of its likeliest), and the temperature that fits best."""
        values, logits, targets = {}, [], []
        for name, corpus in self.val.items():
            found, wanted = self._logits(corpus), self._targets(corpus, list(range(len(corpus.clips))))
            values[f"accuracy_{name}"] = wanted.gather(1, found.argmax(dim=1, keepdim=True)).mean().item()
            logits.append(found)
            targets.append(wanted)
        self.temperature = self._fit_temperature(torch.cat(logits), torch.cat(targets))
        loss = self._cost(torch.cat(logits), torch.cat(targets)).item()
        mean = float(np.mean(list(values.values())))
        return Scores(mean - 1e-3 * loss, {"accuracy": mean, "val_loss": loss}, values)  # of equals the surer

    def _logits(self, corpus: Corpus) -> Tensor:
        found = []
        for start in range(0, len(corpus.clips), _BATCH):
            arrays = corpus.arrays[start : start + _BATCH]
            clips, mask = collate_clips(arrays, like=arrays[0])
            with torch.inference_mode():
                found.append(self.model(clips.to(self.device), mask.to(self.device))[0].float())
        return torch.cat(found)

    def _fit_temperature(self, logits: Tensor, targets: Tensor) -> float:
        """The temperature with the lowest cross-entropy, among 200 from 0.1 to 10."""
        candidates = torch.logspace(-1, 1, 200).tolist()
        return min(candidates, key=lambda t: self._cost(logits / t, targets).item())

    def save(self, folder: Path, *, trained_on: dict[str, Any]) -> None:
        save_recognizer(
            folder,
            model=self.model,
            labels=self.labels,
            video=self.video,
            temperature=self.temperature,
            trained_on=trained_on | {"clips": len(self.corpus.clips)},
            papers=self._papers,
        )
