"""Captioning as a task: language-model warm-up, captions, then self-critical training on CIDEr."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captioner.checkpoint.captioning import Checkpoint, save_checkpoint
from captioner.language.decoder import Memory
from captioner.language.reranker import Trigrams
from captioner.model import CaptionModel
from captioner.training.batch import Example, bucket, collate_captions, collate_clips, draw_examples
from captioner.training.config import Recipe
from captioner.training.corpus import action_labels, detector_clips
from captioner.training.grounding import check_labels, learn_actions, learn_grounding, learn_rendered
from captioner.training.log import TrainingLog
from captioner.training.losses import CiderReward, cross_entropy, self_critical_loss
from captioner.training.runstate import digest
from captioner.training.start import Start, cached_encoder, load_start
from captioner.training.task import Batch, Scores, Stage
from captioner.training.texts import load_caption_data, word_forms
from captioner.training.validation import LEAST_CLIPS, Validator


class CaptionTask:
    """What :class:`captioner.training.task.Task` asks for, for captions."""

    def __init__(self, recipe: Recipe, log: TrainingLog, device: torch.device) -> None:
        self.recipe, self.config, self.device = recipe, recipe.train, device
        begun = load_start(recipe)
        self.video, self.start, self._papers = begun.video, begun.fingerprint, begun.papers
        start = begun.checkpoint if isinstance(begun.checkpoint, Checkpoint) else None
        data = load_caption_data(
            recipe,
            cached_encoder(recipe, begun),
            video=self.video,
            tokenizer=start.tokenizer if start else None,
            log=log,
        )
        self.tokenizer, self.corpus, self.val, self.text = data.tokenizer, data.train, data.val, data.text
        self._is_photo = [len(array) == 1 for array in self.corpus.arrays]
        self.silent = {name for name, corpus in self.val.items() if not corpus.can_be_scored()}
        few = {name for name, corpus in self.val.items() if len(corpus.clips) < LEAST_CLIPS}
        self.unsure = self.silent | few
        """Validation sets whose CIDEr does not choose."""
        for name in self.val:
            if name in self.unsure:
                why = "one clip, or the same captions for all" if name in self.silent else f"under {LEAST_CLIPS} clips"
                log.say(f"validation: CIDEr says too little on {name} ({why}): {self._what_chooses()}")
        model = start.model if start else self._new_model(begun, data.said)
        if start and model.people is not None:
            learn_grounding(model, self.corpus)  # it goes on from what the start has learned
        if model.phrases is not None:
            Trigrams(model.phrases.numpy()).add(data.said, least=1 if start else 2)
        self.model = model.to(device)
        self._cider: CiderReward | None = None
        config = self.config
        self.stages = (
            Stage("text", config.text_epochs if self.text else 0, config.learning_rate, validated=False),
            Stage("captions", config.epochs, config.learning_rate),
            Stage("selfcritical", config.scst_epochs, config.scst_learning_rate),
        )

    def _new_model(self, begun: Start, said: list[str]) -> CaptionModel:
        words, decoder = begun.words, self.recipe.decoder
        forms = word_forms(words.stems, said) if words and decoder.detector else []
        labels = action_labels(self.recipe.data)
        check_labels(labels, self.tokenizer)
        model = CaptionModel(begun.encoder, decoder, vocabulary=len(self.tokenizer), forms=forms, actions=labels)
        if model.evidence is not None:
            model.evidence.learn_words(self.tokenizer)
        if model.people is not None:
            learn_grounding(model, self.corpus)
        if model.rendered is not None:
            _, pictures = detector_clips(self.recipe, model.encoder, name="rendered", video=self.video)
            learn_rendered(model, self.corpus, pictures)
        if model.actions is not None:
            labelled = detector_clips(self.recipe, model.encoder, name="actions", video=self.video)
            learn_actions(model, self.corpus, *labelled)
        if words and model.detector is not None:
            frames = [model.encoder.parts(torch.from_numpy(a).float())[0].mean(dim=1) for a in self.corpus.arrays]
            model.detector.learn(words.layer.weight.detach(), words.layer.bias.detach(), frames)
        return model

    def batches(self, stage: Stage, rng: np.random.Generator) -> Iterator[Batch]:
        size = self.config.batch_size
        if stage.name == "text":
            yield from bucket([Example(-1, tokens) for tokens in self.text], size=size, rng=rng)
        elif stage.name == "captions":
            per_clip = self.config.captions_per_clip
            examples = draw_examples(self.corpus.tokens, repeat=self._visits(), per_clip=per_clip, rng=rng)
            yield from bucket(examples, size=size, rng=rng, is_photo=self._is_photo)
        else:
            clips = [Example(i, ()) for i, times in enumerate(self.corpus.repeat) for _ in range(times)]
            size = max(1, size // self.config.scst_samples)
            yield from bucket(clips, size=size, rng=rng, is_photo=self._is_photo)

    def _visits(self) -> list[int]:
        """How often an epoch visits each clip."""
        per_clip = self.config.captions_per_clip or math.inf
        captions = sum(
            times * min(per_clip, len(known))
            for times, known in zip(self.corpus.repeat, self.corpus.tokens, strict=True)
        )
        least = math.ceil(self.config.epoch_steps * self.config.batch_size / captions)
        return [times * max(1, least) for times in self.corpus.repeat]

    def loss(
        self, stage: Stage, batch: Batch, *, rng: np.random.Generator, step: int
    ) -> tuple[Tensor, dict[str, float]]:
        clips, mask = collate_clips(
            [self.corpus.draw(e.clip, rng, stills=self.recipe.data.stills) if e.clip >= 0 else None for e in batch],
            like=self.corpus.arrays[0],
            frame_dropout=self.config.frame_dropout,
            rng=rng,
        )
        self.model.train(stage.name != "selfcritical")
        memory = self.model.remember(clips.to(self.device), mask.to(self.device))
        if stage.name == "selfcritical":
            loss, reward = self_critical_loss(
                self.model,
                memory,
                clips=[str(e.clip) for e in batch],
                reward=self._reward(),
                tokenizer=self.tokenizer,
                samples=self.config.scst_samples,
                max_length=self.recipe.search.max_length,
                seed=step,
                normalise=self.config.scst_normalise,
            )
            return loss, {"reward": reward}
        return self._caption_loss(memory, [e.tokens for e in batch]), {}

    def weight(self, stage: Stage, batch: Batch) -> float:
        """The number of words, eos included; in self-critical training, the number of clips."""
        return float(len(batch) if stage.name == "selfcritical" else sum(len(e.tokens) + 1 for e in batch))

    def _caption_loss(self, memory: Memory, captions: list[tuple[int, ...]]) -> Tensor:
        inputs, targets = (t.to(self.device) for t in collate_captions(captions))
        logits, _ = self.model.decoder(memory, inputs[:, None])
        return cross_entropy(logits[:, 0], targets, pad=self.tokenizer.pad_id, smoothing=self.config.label_smoothing)

    def _reward(self) -> CiderReward:
        if self._cider is None:
            self._cider = CiderReward(self.corpus.references())
        return self._cider

    def _what_chooses(self) -> str:
        return "the loss chooses the epoch" if self.unsure == set(self.val) else "it does not count in the choice"

    def validate(self) -> Scores:
        """CIDEr of each set where CIDEr can tell captions apart. The loss chooses between epochs of equal CIDEr, and
        where no set is large enough for CIDEr.
        """
        validator = Validator(self.model, self.tokenizer, search=self.recipe.search)
        values = {
            f"cider_{name}": validator.cider(corpus) for name, corpus in self.val.items() if name not in self.silent
        }
        sure = [name for name in self.val if name not in self.unsure]
        loss = round(validator.loss(self.val[name] for name in sure or self.val), 4)  # as the log shows it
        if not sure:
            return Scores(-loss, {"val_loss": loss}, values)
        mean = float(np.mean([values[f"cider_{name}"] for name in sure]))
        return Scores(mean, {"cider": mean, "val_loss": loss}, values, tie_break=-loss)

    def save(self, folder: Path, *, trained_on: dict[str, Any]) -> None:
        learned = {
            "text": [digest(p) for p in self.recipe.data.text],
            "rendered": [digest(p) for p in self.recipe.data.rendered],
            "actions": [digest(p) for p in self.recipe.data.actions],
            "clips": len(self.corpus.clips),
            "captions": sum(map(len, self.corpus.tokens)),
        }
        save_checkpoint(
            folder,
            model=self.model,
            tokenizer=self.tokenizer,
            video=self.video,
            search=self.recipe.search,
            trained_on=trained_on | learned,
            papers=self._papers,
        )
