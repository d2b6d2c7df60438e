"""Our tokens and scores against pycocoevalcap itself, its Java tokenizer included, on real captions.

Human against the other humans: every clip's first caption is the hypothesis, the others are the references.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from captioner.metrics.bleu import bleu
from captioner.metrics.cider import cider
from captioner.metrics.rouge import rouge_l
from captioner.metrics.text import tokenize
from tests.metrics.test_metrics import TOKENS

pytestmark = [
    pytest.mark.java,
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java: apt-get install default-jre-headless"),
    pytest.mark.skipif(importlib.util.find_spec("pycocoevalcap") is None, reason="pip install 'captioner[meteor]'"),
]

Captions = dict[str, list[str]]


@pytest.fixture(scope="module")
def captions(shared: Path) -> dict[str, Captions]:
    """Every caption of MSVD test (635 clips) and MSR-VTT test (2,990), with white space collapsed.

    coco-caption pairs the Java program's lines with captions by position; some MSVD captions hold line breaks.
    """
    msvd: Captions = defaultdict(list)
    for line in (shared / "msvd/sents_test_lc_nopunc.txt").read_text(encoding="utf-8").splitlines():
        clip, tab, caption = line.partition("\t")
        if tab:
            msvd[clip].append(caption)
    msrvtt: Captions = defaultdict(list)
    with zipfile.ZipFile(shared / "msrvtt/test_videodatainfo.json.zip") as archive:
        for sentence in json.loads(archive.read("test_videodatainfo.json"))["sentences"]:
            msrvtt[sentence["video_id"]].append(sentence["caption"])
    both = {"MSVD": msvd, "MSR-VTT": msrvtt}
    return {name: {c: [" ".join(x.split()) for x in xs] for c, xs in data.items()} for name, data in both.items()}


def java_tokens(captions: Captions) -> Captions:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    given = {clip: [{"caption": caption} for caption in group] for clip, group in captions.items()}
    tokens: Captions = PTBTokenizer().tokenize(given)
    return tokens


@pytest.mark.parametrize(("name", "least"), [("MSVD", 20_000), ("MSR-VTT", 59_000)])
def test_tokens_equal_on_all_test_captions(captions: dict[str, Captions], name: str, least: int):
    theirs = java_tokens(captions[name])
    pairs = [(c, t) for clip, group in captions[name].items() for c, t in zip(group, theirs[clip], strict=True)]
    differing = [f"{c!r}: {tokenize(c)} is not {t.split()}" for c, t in pairs if tokenize(c) != t.split()]
    assert len(pairs) >= least
    assert len(differing) <= 0.0005 * len(pairs), "\n".join(differing)
    print(f"{name}: {len(pairs) - len(differing)} of {len(pairs)} captions have equal tokens", *differing, sep="\n  ")


def test_the_recorded_tokens_are_what_java_says():
    """test_metrics.py holds our tokens to these without Java."""
    asked = {str(number): [" ".join(caption.split())] for number, (caption, _) in enumerate(TOKENS)}
    asked = {number: group for number, group in asked.items() if group[0]}
    theirs = java_tokens(asked)
    for number in asked:
        assert theirs[number][0].split() == TOKENS[int(number)][1].split()


@pytest.mark.parametrize(("name", "clips"), [("MSVD", 635), ("MSR-VTT", 1400)])
def test_scores_equal_to_four_decimals(captions: dict[str, Captions], name: str, clips: int):
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    chosen = dict(list(captions[name].items())[:clips])
    tokens = java_tokens(chosen)
    same = [c for c in chosen if [tokenize(x) for x in chosen[c]] == [t.split() for t in tokens[c]]]
    assert len(chosen) == clips and len(same) >= 0.99 * clips
    ours = {c: chosen[c][0] for c in same}, {c: chosen[c][1:] for c in same}
    theirs = {c: tokens[c][1:] for c in same}, {c: tokens[c][:1] for c in same}

    corpus, per_clip = Bleu(4).compute_score(*theirs, verbose=0)
    mine = bleu(*ours)
    assert mine.corpus == pytest.approx(corpus, abs=5e-5)
    assert pytest.approx(np.array(per_clip), abs=5e-5) == mine.per_clip.T
    for metric, reference in ((rouge_l, Rouge()), (cider, Cider())):
        corpus, per_clip = reference.compute_score(*theirs)
        score = metric(*ours)
        assert score.corpus == pytest.approx(corpus, abs=5e-5)
        assert score.per_clip == pytest.approx(per_clip, abs=5e-5)
