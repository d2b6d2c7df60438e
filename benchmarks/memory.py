"""Long-term dependency: how well each cell recalls what stood in the first of T frames.

    python benchmarks/memory.py [--lengths 16 64 256 1024] [--steps 300] [--seeds 3]

The first frame holds one of eight symbols, the others noise; the state after the last frame must tell the symbol
(chance: 12.5 %). Each cell of 64 is trained for the same number of steps of 32 sequences of that length, Adam at 2e-3,
gradients clipped at 1; accuracy on 512 new sequences, the mean over seeds (least and most). One thread.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

from captioner.recurrent.cells import CELLS
from captioner.recurrent.network import Recurrent

SYMBOLS, HIDDEN, BATCH = 8, 64, 32


def sequences(count: int, length: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T, SYMBOLS + 4) and the symbol of each (B,)."""
    symbols = torch.randint(SYMBOLS, (count,), generator=generator)
    frames = torch.randn(count, length, SYMBOLS + 4, generator=generator)
    frames[:, 0] = 0
    frames[torch.arange(count), 0, symbols] = 3.0
    frames[:, 1:, :SYMBOLS] *= 0.3
    return frames, symbols


def recall(cell: str, length: int, *, steps: int, seed: int) -> float:
    """Accuracy after training."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = Recurrent(SYMBOLS + 4, HIDDEN, cell=cell)
    head = nn.Linear(HIDDEN, SYMBOLS)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], 2e-3)
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    for _ in range(steps):
        frames, symbols = sequences(BATCH, length, generator)
        loss = nn.functional.cross_entropy(head(network(frames, mask)[:, -1]), symbols)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    network.eval()
    right = 0
    with torch.inference_mode():
        for _ in range(16):
            frames, symbols = sequences(BATCH, length, generator)
            right += int((head(network(frames, mask)[:, -1]).argmax(-1) == symbols).sum())
    return right / (16 * BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 64, 256, 1024])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| cell | " + " | ".join(f"T = {length}" for length in options.lengths) + " |")
    print("| --- |" + " ---: |" * len(options.lengths))
    for cell in CELLS:
        cells = []
        for length in options.lengths:
            found = [100 * recall(cell, length, steps=options.steps, seed=seed) for seed in range(options.seeds)]
            cells.append(f"{sum(found) / len(found):.0f} % ({min(found):.0f}-{max(found):.0f})")
        print(f"| {cell} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
