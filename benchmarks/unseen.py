"""How right are captions on footage that nobody trained on? Held-out nouns, and one data set held out.

    python benchmarks/unseen.py first work/{msvd,flickr8k}/manifest.jsonl --text work/msrvtt/text.jsonl \
        --actions work/stanford40/manifest.jsonl

Of ``first`` and ``second`` each holds out twenty nouns (Hendricks et al. 2016): every clip and photo whose captions
have one leaves the training of words, captions and trigrams, and is the test. Captions without clips (``--text``) keep
them. ``msvd`` and ``flickr8k`` train on that data set alone and test on the other. The CNN is the packaged one, not
fine-tuned, so that it never learned the words. Decide on ``first``; ``second`` is for the report. Test splits are never
read. Rows: decoder and reranking alone; with the conditions of ``language/grounding.py``; with the match of sentence
and clip by a retriever too; with the actions of labelled photos (``--actions``) too, but for labels that name a noun
that is held out. A captioner trains in some five minutes of one core and a retriever in four; both stay
in ``runs/unseen``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from captioner import Caption, Captioner
from captioner.caption.clips import EncodedClip
from captioner.checkpoint.captioning import load_checkpoint
from captioner.checkpoint.cnn import Tuned, head, save_tuned
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.lexicon import PEOPLE
from captioner.language.tokenizer import normalise
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.metrics.cider import CiderScorer
from captioner.retrieval.checkpoint import load_retriever
from captioner.retrieval.config import RetrieverConfig
from captioner.training.config import DataConfig, Recipe, TaskConfig, TrainConfig
from captioner.training.features import FeatureCache
from captioner.training.train import fit
from captioner.training.words import common_words, word_shares
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from eval.scores.goodness import is_good


def held_out_nouns() -> dict[str, dict[str, str]]:
    """The nouns of each set, with their forms."""
    sets: dict[str, dict[str, str]] = {}
    for line in Path(__file__).with_suffix(".tsv").read_text(encoding="utf-8").splitlines()[1:]:
        name, noun, forms = line.split("\t")
        sets.setdefault(name, {})[noun] = forms
    return sets


HELD_OUT = held_out_nouns()
OUT, CACHE = Path("runs/unseen"), "work/features"
VIDEO, ENCODER = VideoConfig(frames=16, size=256), EncoderConfig(source="efficientnet-lite2", grid=0)
SEARCH = SearchConfig(beams=8, max_length=20, word_weight=0.3, least_weight=0.2)
MATCHED = replace(SEARCH, match_weight=5.0)


class Part:
    """A choice of what is held out: its training clips, and its test."""

    def __init__(self, name: str, manifests: Sequence[str], text: str, actions: str, folder: Path) -> None:
        self.folder, self.text = folder / name, text
        self.nouns = HELD_OUT.get(name, {})
        forms = "|".join(form for row in self.nouns.values() for form in row.split())
        self._held = re.compile(rf"\b({forms})\b") if forms else None
        self.labelled = [
            clip for clip in read_manifest(actions, split="train") if not any(map(self._names, clip.labels))
        ]
        self.train: dict[str, list[Clip]] = {}
        self.test: list[Clip] = []
        for manifest in manifests:
            own = Path(manifest).parent.name
            clips = [c for split in ("train", "val") for c in read_manifest(manifest, split=split) if c.path]
            if self.nouns:
                self.train[own] = [clip for clip in clips if not self.holds_out(clip)]
                self.test += [clip for clip in clips if self.holds_out(clip) or clip.split == "val"]
            elif own == name:
                self.train[own] = clips
            else:  # of photos the val split, of which there are a thousand
                self.test += clips if len(clips) < 1000 else [clip for clip in clips if clip.split == "val"]

    def holds_out(self, clip: Clip) -> bool:
        """Whether a caption of the clip has a noun that is held out."""
        return any(map(self._names, clip.captions))

    def _names(self, text: str) -> bool:
        return self._held is not None and self._held.search(text.lower()) is not None


def fit_words(part: Part, cache: FeatureCache, encoder: FrameEncoder) -> Path:
    """A linear detector of words on the features: what the task ``words`` saves, without fine-tuning the CNN."""
    folder = part.folder / "words"
    if folder.exists():
        return folder
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    clips = [clip for own in part.train.values() for clip in own if clip.split == "train"]
    words = common_words(clips)
    column = {word: i for i, word in enumerate(words)}
    frames = [cache.load(clip).astype(np.float32).mean(axis=1) for clip in clips]
    targets = torch.zeros(len(clips), len(words))
    for row, clip in enumerate(clips):
        for word, share in word_shares(clip).items():
            if word in column:
                targets[row, column[word]] = min(1.0, 2 * share)
    layer = head(encoder.width, len(words))
    nn.init.zeros_(layer.weight)
    layer.bias.data = targets.mean(dim=0).clamp(1e-4, 0.99).logit()
    optimiser = torch.optim.AdamW(layer.parameters(), lr=2e-3, weight_decay=3e-2)
    visits = np.repeat(np.arange(len(clips)), [6 if len(array) > 1 else 1 for array in frames])
    epochs = 10
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * (len(visits) // 128))
    for _ in range(epochs):
        order = rng.permutation(visits)
        for start in range(0, len(order) - 127, 128):
            batch = order[start : start + 128]
            drawn = torch.from_numpy(np.stack([frames[i][rng.integers(len(frames[i]))] for i in batch]))
            logits = layer(nn.functional.dropout(drawn, 0.3))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, targets[batch], reduction="none")
            optimiser.zero_grad()
            loss.sum(dim=1).mean().backward()
            optimiser.step()
            schedule.step()
    tuned = Tuned(encoder, layer, head(encoder.width, 0))
    save_tuned(folder, tuned, words=words, labels=(), video=VIDEO, trained_on={})
    return folder


def train(part: Part, words: Path) -> Path:
    """The captioner of this part: its checkpoint."""
    manifests = []
    for name, clips in part.train.items():
        path = part.folder / name / "manifest.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(path, clips)
        manifests.append(str(path.resolve()))
    labelled = part.folder / "actions" / "manifest.jsonl"
    labelled.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(labelled, part.labelled)
    text = part.folder / "text.jsonl"
    rng = np.random.default_rng(0)
    write_manifest(
        text, [replace(c, captions=tuple(rng.permutation(c.captions)[:5].tolist())) for c in read_manifest(part.text)]
    )
    recipe = Recipe(
        data=DataConfig(
            manifests=tuple(manifests),
            repeat=tuple(1 if len(clips) > 1000 else 8 for clips in part.train.values()),
            val=(max(manifests, key=lambda path: len(part.train[Path(path).parent.name])),),
            text=(str(text.resolve()),),
            actions=(str(labelled.resolve()),),
            cache=CACHE,
        ),
        video=VIDEO,
        encoder=replace(ENCODER, source=str(words.resolve())),
        decoder=DecoderConfig(
            embed=384,
            hidden=512,
            attention=256,
            dropout=0.5,
            evidence=ENCODER.source,
            detector=64,
            phrases=96,
            grounding=True,
            actions=True,
            several=True,
        ),
        search=SEARCH,
        train=TrainConfig(
            text_epochs=1, epochs=5, captions_per_clip=3, batch_size=128, learning_rate=1e-3, ema=0.99, threads=1
        ),
    )
    return fit(recipe, part.folder / "run")


def train_retriever(part: Part, captioner: Path) -> Path:
    """The retriever of this part, on the features of its captioner: its checkpoint."""
    manifests = tuple(str((part.folder / name / "manifest.jsonl").resolve()) for name in part.train)
    recipe = Recipe(
        task=TaskConfig(kind="retrieval", temperature=0.06),
        data=DataConfig(
            manifests=manifests,
            repeat=tuple(1 if len(clips) > 1000 else 3 for clips in part.train.values()),
            val=(max(manifests, key=lambda path: len(part.train[Path(path).parent.name])),),
            text=(str(Path(part.text).resolve()),),
            cache=CACHE,
        ),
        retriever=RetrieverConfig(
            width=256, embed=96, hidden=256, rank=0, dropout=0.6, query_dropout=0.3, least_count=10
        ),
        train=TrainConfig(
            start=str(captioner.resolve()),
            text_epochs=1,
            epochs=10,
            captions_per_clip=5,
            batch_size=256,
            learning_rate=2e-3,
            weight_decay=1e-3,
            ema=0.99,
            threads=1,
        ),
    )
    return fit(recipe, part.folder / "retriever")


def captions(
    checkpoint: Path,
    clips: Sequence[Clip],
    cache: FeatureCache,
    *,
    grounded: bool,
    retriever: Path | None = None,
    acting: bool = False,
) -> list[Caption]:
    """What the captioner says of the clips, from their features; the confidence is by the packaged calibration."""
    packaged = load_checkpoint()
    loaded = replace(load_checkpoint(checkpoint), calibration=packaged.calibration)
    assert loaded.model.evidence is not None
    if not grounded:
        loaded.model.evidence.reliability = None
    if not acting:
        loaded.model.actions = None
    match = None if retriever is None else load_retriever(retriever, encoder=loaded.model.encoder)
    captioner = Captioner(loaded, retriever=match)
    search = replace(MATCHED if match else SEARCH, min_confidence=packaged.search.min_confidence)
    said: list[Caption] = []
    for start in range(0, len(clips), 32):
        arrays = [cache.load(clip).astype(np.float32) for clip in clips[start : start + 32]]
        frames = [Frames.made(np.zeros((len(array), 1, 1, 3), np.uint8)) for array in arrays]
        said += captioner.caption_encoded(list(map(EncodedClip, frames, arrays)), search=search)
    return said


def noun_scores(nouns: dict[str, str], clips: Sequence[Clip], said: Sequence[str]) -> tuple[float, float, float]:
    """F1 (mean over nouns), precision and recall (over all) of saying the nouns, in per cent.

    A clip shows a noun where two captions or more have it; those with one are left out.
    """
    scores, right, wrong, missed = [], 0, 0, 0
    for forms in nouns.values():
        pattern = re.compile(rf"\b({'|'.join(forms.split())})\b")
        counts = [sum(bool(pattern.search(c.lower())) for c in clip.captions) for clip in clips]
        found = [bool(pattern.search(caption)) for caption in said]
        hit = sum(n >= 2 and f for n, f in zip(counts, found, strict=True))
        false = sum(n == 0 and f for n, f in zip(counts, found, strict=True))
        miss = sum(n >= 2 and not f for n, f in zip(counts, found, strict=True))
        scores.append(2 * hit / max(1, 2 * hit + false + miss))
        right, wrong, missed = right + hit, wrong + false, missed + miss
    return 100 * float(np.mean(scores)), 100 * right / max(1, right + wrong), 100 * right / max(1, right + missed)


def score(clips: Sequence[Clip], said: Sequence[str]) -> tuple[float, float]:
    """CIDEr-D x 100, and the share of good captions in per cent."""
    if not clips:
        return float("nan"), float("nan")
    references = {str(i): [normalise(c) for c in clip.captions] for i, clip in enumerate(clips)}
    cider = CiderScorer(references).score(list(references), list(said)).mean()
    good = np.mean([is_good(caption, clip.captions) for caption, clip in zip(said, clips, strict=True)])
    return 100 * float(cider), 100 * float(good)


def people(clips: Sequence[Clip], said: Sequence[str]) -> tuple[float, float]:
    """Per cent of the clips without people of which a person is said, and of those with people."""
    shares = [np.mean([not PEOPLE.isdisjoint(normalise(c).split()) for c in clip.captions]) for clip in clips]
    found = [not PEOPLE.isdisjoint(caption.split()) for caption in said]
    without = [f for share, f in zip(shares, found, strict=True) if share == 0]
    those_with = [f for share, f in zip(shares, found, strict=True) if share >= 0.5]
    return 100 * float(np.mean(without)), 100 * float(np.mean(those_with))


def marked(clips: Sequence[Clip], told: Sequence[Caption]) -> tuple[float, float]:
    """Per cent of the captions that are marked unsure, and of the others those that are good."""
    sure = [
        is_good(caption.text, clip.captions) for caption, clip in zip(told, clips, strict=True) if not caption.abstained
    ]
    return 100 - 100 * len(sure) / len(told), 100 * float(np.mean(sure)) if sure else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*HELD_OUT, "msvd", "flickr8k"])
    parser.add_argument("manifests", nargs=2, help="work/msvd/manifest.jsonl work/flickr8k/manifest.jsonl")
    parser.add_argument("--text", required=True, help="manifest of captions without clips (python -m data msrvtt)")
    parser.add_argument("--actions", required=True, help="manifest of photos with labels of actions")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    part = Part(options.part, options.manifests, options.text, options.actions, options.out)
    encoder = FrameEncoder.load(ENCODER)
    cache = FeatureCache(CACHE, video=VIDEO, encoder=encoder)
    cache.fill([*part.test, *(clip for own in part.train.values() for clip in own)])
    checkpoint = train(part, fit_words(part, cache, encoder))
    retriever = train_retriever(part, checkpoint)
    held = [part.holds_out(clip) for clip in part.test]
    columns = (
        "F1, precision, recall, CIDEr held out, good, CIDEr others, good, no people, people, marked, good unmarked"
    )
    print("| | " + columns.replace(", ", " | ") + " |\n| --- " + "| ---: " * 11 + "|")
    rows_of = {
        "without": (False, None, False),
        "grounded": (True, None, False),
        "grounded and matched": (True, retriever, False),
        "with actions": (True, retriever, True),
    }
    for name, (grounded, matching, acting) in rows_of.items():
        told = captions(checkpoint, part.test, cache, grounded=grounded, retriever=matching, acting=acting)
        said = [caption.text for caption in told]
        rows: list[float] = []
        for wanted in (True, False):
            own = [i for i, is_held in enumerate(held) if is_held == wanted]
            rows += score([part.test[i] for i in own], [said[i] for i in own])
        figures = [*noun_scores(part.nouns, part.test, said), *rows, *people(part.test, said), *marked(part.test, told)]
        print(f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
