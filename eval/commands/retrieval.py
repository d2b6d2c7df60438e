"""``python -m eval retrieval``: does a sentence find its clip among all in an index, and a clip its sentences?

Every system scores all clips for each sentence: the retriever alone, BM25 over captions, BM25 over captions and the
words seen, and what ``captioner find`` does by default. Where the index keeps features, the decoder's likelihood
reranks the best hundred too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from captioner.errors import DataError, counted
from captioner.index.archive import LIKELIHOOD_WEIGHT, WORDS_WEIGHT, Archive
from captioner.index.likelihood import Likelihood
from captioner.index.schema import has_features
from captioner.manifest import Clip, read_manifest
from eval.commands.arguments import add_overwrite
from eval.inputs.index import bm25, likelihoods, rows_by_file, similarities, word_shares
from eval.report.table import check_outputs, columns, write_text
from eval.scores.retrieval import RetrievalScores
from eval.scores.statistics import Floats, Interval

_LIKELIHOODS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
_WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help="of the clips: captioner index --manifest MANIFEST --split test")
    parser.add_argument("manifest", metavar="MANIFEST", help="JSON Lines with the sentences of the same clips")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--captions", type=int, default=5, metavar="N", help="sentences of each clip (default: 5)")
    parser.add_argument("--retriever", metavar="DIR", help="retriever's folder (default: the one in the package)")
    parser.add_argument("-m", "--model", metavar="DIR", help="captioner that made the index (default: the package's)")
    parser.add_argument("--weights", action="store_true", help="score with other weights too")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Score, print and write."""
    check_outputs([args.out], overwrite=args.overwrite)
    with Archive.open(args.index, retriever=args.retriever) as archive:
        clips = [clip for clip in read_manifest(args.manifest, split=args.split) if clip.captions and clip.path]
        rows = rows_of(archive, clips)
        sentences = [" ".join(text.split()) for clip in clips for text in clip.captions[: args.captions]]
        owners = np.array([i for i, clip in enumerate(clips) for _ in clip.captions[: args.captions]])
        near, words = similarities(archive, sentences, rows), word_shares(archive, sentences, rows)
        systems: dict[str, Callable[[], Floats]] = {
            "retriever": lambda: near,
            "BM25, captions": lambda: bm25(archive, sentences, rows, columns="caption"),
            "BM25, captions and words": lambda: bm25(archive, sentences, rows),
            f"default ({WORDS_WEIGHT} x words)": lambda: near + WORDS_WEIGHT * words,
        }
        if args.weights:
            systems |= {f"{w} x words": lambda w=w: near + w * words for w in _WEIGHTS}  # type: ignore[misc]
        if has_features(archive.connection):
            default = near + WORDS_WEIGHT * words
            likely = likelihoods(archive, Likelihood.load(args.model), sentences, rows, default)
            chosen = _LIKELIHOODS if args.weights else (LIKELIHOOD_WEIGHT,)
            systems |= {f"reranked ({w} x likelihood)": lambda w=w: default + w * likely for w in chosen}  # type: ignore[misc]
        measured = {name: RetrievalScores(score(), owners).measures() for name, score in systems.items()}
    sizes = f"{counted(len(clips), 'clip')}, {counted(len(sentences), 'sentence')}"
    print(f"{sizes} ({args.split}); 95 % intervals by resampling clips")
    print(table(measured))
    if args.out:
        values = {name: {key: asdict(i) for key, i in found.items()} for name, found in measured.items()}
        write_text(args.out, json.dumps(values, indent=1) + "\n", overwrite=args.overwrite)
    return 0


def rows_of(archive: Archive, clips: Sequence[Clip]) -> np.ndarray:
    """The row of each clip; raises DataError unless each is in the index with one row."""
    numbers = rows_by_file(archive)
    found = []
    for clip in clips:
        assert clip.path is not None
        here = numbers.get((str(Path(clip.path).absolute()), clip.start_seconds or 0.0), [])
        if len(here) != 1:
            raise DataError(
                f"{clip.id!r} has {len(here)} rows in {archive.path}; it takes one: index without --segments"
            )
        found += here
    return np.array(found)


def table(measured: dict[str, dict[str, Interval]]) -> str:
    """A row a system; recall in percent with its interval."""
    names = list(next(iter(measured.values())))
    heading = ["system", *(name.replace("text to clip ", "").replace("clip to text ", "back ") for name in names)]
    rows = [[system, *(_cell(name, found[name]) for name in names)] for system, found in measured.items()]
    return columns([heading, *rows])


def _cell(name: str, interval: Interval) -> str:
    if "rank" in name:
        return f"{interval.score:.0f}"
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.score:.1f} ({low:.1f}-{high:.1f})"
