"""Retrieval as a task: a caption must find its clip among others, by the features of a captioner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captioner.checkpoint.captioning import Checkpoint
from captioner.errors import ConfigError, DataError, counted
from captioner.manifest import Clip, read_manifest
from captioner.metrics.text import tokenize
from captioner.retrieval.checkpoint import save_retriever
from captioner.retrieval.queries import Vocabulary
from captioner.retrieval.ranks import ranks
from captioner.retrieval.retriever import Retriever, contrast, pooled
from captioner.training.batch import collate_clips
from captioner.training.config import Recipe
from captioner.training.corpus import Corpus, load_corpora
from captioner.training.log import TrainingLog
from captioner.training.runstate import digest
from captioner.training.start import load_start
from captioner.training.task import Batch, Scores, Stage

_BATCH = 256
_MOST_WORDS = 24
"""Of a caption; the rest is left out in training."""

Sentences = list[list[list[int]]]
"""The captions of each clip, each as its words' numbers."""


class RetrievalTask:
    """What :class:`captioner.training.task.Task` asks for, for a retriever.

    ``train.start`` names the captioner whose features are read. A batch holds clips of one manifest, each with one of
    its captions; those of ``data.text``, where two captions of a clip must find each other, teach words first.
    """

    def __init__(self, recipe: Recipe, log: TrainingLog, device: torch.device) -> None:
        self.recipe, self.config, self.device = recipe, recipe.train, device
        begun = load_start(recipe)
        if not isinstance(begun.checkpoint, Checkpoint) or recipe.train.train_encoder:
            raise ConfigError(
                f"train.start is {recipe.train.start!r} with train.train_encoder = "
                f"{str(recipe.train.train_encoder).lower()}; the task retrieval reads the features of a captioner as "
                "it is: set train.start = 'default' or a captioner's folder, and leave train_encoder out"
            )
        self.start, self._encoder, self._papers = begun.fingerprint, begun.encoder, begun.papers
        self.corpus, self.val = load_corpora(recipe, begun.encoder, video=begun.video, log=log, in_memory=False)
        self._clips = self._pooled(self.corpus)
        self._val_clips = {name: self._pooled(corpus)[0] for name, corpus in self.val.items()}
        said = [_tokens(clip) for clip in self.corpus.clips]
        more = [_tokens(clip) for path in recipe.data.text for clip in _texts(path)]
        self.words = Vocabulary.learn([*said, *more], least=recipe.retriever.least_count)
        self._said = self._encoded(said)
        self._text = [captions for captions in self._encoded(more) if len(captions) > 1]
        self._val_said = {name: self._encoded([_tokens(c) for c in corpus.clips]) for name, corpus in self.val.items()}
        log.say(
            f"train: {counted(len(said), 'clip')}, {counted(sum(map(len, said)), 'caption')}, captions of "
            f"{counted(len(self._text), 'clip')} without file, {counted(len(self.words), 'word')}; val: "
            + ", ".join(f"{n} {len(c.clips)}" for n, c in self.val.items())
        )
        inputs = self._clips.shape[-1]
        places = self._encoder.places
        self.model = Retriever(recipe.retriever, inputs=inputs, words=self.words.rows, places=places).to(device)
        self.model.clips.learn_scale(self._clips[0])
        self._sets = _by_manifest(self.corpus.clips, recipe.data.manifests)
        self.stages = (
            Stage("text", self.config.text_epochs if self._text else 0, self.config.learning_rate, validated=False),
            Stage("retrieval", self.config.epochs, self.config.learning_rate),
        )

    def _pooled(self, corpus: Corpus) -> Tensor:
        """The pooled features of all clips, by view: (V, N, F)."""
        views = [corpus.arrays, *zip(*corpus.views, strict=True)]
        return torch.stack([torch.cat([self._of(array) for array in view]) for view in views]).to(self.device)

    def _of(self, array: np.ndarray) -> Tensor:
        clip, mask = collate_clips([np.asarray(array)], like=array)
        return pooled(clip, mask, places=self._encoder.places)

    def _encoded(self, captions: Sequence[list[list[str]]]) -> Sentences:
        return [[self.words.numbers(words[:_MOST_WORDS]) for words in clip] for clip in captions]

    def batches(self, stage: Stage, rng: np.random.Generator) -> Iterator[Batch]:
        """Pairs of a clip and one of its captions; in the text stage, pairs of two captions of one clip."""
        size = self.config.batch_size
        if stage.name == "text":
            order = rng.permutation(len(self._text))
            pairs = [(int(i), *map(int, rng.permutation(len(self._text[i]))[:2])) for i in order]
            yield from (pairs[k : k + size] for k in range(0, len(pairs), size))
            return
        batches = []
        for clips in self._sets:
            batches += [batch for round_ in self._rounds(clips, rng) for batch in _split(round_, size)]
        yield from (batches[i] for i in rng.permutation(len(batches)))

    def _rounds(self, clips: list[int], rng: np.random.Generator) -> Iterator[Batch]:
        """Pairs of all clips of a manifest with one of their captions, as many rounds as the recipe sets."""
        most = max(len(self._said[i]) for i in clips)
        per_clip = self.config.captions_per_clip or most
        order = {i: rng.permutation(len(self._said[i])) for i in clips}
        for k in range(per_clip * self.corpus.repeat[clips[0]]):
            yield [(int(i), int(order[i][k % len(order[i])])) for i in rng.permutation(clips)]

    def loss(
        self, stage: Stage, batch: Batch, *, rng: np.random.Generator, step: int
    ) -> tuple[Tensor, dict[str, float]]:
        self.model.train()
        if stage.name == "text":
            first, second = ([self._text[pair[0]][pair[k]] for pair in batch] for k in (1, 2))
            read = self.model.queries(self._padded([*first, *second]))
            return contrast(read[: len(batch)], read[len(batch) :], temperature=self.recipe.task.temperature), {}
        views = torch.from_numpy(rng.integers(len(self._clips), size=len(batch)))
        clips = self.model.clips(self._clips[views, [clip for clip, _ in batch]])
        queries = self.model.queries(self._padded([self._said[clip][caption] for clip, caption in batch]))
        return contrast(queries, clips, temperature=self.recipe.task.temperature), {}

    def weight(self, stage: Stage, batch: Batch) -> float:
        return float(len(batch))

    def _padded(self, sentences: Sequence[list[int]]) -> Tensor:
        """Sentences as padded numbers (B, L)."""
        rows = torch.zeros(len(sentences), max(map(len, sentences)), dtype=torch.long)
        for row, numbers in zip(rows, sentences, strict=True):
            row[: len(numbers)] = torch.tensor(numbers)
        return rows.to(self.device)

    @torch.inference_mode()
    def validate(self) -> Scores:
        """Recall at 1 and at 10 of each set, from captions to clips. Their mean chooses the checkpoint."""
        values: dict[str, float] = {}
        for name, clips in self._val_clips.items():
            said = self._val_said[name]
            sentences = [caption for captions in said for caption in captions]
            owners = np.array([i for i, captions in enumerate(said) for _ in captions])
            order = sorted(range(len(sentences)), key=lambda k: len(sentences[k]))
            queries = torch.empty(len(sentences), self.model.config.width, device=self.device)
            for k in range(0, len(order), _BATCH):
                part = order[k : k + _BATCH]
                queries[part] = self.model.queries(self._padded([sentences[i] for i in part]))
            found = ranks((queries @ self.model.clips(clips).T).float().cpu().numpy(), owners)
            values |= {f"recall{k}_{name}": float((found < k).mean()) for k in (1, 10)}
        mean = float(np.mean(list(values.values())))
        return Scores(mean, {"recall": mean}, values)

    def save(self, folder: Path, *, trained_on: dict[str, Any]) -> None:
        learned = {"text": [digest(path) for path in self.recipe.data.text], "clips": len(self.corpus.clips)}
        save_retriever(
            folder,
            model=self.model,
            words=self.words,
            reads=self._encoder.fingerprint(),
            trained_on=trained_on | learned,
            papers=self._papers,
        )


def _tokens(clip: Clip) -> list[list[str]]:
    """The captions that have words; raises DataError for a clip without such a caption."""
    found = [words for words in map(tokenize, clip.captions) if words]
    if not found:
        raise DataError(f"no caption of {clip.id!r} has a word: {list(clip.captions)[:1]}")
    return found


def _texts(path: str) -> list[Clip]:
    return [clip for clip in read_manifest(path, split="train") if any(map(tokenize, clip.captions))]


def _by_manifest(clips: Sequence[Clip], manifests: Sequence[str]) -> list[list[int]]:
    """The indices of each manifest's clips. A batch holds one manifest: clips of another are too easy to tell apart."""
    owner = {clip: number for number, path in enumerate(manifests) for clip in read_manifest(path, split="train")}
    groups: dict[int, list[int]] = {}
    for i, clip in enumerate(clips):
        groups.setdefault(owner[clip], []).append(i)
    return list(groups.values())


def _split(pairs: Batch, size: int) -> Iterator[Batch]:
    """Batches of about ``size``, all of nearly the same number of pairs."""
    count = max(1, round(len(pairs) / size))
    bounds = [len(pairs) * i // count for i in range(count + 1)]
    yield from (pairs[a:b] for a, b in pairwise(bounds))
