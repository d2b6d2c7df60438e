"""How much faster is an epoch than with the loop that tutorials show, at the same validation loss?

    python benchmarks/training.py

Both train the same decoder from the same weights on the same captions for the same number of epochs. The naive loop
does what is usually written: batches in random order padded to the longest caption, float32, and in every step of
every caption the keys, the embedding, its product with the GRU's weights and the vocabulary layer. Ours makes all of
those once for all steps, batches captions of like length and computes in bfloat16 where the processor has it.
Epochs of the two alternate, so that both see the same noise of the machine.
"""

from __future__ import annotations

import argparse
import copy
import time

import numpy as np
import torch
from torch import Tensor, nn

from captioner.batch import Example, bucket, collate_captions
from captioner.config import DecoderConfig
from captioner.decoder import AttentionGRU
from captioner.fast import fast_dtype
from captioner.losses import cross_entropy

PAD, BOS, EOS = 0, 1, 2
VOCABULARY, FRAMES, WIDTH, BATCH = 4000, 16, 1280, 64


def captions(clips: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Example]]:
    """Features (C, T, D) and five captions each, of MSVD's lengths (median 7, up to 25), that the clips foretell."""
    topics = rng.normal(size=(40, WIDTH)).astype(np.float32)
    chains = rng.integers(4, VOCABULARY, size=(40, 26))
    kinds = rng.integers(40, size=clips)
    noise = rng.normal(size=(clips, FRAMES, WIDTH)).astype(np.float32)
    examples = []
    for clip, kind in enumerate(kinds):
        for _ in range(5):
            length = int(np.clip(rng.lognormal(1.95, 0.4), 3, 25))
            words = np.where(rng.random(length) < 0.8, chains[kind, :length], rng.integers(4, VOCABULARY, size=length))
            examples.append(Example(clip, tuple(int(w) for w in words)))
    return topics[kinds][:, None] + noise, examples


def ours(decoder: AttentionGRU, features: Tensor, examples: list[Example], rng: np.random.Generator) -> None:
    optimizer = torch.optim.AdamW(decoder.parameters(), 1e-3)
    bf16 = fast_dtype(torch.device("cpu")) is torch.bfloat16
    for batch in bucket(examples, size=BATCH, rng=rng):
        inputs, targets = collate_captions([e.tokens for e in batch], pad=PAD, bos=BOS, eos=EOS)
        clips = features[[e.clip for e in batch]]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            memory = decoder.remember(clips, torch.ones(clips.shape[:2], dtype=torch.bool))
            logits, _ = decoder(memory, inputs[:, None])
            loss = cross_entropy(logits[:, 0], targets, pad=PAD)
        step(decoder, optimizer, loss)


def naive(decoder: AttentionGRU, features: Tensor, examples: list[Example], rng: np.random.Generator) -> None:
    optimizer = torch.optim.AdamW(decoder.parameters(), 1e-3)
    longest = max(len(e.tokens) for e in examples) + 1
    order = rng.permutation(len(examples))
    for start in range(0, len(order), BATCH):
        batch = [examples[i] for i in order[start : start + BATCH]]
        inputs, targets = collate_captions([e.tokens for e in batch], pad=PAD, bos=BOS, eos=EOS)
        missing = longest - inputs.shape[1]
        inputs, targets = (nn.functional.pad(t, (0, missing), value=PAD) for t in (inputs, targets))
        clips = features[[e.clip for e in batch]]
        mask = torch.ones(clips.shape[:2], dtype=torch.bool)
        state = decoder.start(decoder.remember(clips, mask))
        loss = torch.zeros(())
        for t in range(longest):
            log_probs, state = decoder.step(decoder.remember(clips, mask), inputs[:, t : t + 1], state)
            loss = loss + nn.functional.nll_loss(log_probs[:, 0], targets[:, t], ignore_index=PAD, reduction="sum")
        step(decoder, optimizer, loss / (targets != PAD).sum())


def step(decoder: AttentionGRU, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
    optimizer.step()


@torch.no_grad()
def validation_loss(decoder: AttentionGRU, features: Tensor, examples: list[Example]) -> float:
    decoder.eval()
    inputs, targets = collate_captions([e.tokens for e in examples], pad=PAD, bos=BOS, eos=EOS)
    clips = features[[e.clip for e in examples]]
    memory = decoder.remember(clips, torch.ones(clips.shape[:2], dtype=torch.bool))
    logits, _ = decoder(memory, inputs[:, None])
    decoder.train()
    return cross_entropy(logits[:, 0], targets, pad=PAD).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    features, examples = captions(options.clips + 40, np.random.default_rng(0))
    clips = torch.from_numpy(features)[:, :, None]
    train = [e for e in examples if e.clip < options.clips]
    val = [e for e in examples if e.clip >= options.clips]
    loops = {"naive": naive, "ours": ours}
    start = AttentionGRU(DecoderConfig(dropout=0.0), vocabulary=VOCABULARY, width=WIDTH, places=1)
    decoders = {name: copy.deepcopy(start) for name in loops}
    best = dict.fromkeys(loops, float("inf"))
    for epoch in range(options.epochs):
        for name, loop in loops.items():
            began = time.perf_counter()
            loop(decoders[name], clips, train, np.random.default_rng(epoch))
            best[name] = min(best[name], time.perf_counter() - began)
    print(f"{len(train)} captions, {options.epochs} epochs, {options.threads} thread(s)")
    for name, decoder in decoders.items():
        loss = validation_loss(decoder, clips, val)
        print(f"{name:6} {best[name]:7.2f} s an epoch (best)   validation loss {loss:.3f}")
    print(f"ours is {best['naive'] / best['ours']:.1f}x as fast")


if __name__ == "__main__":
    main()
