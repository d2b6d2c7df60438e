"""How much faster is an epoch than with the loop that tutorials show, at the same validation loss?

    python benchmarks/training.py

Both train the same decoder from the same weights on the same captions for the same number of epochs. The naive loop
does what is usually written: batches in random order padded to the longest caption, float32, and in every step of
every caption the keys, the embedding, its product with the GRU's weights and the vocabulary layer. Ours makes all of
those once for all steps, batches captions of like length and computes in bfloat16 where the processor has it.
Unsorted is ours but for the batches of like length.
Epochs of the three alternate, so that both see the same noise of the machine; the least processor time counts.

Speed is measured at the default size; a small decoder then trains until its validation loss is at its lowest, with
several seeds, to see whether the quicker loop learns as much.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from captioner.language.config import DecoderConfig
from captioner.language.decoder import AttentionGRU
from captioner.training.batch import Example, bucket, collate_captions
from captioner.training.losses import cross_entropy
from captioner.vision.precision import fast_dtype

PAD, BOS, EOS = 0, 1, 2
VALIDATION = 40  # clips
LOOPS = ("naive", "unsorted", "ours")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is trained, and on how much of what."""

    decoder: DecoderConfig
    vocabulary: int
    width: int
    clips: int
    epochs: int
    batch: int
    frames: int = 16
    topics: int = 40
    longest: int = 25
    learning_rate: float = 1e-3


DEFAULT_SIZE = Trial(decoder=DecoderConfig(dropout=0.0), vocabulary=4000, width=1280, clips=96, epochs=2, batch=64)
SMALL = Trial(
    decoder=DecoderConfig(embed=64, hidden=64, attention=32, dropout=0.0),
    vocabulary=200,
    width=64,
    clips=160,
    epochs=12,
    batch=32,
    frames=8,
    topics=10,
    longest=16,
    learning_rate=3e-3,
)


def captions(trial: Trial, rng: np.random.Generator) -> tuple[Tensor, list[Example]]:
    """Features (C, T, 1, D) and five captions each, of MSVD's lengths (median 7), that the clips foretell."""
    clips = trial.clips + VALIDATION
    topics = rng.normal(size=(trial.topics, trial.width)).astype(np.float32)
    chains = rng.integers(4, trial.vocabulary, size=(trial.topics, trial.longest))
    kinds = rng.integers(trial.topics, size=clips)
    noise = rng.normal(size=(clips, trial.frames, trial.width)).astype(np.float32)
    examples = []
    for clip, kind in enumerate(kinds):
        for _ in range(5):
            length = int(np.clip(rng.lognormal(1.95, 0.4), 3, trial.longest))
            other = rng.integers(4, trial.vocabulary, size=length)
            words = np.where(rng.random(length) < 0.8, chains[kind, :length], other)
            examples.append(Example(clip, tuple(int(w) for w in words)))
    return torch.from_numpy(topics[kinds][:, None] + noise)[:, :, None], examples


class Loop:
    """One way of training: a decoder with its optimiser, whose rate falls to nothing along half a cosine."""

    def __init__(self, name: str, decoder: AttentionGRU, trial: Trial, captions: int) -> None:
        self.name, self.decoder, self.trial = name, decoder, trial
        steps = trial.epochs * math.ceil(captions / trial.batch)
        self.optimizer = torch.optim.AdamW(decoder.parameters(), trial.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps))
        )

    def epoch(self, features: Tensor, examples: list[Example], rng: np.random.Generator) -> float:
        """Train once over the examples; returns seconds of processor time."""
        began = time.process_time()
        if self.name == "ours":
            batches = bucket(examples, size=self.trial.batch, rng=rng)
        else:
            order = [examples[i] for i in rng.permutation(len(examples))]
            batches = [order[i : i + self.trial.batch] for i in range(0, len(order), self.trial.batch)]
        for batch in batches:
            inputs, targets = collate_captions([e.tokens for e in batch])
            loss_of = naive_loss if self.name == "naive" else our_loss
            loss = loss_of(self.decoder, features[[e.clip for e in batch]], inputs, targets, self.trial.longest + 1)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.decoder.parameters(), 5.0)
            self.optimizer.step()
            self.schedule.step()
        return time.process_time() - began


def our_loss(decoder: AttentionGRU, clips: Tensor, inputs: Tensor, targets: Tensor, longest: int) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=fast_dtype(torch.device("cpu")) is torch.bfloat16):
        memory = decoder.remember(clips, torch.ones(clips.shape[:2], dtype=torch.bool))
        logits, _ = decoder(memory, inputs[:, None])
        return cross_entropy(logits[:, 0], targets, pad=PAD)


def naive_loss(decoder: AttentionGRU, clips: Tensor, inputs: Tensor, targets: Tensor, longest: int) -> Tensor:
    missing = longest - inputs.shape[1]
    inputs, targets = (nn.functional.pad(t, (0, missing), value=PAD) for t in (inputs, targets))
    mask = torch.ones(clips.shape[:2], dtype=torch.bool)
    state = decoder.start(decoder.remember(clips, mask))
    loss = torch.zeros(())
    for t in range(longest):
        log_probs, state = decoder.step(decoder.remember(clips, mask), inputs[:, t : t + 1], state)
        loss = loss + nn.functional.nll_loss(log_probs[:, 0], targets[:, t], ignore_index=PAD, reduction="sum")
    return loss / (targets != PAD).sum()


@torch.no_grad()
def validation_loss(decoder: AttentionGRU, features: Tensor, examples: list[Example]) -> float:
    inputs, targets = collate_captions([e.tokens for e in examples])
    clips = features[[e.clip for e in examples]]
    memory = decoder.remember(clips, torch.ones(clips.shape[:2], dtype=torch.bool))
    logits, _ = decoder(memory, inputs[:, None])
    return cross_entropy(logits[:, 0], targets, pad=PAD).item()


def compare(trial: Trial, *, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds an epoch and the lowest validation loss of each loop."""
    torch.manual_seed(seed)
    features, examples = captions(trial, np.random.default_rng(seed))
    train = [e for e in examples if e.clip < trial.clips]
    val = [e for e in examples if e.clip >= trial.clips]
    start = AttentionGRU(trial.decoder, vocabulary=trial.vocabulary, width=trial.width, places=1)
    loops = [Loop(name, copy.deepcopy(start), trial, len(train)) for name in LOOPS]
    seconds, losses = dict.fromkeys(LOOPS, math.inf), dict.fromkeys(LOOPS, math.inf)
    for epoch in range(trial.epochs):
        for loop in loops:
            took = loop.epoch(features, train, np.random.default_rng([seed, epoch]))
            seconds[loop.name] = min(seconds[loop.name], took)
            losses[loop.name] = min(losses[loop.name], validation_loss(loop.decoder, features, val))
    return seconds, losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    seconds, _ = compare(DEFAULT_SIZE, seed=0)
    print(f"speed, {5 * DEFAULT_SIZE.clips} captions (5x the naive loop is wanted):")
    for name in LOOPS:
        ratio = seconds["naive"] / seconds[name]
        print(f"  {name:8} {seconds[name]:6.1f} s an epoch, {ratio:4.1f}x as fast as naive", flush=True)
    print(f"lowest validation loss in {SMALL.epochs} epochs of a small decoder:")
    print("".join(f"{name:>10}" for name in ("seed", *LOOPS)))
    for seed in range(seeds):
        _, losses = compare(SMALL, seed=seed)
        print(f"{seed:10}" + "".join(f"{losses[name]:10.3f}" for name in LOOPS), flush=True)


if __name__ == "__main__":
    main()
