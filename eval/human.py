"""``python -m eval human``: human agreement (leave-one-out), the line that a model is measured against."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from dataclasses import dataclass

import numpy as np

from captioner.errors import DataError
from captioner.metrics.cider import CiderScorer
from captioner.metrics.content import content_words
from captioner.metrics.text import TOKENIZER, tokenize
from eval.goodness import GOOD, agrees
from eval.references import References, add_reference_arguments, read_references
from eval.statistics import METRICS, scores, statistics
from eval.table import columns, points, printable, write_text

DRAWS = 5
SEED = 12345


@dataclass(frozen=True)
class HumanLine:
    """Mean scores of people over some draws, and how much the draws differ."""

    clips: int
    """Clips with at least two references."""
    skipped: int
    """Clips with a single one, which cannot be drawn from."""
    draws: int
    seed: int
    scores: dict[str, float]
    """By metric, in coco-caption's units: the mean of the draws."""
    deviations: dict[str, float]
    """Standard deviation between draws; 0 for one draw."""
    good: float
    """Share of their captions that is good by the rule of :mod:`eval.goodness`; the mean of the draws."""

    def describe(self) -> str:
        """How the line was drawn, in one sentence."""
        return (
            f"leave one out: one reference of each of {self.clips} clips, drawn at random, against the clip's others; "
            f"document frequencies from those others; mean of {self.draws} draws"
        )


def leave_one_out(references: References, *, draws: int = DRAWS, seed: int = SEED) -> HumanLine:
    """Score a person against the others.

    In each draw, one reference of every clip, chosen uniformly, is the hypothesis, and the clip's remaining
    references are the references; CIDEr's document frequencies are those of the remaining references. Raises
    DataError where no clip has two references.
    """
    tokens = {clip: [tokenize(c) for c in group] for clip, group in references.captions.items() if len(group) > 1}
    if not tokens:
        raise DataError(f"{references.source} has no clip with two references or more; people cannot be compared")
    generator = np.random.default_rng(seed)
    words = [[content_words(caption) for caption in references.captions[clip]] for clip in tokens]
    clips, found, good = list(tokens), [], 0
    for _ in range(draws):
        chosen = [int(generator.integers(len(group))) for group in tokens.values()]
        hypotheses = [group[i] for group, i in zip(tokens.values(), chosen, strict=True)]
        others = [group[:i] + group[i + 1 :] for group, i in zip(tokens.values(), chosen, strict=True)]
        good += sum(agrees(group[i], group[:i] + group[i + 1 :]) for group, i in zip(words, chosen, strict=True))
        scorer = CiderScorer.from_tokens(dict(zip(clips, others, strict=True)))
        found.append(scores(statistics(clips, hypotheses, others, scorer).sum(axis=0), len(clips)))
    mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1 if draws > 1 else 0)
    return HumanLine(
        clips=len(clips),
        skipped=len(references.captions) - len(clips),
        draws=draws,
        seed=seed,
        scores=dict(zip(METRICS, map(float, mean), strict=True)),
        deviations=dict(zip(METRICS, map(float, deviation), strict=True)),
        good=good / (draws * len(clips)),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``human``."""
    add_reference_arguments(parser)
    parser.add_argument("--draws", type=int, default=DRAWS, help="times a person is drawn (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the draws (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON (- for stdout, alone)")


def run(args: argparse.Namespace) -> int:
    """Draw, score, print and write."""
    if not 1 <= args.draws <= 1000:
        raise DataError(f"--draws is {args.draws}; it must be 1 to 1000")
    references = read_references(args.references, split=args.split)
    line = leave_one_out(references, draws=args.draws, seed=args.seed)
    if args.json:
        write_text(args.json, json.dumps(dataclasses.asdict(line), indent=1) + "\n")
    rows = [["metric", "people", "sd of draws"]]
    rows += [[name, points(score), points(line.deviations[name])] for name, score in line.scores.items()]
    split = f" ({references.split})" if references.split else ""
    parts = [f"people against people in {printable(references.source)}{split}", columns(rows), line.describe()]
    parts.append(f"good: {100 * line.good:.1f} % of what they say; good is when {GOOD}")
    if line.skipped:
        parts.append(f"{line.skipped} clips have one reference and were left out")
    parts.append(f"signature: clips:{line.clips}|human:loo{line.draws}|case:lc|tok:{TOKENIZER}|seed:{line.seed}")
    print("\n".join(parts), file=sys.stderr if args.json == "-" else sys.stdout)
    return 0
