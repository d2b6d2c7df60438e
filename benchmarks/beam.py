"""How much faster is the batched beam search than a loop over hypotheses, with the same captions?

    python benchmarks/beam.py [CLIP ...]

All search with the package's own checkpoint and settings (five beams) over the same clips: rendered shapes, or those
given. The usual loop, as in most captioning repositories, steps one hypothesis at a time and one clip after another,
projects the attention's keys in every step and goes on until all beams have ended or the longest caption is reached.
The careful loop projects the keys once and stops as early as ours: against it, only batching counts. Decoding and
encoding the clips is not part of it. The runs alternate, so that all see the same noise of the machine; the least
processor time of each counts. One thread.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from captioner.checkpoint.captioning import load_checkpoint
from captioner.language.decoder import AttentionGRU, Memory
from captioner.language.search import State, length_penalty, search
from captioner.language.tokenizer import CaptionTokenizer
from captioner.training.batch import collate_clips
from captioner.video.frames import sample_frames
from data.shapes import render

PAD, BOS, EOS, UNK = (getattr(CaptionTokenizer, f"{name}_id") for name in ("pad", "bos", "eos", "unk"))
BANNED = [PAD, BOS, UNK]
CHECKPOINT = load_checkpoint()
CONFIG = CHECKPOINT.search
TARGETS = {1: 3, 32: 9}  # times the usual loop

Captions = list[tuple[int, ...]]


def clip_features(paths: list[str]) -> tuple[Tensor, Tensor]:
    """Features (B, T, P, D) and mask (B, T) of the clips."""
    encode = CHECKPOINT.model.encoder.fast()
    arrays = [encode(torch.from_numpy(sample_frames(path, CHECKPOINT.video).pixels)).numpy() for path in paths]
    return collate_clips(arrays, like=arrays[0])


class Batched:
    """Ours; ``step_seconds`` is what the model takes of it."""

    def __init__(self, decoder: AttentionGRU) -> None:
        self.decoder = decoder
        self.step_seconds = 0.0

    def __call__(self, features: Tensor, mask: Tensor) -> Captions:
        memory = self.decoder.remember(features, mask)
        self.step_seconds = 0.0

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            started = time.process_time()
            result = self.decoder.step(memory, tokens, state)
            self.step_seconds += time.process_time() - started
            return result

        found = search(step, self.decoder.start(memory), config=CONFIG, bos_id=BOS, eos_id=EOS, banned=BANNED)
        assert all(hypotheses[0].finished for hypotheses in found)
        return [hypotheses[0].tokens for hypotheses in found]


def loop_over_clips(decoder: AttentionGRU, features: Tensor, mask: Tensor, *, careful: bool) -> Captions:
    memories = [decoder.remember(features[i : i + 1], mask[i : i + 1]) for i in range(len(features))]
    return [loop_over_hypotheses(decoder, memory, careful=careful) for memory in memories]


def loop_over_hypotheses(decoder: AttentionGRU, memory: Memory, *, careful: bool) -> tuple[int, ...]:
    running: list[tuple[float, tuple[int, ...], State]] = [(0.0, (), decoder.start(memory))]
    best_score, best = -torch.inf, tuple[int, ...]()
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


def compare(features: Tensor, mask: Tensor, rounds: int) -> None:
    decoder, clips = CHECKPOINT.model.decoder, len(features)
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
            started = time.process_time()
            captions[name] = run()
            took = time.process_time() - started
            if took < seconds[name]:
                seconds[name], share = took, 1 - batched.step_seconds / took
        assert captions["usual loop"] == captions["careful loop"] == captions["batched"], "the captions differ"
    lengths = [len(caption) for caption in captions["batched"]]
    print(f"clips: {clips}, captions of {min(lengths)} to {max(lengths)} pieces, all identical")
    for name, best in seconds.items():
        ratio = f"{best / seconds['batched']:.1f} times ours" if name != "batched" else f"{share:.0%} outside the model"
        print(f"  {name:12} {best * 1e3:6.0f} ms, {ratio}")
    if clips in TARGETS:
        print(f"  wanted: the usual loop takes {TARGETS[clips]} times as long as ours")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="default: 32 rendered ones")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if not options.clips:
            render(folder, train=0, val=0, test=32)
        features, mask = clip_features(options.clips or sorted(map(str, Path(folder, "clips").iterdir())))
    compare(features[:1], mask[:1], 5 * options.rounds)
    compare(features, mask, options.rounds)


if __name__ == "__main__":
    main()
