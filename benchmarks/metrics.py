"""How fast are the metrics: 2,990 clips x 20 references, the size of MSR-VTT's test set.

    python benchmarks/metrics.py [REFERENCES]

REFERENCES (MSR-VTT's test zip, say) gives real captions: each clip's first is the hypothesis, the others are the
references. Without it, captions of the same shape are made up. CIDEr and ROUGE-L are timed against pycocoevalcap
(where it is installed) in interleaved runs, both on tokens, best of three. Wanted: CIDEr 7x, ROUGE-L 4x, everything
but METEOR below 15 s, 1,000 bootstrap resamples below 2 s. Seconds are the processor's, which a busy machine does not
stretch; all of it runs on one core, so that they are the time it takes on an idle one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import least_seconds
from captioner.metrics import bleu, rouge
from captioner.metrics.cider import CiderScorer
from captioner.metrics.text import tokenize
from eval.inputs.predictions import Predictions
from eval.inputs.references import References, read_references
from eval.scores.scorer import PreparedReferences, evaluate
from eval.scores.statistics import bootstrap, compare, statistics

CLIPS, CAPTIONS, RUNS = 2990, 20, 3


def made_up() -> dict[str, tuple[str, ...]]:
    """Captions whose words are as unequally common as in English, each clip with its own topic."""
    generator = np.random.default_rng(1)
    words = np.array([f"w{i}" for i in range(8000)])
    topics = generator.integers(0, 8000, size=(CLIPS, 12))
    captions = {}
    for clip in range(CLIPS):
        common = words[np.minimum(generator.zipf(1.3, size=(CAPTIONS, 12)) - 1, 7999)]
        own = words[generator.choice(topics[clip], size=(CAPTIONS, 12))]
        mixed = np.where(generator.random((CAPTIONS, 12)) < 0.5, common, own)
        lengths = generator.integers(5, 13, size=CAPTIONS)
        captions[f"video{clip}"] = tuple(" ".join(row[:n]) for row, n in zip(mixed, lengths, strict=True))
    return captions


def against_pycocoevalcap(hypotheses: dict[str, list[str]], references: dict[str, list[list[str]]]) -> None:
    """Print how many times faster CIDEr, ROUGE-L and BLEU are than pycocoevalcap's, on the same tokens."""
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError:
        print("pycocoevalcap is not installed (captioner[meteor]): no ratios")
        return
    given = {clip: [" ".join(caption) for caption in group] for clip, group in references.items()}
    said = {clip: [" ".join(caption)] for clip, caption in hypotheses.items()}
    clips, captions, groups = list(hypotheses), list(hypotheses.values()), list(references.values())
    pairs = {
        "CIDEr": (
            lambda: CiderScorer.from_tokens(references).score_tokens(clips, captions),
            lambda: Cider().compute_score(given, said),
        ),
        "ROUGE-L": (
            lambda: [rouge.sentence(h, r) for h, r in zip(captions, groups, strict=True)],
            lambda: Rouge().compute_score(given, said),
        ),
        "BLEU-1..4": (
            lambda: bleu.score(bleu.statistics(captions, groups)),
            lambda: Bleu(4).compute_score(given, said, verbose=0),
        ),
    }
    for name, (ours, theirs) in pairs.items():
        seconds = least_seconds({"ours": ours, "theirs": theirs}, RUNS)
        ratio = seconds["theirs"] / seconds["ours"]
        print(f"{name:10} {ratio:5.1f}x pycocoevalcap ({seconds['ours']:.2f} s, {seconds['theirs']:.2f} s)")


def main() -> None:
    """Print the ratios and the times."""
    captions = read_references(sys.argv[1]).captions if len(sys.argv) > 1 else made_up()
    said = {clip: group[0] for clip, group in captions.items()}
    others = {clip: group[1:] for clip, group in captions.items()}
    source = sys.argv[1] if len(sys.argv) > 1 else "made-up captions"
    print(f"{len(said)} clips, {sum(map(len, others.values()))} references of {source}")

    tokens = {clip: [tokenize(caption) for caption in group] for clip, group in others.items()}
    spoken = {clip: tokenize(caption) for clip, caption in said.items()}
    against_pycocoevalcap(spoken, tokens)

    scorer = CiderScorer.from_tokens(tokens)
    clips, sentences = list(said) * 5, list(said.values()) * 5
    rows = statistics(list(spoken), list(spoken.values()), list(tokens.values()), scorer)
    predictions = Predictions("made here", said, {}, (), {}, 0)
    references = References("made here", "", others, {}, (), {})
    seconds = least_seconds(
        {
            "everything but METEOR": lambda: evaluate(predictions, PreparedReferences.of(references), with_nltk=True),
            "1,000 bootstrap resamples": lambda: bootstrap(rows, resamples=1000),
            "paired tests, 1,000 and 10,000": lambda: compare(rows, rows[::-1], resamples=1000, trials=10000),
            "tokenising": lambda: [tokenize(caption) for group in others.values() for caption in group],
            "CIDEr as a reward": lambda: scorer.score(clips, sentences),
        },
        RUNS,
    )
    rates = {"tokenising": sum(map(len, others.values())), "CIDEr as a reward": len(clips)}
    for name, value in seconds.items():
        rate = f" ({rates[name] / value:,.0f} captions a second)" if name in rates else ""
        print(f"{name:30} {value:6.2f} s{rate}")


if __name__ == "__main__":
    main()
