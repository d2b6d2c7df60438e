"""Training, from a recipe to a checkpoint folder: language-model warm-up, captions, self-critical.

Every step's randomness comes from the seed and the step's number alone, and the state is saved as the run goes:
a killed run that is started again continues bit for bit (on CPU, with the same number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captioner.checkpoint import save_checkpoint
from captioner.collate import collate_captions, collate_clips
from captioner.config import to_dict
from captioner.errors import ConfigError
from captioner.lock import FolderLock, remove_leftovers
from captioner.model import CaptionModel
from captioner.training.batch import POOL, Example, bucket, draw_examples, mix_text
from captioner.training.config import Recipe
from captioner.training.corpus import load_start, load_training_data
from captioner.training.log import TrainingLog
from captioner.training.losses import CiderReward, cross_entropy, scheduled_inputs, self_critical_loss
from captioner.training.optimizer import build_optimizer, rate_factor, set_rate
from captioner.training.runstate import Average, Position, digest, first_difference, load_state, plain, save_state
from captioner.training.validation import Validator
from captioner.vision.encoder import FrameEncoder

_SAVE_SECONDS = 120.0


@dataclass(frozen=True)
class Stage:
    """A stretch of epochs with one objective and one learning-rate schedule."""

    name: str
    epochs: int
    learning_rate: float


def fit(recipe: Recipe, out: str | Path, *, quiet: bool = False) -> Path:
    """Train ``recipe`` into the folder ``out`` (or go on where it stopped); returns ``out/checkpoint``.

    ``out`` receives ``checkpoint/`` (the best on validation CIDEr so far), ``state.pt`` (to resume from) and
    ``metrics.jsonl``. Raises ConfigError when ``out`` belongs to a run of another recipe, CaptionerError when another
    run is writing to it.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    torch.manual_seed(recipe.train.seed)
    with FolderLock(out):
        remove_leftovers(out)
        return Trainer(recipe, out, quiet=quiet).run()


class Trainer:
    """What all stages share: the corpus, the model and its average, the position, the log."""

    def __init__(self, recipe: Recipe, out: Path, *, quiet: bool) -> None:
        self.recipe, self.config, self.out = recipe, recipe.train, out
        state = load_state(out / "state.pt") if (out / "state.pt").exists() else None
        if state and state["recipe"] != plain(recipe):
            raise ConfigError(
                f"{out} holds a run of another recipe ({first_difference(state['recipe'], plain(recipe))}); choose "
                f"another --out, and to go on from what was learned there --set train.start={out / 'checkpoint'}"
            )
        self.position = Position(**state["position"]) if state else Position()
        self.log = TrainingLog(out, step=self.position.step, quiet=quiet)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        start = load_start(recipe.train)
        encoder = start.model.encoder if start else FrameEncoder.load(recipe.encoder)
        self.video, self.start = (start.video if start else recipe.video), (start.fingerprint if start else "")
        data = load_training_data(
            recipe, encoder, video=self.video, tokenizer=start.tokenizer if start else None, log=self.log
        )
        self.tokenizer, self.corpus, self.val, self.text = data.tokenizer, data.train, data.val, data.text
        self.silent = {name for name, corpus in self.val.items() if not corpus.can_be_scored()}
        if self.silent:
            self.log.say(
                f"validation: CIDEr cannot tell captions apart on {', '.join(sorted(self.silent))} (one clip, or the "
                "same captions for all): "
                + ("the checkpoint is chosen by the loss" if self.silent == set(self.val) else "left out of the choice")
            )
        model = start.model if start else CaptionModel(encoder, recipe.decoder, vocabulary=len(self.tokenizer))
        if model.evidence is not None and not start:
            model.evidence.learn_words(self.tokenizer)
        self.model = model.to(self.device)
        self.average = Average(self.model, self.config.ema)
        self.optimizer = build_optimizer(self.model, self.config, self.config.learning_rate)
        self._restored = state["optimizer"] if state else None
        if state:
            self.model.load_state_dict(state["model"])
            self.average.weights = {name: t.to(self.device) for name, t in state["average"].items()}
            self.average.count = state["averaged"]
            self.log.say(f"resuming {out} at step {self.position.step}")

    def run(self) -> Path:
        config = self.config
        stages = [
            Stage("text", config.text_epochs if self.text else 0, config.learning_rate),
            Stage("captions", config.epochs, config.learning_rate),
            Stage("selfcritical", config.scst_epochs, config.scst_learning_rate),
        ]
        for number in range(self.position.stage, len(stages)):
            if number > self.position.stage:
                self._next_stage(number, stages[number])
            if stages[number].epochs:
                self._run_stage(stages[number])
        if self.position.best_epoch == "":  # nothing was validated: keep what there is
            self._save_checkpoint({})
        return self.out / "checkpoint"

    def _next_stage(self, number: int, stage: Stage) -> None:
        """A fresh optimiser, from the averaged weights: the last, or after an early stop the best."""
        stopped_early = self.config.patience and self.position.stale >= self.config.patience
        if stopped_early:
            self.model.load_state_dict(torch.load(self.out / "best.pt", map_location="cpu", weights_only=True))
        elif self.config.ema:
            self.model.load_state_dict(self.average.weights)
        self.position.stage, self.position.epoch, self.position.batch, self.position.stale = number, 0, 0, 0
        self.average = Average(self.model, self.config.ema)
        self.optimizer = build_optimizer(self.model, self.config, stage.learning_rate)

    def _run_stage(self, stage: Stage) -> None:
        if self._restored is not None:
            self.optimizer = build_optimizer(self.model, self.config, stage.learning_rate)
            self.optimizer.load_state_dict(self._restored)
            self._restored = None
        for epoch in range(self.position.epoch, stage.epochs):
            self.position.epoch = epoch
            started = time.monotonic()
            loss = self._run_epoch(stage, epoch)
            seconds = time.monotonic() - started
            self.position.epoch, self.position.batch, self.position.loss = epoch + 1, 0, 0.0
            stop = stage.name != "text" and self._validate(stage, epoch, loss, seconds)
            self._save_state()
            if stop:
                self.log.say(f"{stage.name}: no better for {self.config.patience} epochs; stopping early")
                break

    def _run_epoch(self, stage: Stage, epoch: int) -> float:
        rng = np.random.default_rng([self.config.seed, self.position.stage, epoch])
        batches = list(self._batches(stage, rng))
        total = stage.epochs * len(batches)
        saved = time.monotonic()
        for number, examples in enumerate(batches):
            if number < self.position.batch:
                continue
            progress = (epoch * len(batches) + number) / total
            set_rate(self.optimizer, rate_factor(progress, total, self.config.warmup_steps))
            torch.manual_seed(self.config.seed * 1_000_003 + self.position.step)
            batch_rng = np.random.default_rng([self.config.seed, self.position.stage, epoch, number])
            loss, extra = self._step(stage, examples, progress, batch_rng)
            self.position.batch, self.position.step = number + 1, self.position.step + 1
            self.position.loss += loss
            rate = self.optimizer.param_groups[0]["lr"]
            self.log.record(
                step=self.position.step, stage=stage.name, values={"loss": loss, "learning_rate": rate} | extra
            )
            self.log.show(
                f"{stage.name} epoch {epoch + 1}/{stage.epochs}  batch {number + 1}/{len(batches)}  "
                f"loss {self.position.loss / self.position.batch:.3f}"
            )
            if time.monotonic() - saved > _SAVE_SECONDS:
                self._save_state()
                saved = time.monotonic()
        return self.position.loss / len(batches)

    def _batches(self, stage: Stage, rng: np.random.Generator) -> Iterator[list[Example]]:
        size, pool = self.config.batch_size, POOL if self.config.length_buckets else 1
        if stage.name == "text":
            yield from bucket([Example(-1, tokens) for tokens in self.text], size=size, rng=rng, pool=pool)
        elif stage.name == "captions":
            examples = draw_examples(
                self.corpus.tokens, repeat=self.corpus.repeat, per_clip=self.config.captions_per_clip, rng=rng
            )
            batches = bucket(examples, size=size, rng=rng, pool=pool)
            yield from mix_text(batches, self.text, share=self.config.text_share, rng=rng)
        else:
            clips = [Example(i, ()) for i, times in enumerate(self.corpus.repeat) for _ in range(times)]
            yield from bucket(clips, size=max(1, size // self.config.scst_samples), rng=rng)

    def _step(
        self, stage: Stage, examples: list[Example], progress: float, rng: np.random.Generator
    ) -> tuple[float, dict[str, float]]:
        clips, mask = collate_clips(
            [self.corpus.draw(e.clip, rng, stills=self.recipe.data.stills) if e.clip >= 0 else None for e in examples],
            like=self.corpus.arrays[0],
            frame_dropout=self.config.frame_dropout,
            rng=rng,
        )
        extra: dict[str, float] = {}
        self.model.train(stage.name != "selfcritical")
        with self._autocast():
            memory = self.model.remember(clips.to(self.device), mask.to(self.device))
            if stage.name == "selfcritical":
                loss, extra["reward"] = self_critical_loss(
                    self.model,
                    memory,
                    clips=[str(e.clip) for e in examples],
                    reward=self._reward(),
                    tokenizer=self.tokenizer,
                    samples=self.config.scst_samples,
                    max_length=self.recipe.search.max_length,
                    seed=self.position.step,
                    normalise=self.config.scst_normalise,
                )
            else:
                loss = self._caption_loss(memory, [e.tokens for e in examples], stage, progress)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.average.update(self.model)
        return loss.item(), extra

    def _caption_loss(self, memory: Any, captions: list[tuple[int, ...]], stage: Stage, progress: float) -> Tensor:
        tokenizer = self.tokenizer
        inputs, targets = (
            t.to(self.device)
            for t in collate_captions(captions, pad=tokenizer.pad_id, bos=tokenizer.bos_id, eos=tokenizer.eos_id)
        )
        share = self.config.scheduled_sampling * progress if stage.name == "captions" else 0.0
        if share > 0:
            inputs = scheduled_inputs(self.model, memory, inputs, share=share, pad=tokenizer.pad_id)
        logits, _ = self.model.decoder(memory, inputs[:, None])
        return cross_entropy(logits[:, 0], targets, pad=tokenizer.pad_id, smoothing=self.config.label_smoothing)

    def _reward(self) -> CiderReward:
        if not hasattr(self, "_cider"):
            self._cider = CiderReward(self.corpus.references())
        return self._cider

    def _validate(self, stage: Stage, epoch: int, loss: float, seconds: float) -> bool:
        """Score the averaged weights on every validation set; True when it is time to stop early."""
        weights = {k: v.clone() for k, v in self.model.state_dict().items()}
        if self.config.ema:
            self.model.load_state_dict(self.average.weights)
        self.model.eval()
        validator = Validator(self.model, self.tokenizer, search=self.recipe.search, autocast=self._autocast)
        told = {name: corpus for name, corpus in self.val.items() if name not in self.silent}
        scores = {f"cider_{name}": validator.cider(corpus) for name, corpus in told.items()}
        score = float(np.mean(list(scores.values()))) if told else -validator.loss(self.val.values())
        better = score > self.position.best
        if better:
            self.position.best, self.position.stale = score, 0
            self.position.best_epoch = f"{stage.name} {epoch + 1}"
            torch.save(self.model.state_dict(), self.out / "best.pt")
            self._save_checkpoint(scores)
        else:
            self.position.stale += 1
        self.model.load_state_dict(weights)
        chosen_by = {"cider": score} if told else {"val_loss": -score}
        values = {"epoch": epoch + 1, "train_loss": loss} | chosen_by | scores
        self.log.record(step=self.position.step, stage=f"{stage.name}_val", values=values)
        self.log.say(
            f"{stage.name} epoch {epoch + 1}/{stage.epochs}  loss {loss:.4f}  "
            + ("  ".join(f"{name} {100 * value:.1f}" for name, value in scores.items()) or f"val_loss {-score:.4f}")
            + ("  best" if better else "")
            + f"  ({seconds:.0f} s)"
        )
        return bool(self.config.patience) and self.position.stale >= self.config.patience

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16)

    def _save_checkpoint(self, scores: dict[str, float]) -> None:
        save_checkpoint(
            self.out / "checkpoint",
            model=self.model,
            tokenizer=self.tokenizer,
            video=self.video,
            search=self.recipe.search,
            trained_on={
                "manifests": [digest(p) for p in self.recipe.data.manifests],
                "text": [digest(p) for p in self.recipe.data.text],
                "clips": len(self.corpus.clips),
                "captions": sum(map(len, self.corpus.tokens)),
                "validation": {name: round(100 * score, 2) for name, score in scores.items()},
                "chosen_at": self.position.best_epoch,
                "train": to_dict(self.config) | {"start": self.start},
            },
        )

    def _save_state(self) -> None:
        save_state(
            self.out / "state.pt",
            position=self.position,
            recipe=plain(self.recipe),
            model=self.model,
            average=self.average,
            optimizer=self.optimizer,
        )
