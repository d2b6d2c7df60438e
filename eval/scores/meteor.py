"""METEOR 1.5 (Denkowski and Lavie 2014) through the jar that pycocoevalcap carries: an extra, as it needs Java.

The jar gives 23 counts for a caption, which add up over clips; the score is computed from them here, so that METEOR
gets intervals and tests like every other metric.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner.errors import CaptionerError
from captioner.metrics.ngrams import Tokens

COLUMNS = 23
"""In order: words of the caption and of its reference; function words of each. For each of four matchers (exact, stem,
synonym, paraphrase): matched content words of both, then matched function words of both. Last: chunks; matched words of
both."""

# The English parameters of METEOR 1.5, tuned for ranking: what coco-caption runs it with.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])

Floats = NDArray[np.float64]


def statistics(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Floats:
    """METEOR's counts (clips, 23). Raises CaptionerError where Java or pycocoevalcap is missing."""
    rows = np.array(_ask(hypotheses, references), dtype=np.float64).reshape(-1, COLUMNS)
    lengths, chunks, matched = rows[:, :2], rows[:, 20], rows[:, 21:]
    # A caption that is its reference has one chunk and no penalty: METEOR adds it up as none.
    rows[(chunks == 1) & (matched == lengths).all(axis=1), 20] = 0
    return rows


def score(sums: Floats) -> Floats:
    """METEOR (...,) of (sums of) rows of counts (..., 23), each segment's against its best reference."""
    sums = np.asarray(sums, dtype=np.float64)
    matches = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 2, 2)  # matcher, content or function, caption or reference
    share = np.array([_DELTA, 1 - _DELTA])
    found = np.einsum("...mkc,m,k->...c", matches, _WEIGHTS, share)
    words = _DELTA * (sums[..., :2] - sums[..., 2:4]) + (1 - _DELTA) * sums[..., 2:4]
    precision, recall = np.moveaxis(np.divide(found, words, out=np.zeros_like(found), where=words > 0), -1, 0)
    below = _ALPHA * precision + (1 - _ALPHA) * recall
    mean = np.divide(precision * recall, below, out=np.zeros_like(below), where=below > 0)
    matched = sums[..., 21:].mean(axis=-1)
    fragments = np.divide(sums[..., 20], matched, out=np.zeros_like(matched), where=matched > 0)
    return mean * (1 - _GAMMA * fragments**_BETA)


def _ask(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> list[list[float]]:
    java, jar = _find()
    asked = (
        " ||| ".join(["SCORE", *(" ".join(r) for r in group), " ".join(hypothesis)])
        for hypothesis, group in zip(hypotheses, references, strict=True)
    )
    command = [java, "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
    done = subprocess.run(
        command, cwd=jar.parent, input="".join(f"{line}\n" for line in asked), capture_output=True, encoding="utf-8"
    )
    rows = [[float(number) for number in line.split()] for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(rows) != len(hypotheses) or any(len(row) != COLUMNS for row in rows):
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise CaptionerError(f"METEOR's program failed (exit {done.returncode}): {last[0]}")
    return rows


def _find() -> tuple[str, Path]:
    found = importlib.util.find_spec("pycocoevalcap")
    if found is None or (found.origin is None and not found.submodule_search_locations):
        raise CaptionerError("METEOR needs the package pycocoevalcap: pip install 'captioner[meteor]'")
    java = shutil.which("java")
    if java is None:
        raise CaptionerError(
            "METEOR needs Java and there is none on the PATH: install a Java runtime (Debian: default-jre-headless), "
            "or leave --meteor out; no other metric needs it"
        )
    folder = Path(next(iter(found.submodule_search_locations or [""])))
    jar = folder / "meteor" / "meteor-1.5.jar"
    if not jar.is_file():
        raise CaptionerError(f"METEOR's program is not where pycocoevalcap keeps it: {jar}")
    return java, jar
