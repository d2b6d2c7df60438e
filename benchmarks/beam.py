"""How much faster is the batched beam search than a loop over hypotheses, with the same captions?

    python benchmarks/beam.py

All search with five beams over the same attention GRU (V = 4000, H = 512, 16 frames) with seeded random weights,
sharpened to a trained model's certainty and to captions of 8 to 12 words. The usual loop, as in most captioning
repositories, steps one hypothesis at a time and one clip after another, projects the attention's keys in every step
and goes on until all beams have ended or the longest caption is reached. The careful loop projects the keys once and
stops as early as ours: against it, only batching counts. The runs alternate, so that all see the same noise of the
machine; the best of each counts. One thread.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from captioner.attention import Memory
from captioner.config import DecoderConfig, SearchConfig
from captioner.decoder import AttentionGRU
from captioner.search import State, length_penalty, search

PAD, BOS, EOS, UNK = 0, 1, 2, 3
BANNED = [PAD, BOS, UNK]
VOCABULARY, FRAMES, WIDTH = 4000, 16, 1280
CONFIG = SearchConfig(beams=5, min_length=8, max_length=24, length_penalty=0.7)
TARGETS = {1: 3, 32: 9}  # times the usual loop

Captions = list[tuple[int, ...]]


def sharpened_decoder() -> AttentionGRU:
    torch.manual_seed(0)
    decoder = AttentionGRU(DecoderConfig(), vocabulary=VOCABULARY, width=WIDTH, places=1).eval()
    with torch.no_grad():
        decoder.embedding.weight *= 16  # about -0.9 a token, as in a trained model
        decoder.bias[EOS] = 13
    return decoder


class Batched:
    """Ours; ``step_seconds`` is what the model takes of it."""

    def __init__(self, decoder: AttentionGRU) -> None:
        self.decoder = decoder
        self.step_seconds = 0.0

    def __call__(self, features: Tensor, mask: Tensor) -> Captions:
        memory = self.decoder.remember(features, mask)
        self.step_seconds = 0.0

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            started = time.perf_counter()
            result = self.decoder.step(memory, tokens, state)
            self.step_seconds += time.perf_counter() - started
            return result

        found = search(step, self.decoder.start(memory), config=CONFIG, bos_id=BOS, eos_id=EOS, banned=BANNED)
        assert all(hypotheses[0].finished for hypotheses in found)
        return [hypotheses[0].tokens for hypotheses in found]


def loop_over_clips(decoder: AttentionGRU, features: Tensor, mask: Tensor, *, careful: bool) -> Captions:
    memories = [decoder.remember(features[i : i + 1], mask[i : i + 1]) for i in range(len(features))]
    return [loop_over_hypotheses(decoder, memory, careful=careful) for memory in memories]


def loop_over_hypotheses(decoder: AttentionGRU, memory: Memory, *, careful: bool) -> tuple[int, ...]:
    running: list[tuple[float, tuple[int, ...], State]] = [(0.0, (), decoder.start(memory))]
    best_score, best = -torch.inf, ()
    for length in range(1, CONFIG.max_length + 1):
        grown = []
        for total, tokens, state in running:
            if not careful:
                memory = memory._replace(keys=decoder.key(memory.values))
            last = torch.tensor([[tokens[-1] if tokens else BOS]])
            log_probs, after = decoder.step(memory, last, state)
            row = log_probs[0, 0]
            row[BANNED if length > CONFIG.min_length else [*BANNED, EOS]] = -torch.inf
            top = row.topk(CONFIG.beams)
            for log_prob, token in zip(top.values.tolist(), top.indices.tolist(), strict=True):
                grown.append((total + log_prob, (*tokens, token), after))
        grown.sort(key=lambda hypothesis: hypothesis[0], reverse=True)
        running = []
        for total, tokens, state in grown[: CONFIG.beams]:
            if tokens[-1] != EOS:
                running.append((total, tokens, state))
            elif (score := total / length_penalty(length, CONFIG.length_penalty)) > best_score:
                best_score, best = score, tokens[:-1]
        reach = running[0][0] / length_penalty(CONFIG.max_length, CONFIG.length_penalty) if running else -torch.inf
        if not running or (careful and reach <= best_score):
            break
    return best


def compare(decoder: AttentionGRU, clips: int, rounds: int) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(clips, FRAMES, 1, WIDTH, generator=generator)
    mask = torch.ones(clips, FRAMES, dtype=torch.bool)
    batched = Batched(decoder)
    runs = {
        "usual loop": lambda: loop_over_clips(decoder, features, mask, careful=False),
        "careful loop": lambda: loop_over_clips(decoder, features, mask, careful=True),
        "batched": lambda: batched(features, mask),
    }
    seconds = dict.fromkeys(runs, float("inf"))
    share = 0.0
    for _ in range(rounds):
        captions = {}
        for name, run in runs.items():
            started = time.perf_counter()
            captions[name] = run()
            took = time.perf_counter() - started
            if took < seconds[name]:
                seconds[name], share = took, 1 - batched.step_seconds / took
        assert captions["usual loop"] == captions["careful loop"] == captions["batched"], "the captions differ"
    words = [len(caption) for caption in captions["batched"]]
    print(f"clips: {clips}, captions of {min(words)} to {max(words)} words, all identical")
    for name, best in seconds.items():
        print(f"  {name:12} {best * 1e3:6.0f} ms", end="")
        print(
            f", {best / seconds['batched']:.1f} times ours" if name != "batched" else f", {share:.0%} outside the model"
        )
    print(f"  target: the usual loop takes {TARGETS[clips]} times as long as ours")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    decoder = sharpened_decoder()
    compare(decoder, 1, 5 * rounds)
    compare(decoder, 32, rounds)


if __name__ == "__main__":
    main()
