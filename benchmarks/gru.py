"""What does the place of the GRU's reset gate cost, in speed and in loss?

    python benchmarks/gru.py

Speed: a training step (forward and backward) of the default decoder on 128 captions of 12 words, one thread, both
forms in turn, the least processor time of each. Loss: the small decoder of ``benchmarks/training.py`` trained by our
loop with each form, several seeds, the lowest validation loss.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import least_seconds
from benchmarks.training import SMALL, Loop, captions, validation_loss
from captioner.language.config import DecoderConfig
from captioner.language.decoder import AttentionGRU

Reset = Literal["after", "before"]
FORMS: tuple[Reset, ...] = get_args(Reset)
CAPTIONS, WORDS, FRAMES, WIDTH, VOCABULARY = 128, 12, 16, 1280, 4000


def step_seconds(rounds: int, *, bf16: bool) -> dict[str, float]:
    torch.manual_seed(0)
    clips, mask = torch.randn(CAPTIONS, FRAMES, 1, WIDTH), torch.ones(CAPTIONS, FRAMES, dtype=torch.bool)
    words = torch.randint(4, VOCABULARY, (CAPTIONS, 1, WORDS))

    def step(form: Reset) -> Callable[[], object]:
        decoder = AttentionGRU(DecoderConfig(reset=form), vocabulary=VOCABULARY, width=WIDTH, places=1)

        def run() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits, _ = decoder(decoder.remember(clips, mask), words)
                loss = logits.float().logsumexp(-1).mean()
            loss.backward()

        return run

    return least_seconds({form: step(form) for form in FORMS}, rounds)


def lowest_loss(form: Reset, *, seed: int) -> float:
    trial = replace(SMALL, decoder=replace(SMALL.decoder, reset=form))
    torch.manual_seed(seed)
    features, examples = captions(trial, np.random.default_rng(seed))
    train = [e for e in examples if e.clip < trial.clips]
    val = [e for e in examples if e.clip >= trial.clips]
    decoder = AttentionGRU(trial.decoder, vocabulary=trial.vocabulary, width=trial.width, places=1)
    loop = Loop("ours", decoder, trial, len(train))
    best = math.inf
    for epoch in range(trial.epochs):
        loop.epoch(features, train, np.random.default_rng([seed, epoch]))
        best = min(best, validation_loss(decoder, features, val))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("                             after   before")
    for name, bf16 in (("bfloat16", True), ("float32", False)):
        seconds = step_seconds(options.rounds, bf16=bf16)
        print(f"{name:8} seconds a step  " + "".join(f"{seconds[form]:9.2f}" for form in FORMS), flush=True)
    for seed in range(options.seeds):
        losses = {form: lowest_loss(form, seed=seed) for form in FORMS}
        print(f"lowest loss, seed {seed}     " + "".join(f"{losses[form]:9.3f}" for form in FORMS), flush=True)


if __name__ == "__main__":
    main()
