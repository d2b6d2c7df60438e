"""From predictions and references to an :class:`~eval.scores.evaluation.Evaluation`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from captioner import __version__
from captioner.errors import DataError, counted
from captioner.metrics.characters import PTB, Tokenizer, lacks_spaces
from captioner.metrics.cider import CiderScorer, document_frequency
from captioner.metrics.ngrams import Tokens
from eval.inputs.predictions import Predictions
from eval.inputs.references import References
from eval.scores import meteor
from eval.scores.diversity import diversity, self_cider
from eval.scores.evaluation import ClipScore, Coverage, Evaluation
from eval.scores.statistics import Floats, intervals, metric_names, scores, statistics

RESAMPLES = 1000
SEED = 12345
FEW_CLIPS = 50
"""Below this many clips a warning says what that does to CIDEr."""

Missing = Literal["skip", "empty"]


@dataclass(frozen=True)
class PreparedReferences:
    """References, tokenised once to score any number of systems."""

    references: References
    tokens: dict[str, list[list[str]]]
    scorer: CiderScorer
    tokenizer: Tokenizer

    @classmethod
    def of(cls, references: References, *, tokenizer: Tokenizer = PTB) -> PreparedReferences:
        """Tokenise the references and count their n-grams."""
        tokens = {clip: list(map(tokenizer.tokenize, group)) for clip, group in references.captions.items()}
        return cls(references, tokens, CiderScorer.from_tokens(tokens), tokenizer)


def evaluate(
    predictions: Predictions,
    prepared: PreparedReferences,
    *,
    name: str = "",
    missing: Missing = "skip",
    resamples: int = RESAMPLES,
    seed: int = SEED,
    training: Collection[tuple[str, ...]] | None = None,
    with_meteor: bool = False,
    with_nltk: bool = False,
) -> Evaluation:
    """Score ``predictions``; clips without one are left out (``skip``) or count as an empty caption (``empty``).

    Document frequencies are always those of all references, so that a clip's CIDEr does not hang on which other
    clips have captions. Raises DataError when no clip is left.
    """
    references = prepared.references
    captions, alternatives, coverage = _match(predictions, prepared, missing)
    tokenize = prepared.tokenizer.tokenize
    clips, tokens = list(captions), {clip: tokenize(caption) for clip, caption in captions.items()}
    theirs = [prepared.tokens[clip] for clip in clips]
    rows = statistics(clips, list(tokens.values()), theirs, prepared.scorer)
    if with_meteor:
        rows = np.hstack([rows, meteor.statistics(list(tokens.values()), theirs)])
    frequency = document_frequency(references.captions, tokenize=tokenize) if alternatives else None
    unsaid = {*coverage.missing, *coverage.failed}
    return Evaluation(
        name=name or Path(predictions.source).name,
        predictions=predictions.source,
        references=references.source,
        split=references.split,
        signature=signature(prepared, coverage, resamples=resamples, seed=seed, with_meteor=with_meteor),
        scores=intervals(rows, resamples=resamples, seed=seed),
        extras={"nltk BLEU-4": nltk_bleu(list(tokens.values()), theirs)} if with_nltk else {},
        coverage=coverage,
        diversity=diversity(
            {clip: tokens[clip] for clip in clips if clip not in unsaid},
            {clip: prepared.tokens[clip] for clip in clips},
            training=training,
            self_cider=self_cider(alternatives, frequency=frequency, tokenize=tokenize) if frequency else None,
            n_best=max(map(len, alternatives.values()), default=1),
        ),
        warnings=tuple(_warnings(predictions, prepared, coverage)),
        clips=_clip_scores(captions, tokens, rows, references),
        references_digest=references.digest(),
    )


def signature(
    prepared: PreparedReferences, coverage: Coverage, *, resamples: int, seed: int, with_meteor: bool = False
) -> str:
    """What a score must be quoted with, in sacrebleu's manner (Post 2018); equal signatures are comparable."""
    numbers = [len(group) for group in prepared.references.captions.values()]
    unscored = len(coverage.missing) + len(coverage.failed)
    parts = {
        "clips": f"{coverage.scored}" + (f"of{coverage.references}" if coverage.scored < coverage.references else ""),
        "missing": f"{unscored}as-empty" if unscored and coverage.missing_as_empty else "",
        "nrefs": f"{min(numbers)}-{max(numbers)}" if min(numbers) < max(numbers) else f"{numbers[0]}",
        "case": "lc",
        "tok": prepared.tokenizer.signature,
        "df": f"refs{coverage.references}",
        "bleu": "coco",
        "meteor": "1.5" if with_meteor else "",
        "split": prepared.references.split,
        "refs": prepared.references.digest(),
        "bs": str(resamples),
        "seed": str(seed),
        "version": __version__,
    }
    return "|".join(f"{key}:{value}" for key, value in parts.items() if value)


def nltk_bleu(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
    """nltk's corpus BLEU-4, unsmoothed, on the same tokens: a figure of its own, not coco-caption's BLEU-4.

    They part where a caption has fewer than four words (nltk counts one 4-gram for it), and where no 4-gram matches.
    """
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

    # method0 is "no smoothing" without the warning that nltk prints for a zero count
    return float(corpus_bleu(references, hypotheses, smoothing_function=SmoothingFunction(1e-300).method1))


def _match(
    predictions: Predictions, prepared: PreparedReferences, missing: Missing
) -> tuple[dict[str, str], dict[str, tuple[str, ...]], Coverage]:
    """The captions to score by clip id in the references' order, their alternatives, and what was left over."""
    references = prepared.references
    owners: dict[str, str] = {}  # clip id -> name in the predictions
    extra, duplicates = [], list(predictions.duplicates)
    named = sorted(predictions.captions, key=lambda name: name not in references.captions)  # exact ids first
    for name in named:
        clip = references.clip_id(name)
        if clip is None:
            extra.append(name)
        elif clip in owners:
            duplicates.append(name)
        else:
            owners[clip] = name
    failed: dict[str, str] = {}
    for name, error in predictions.failed.items():
        clip = references.clip_id(name)
        if clip is None:
            extra.append(name)
        elif clip not in owners:
            failed[clip] = error
    if not owners:
        raise DataError(_nothing_in_common(predictions, references))
    unnamed = tuple(clip for clip in references.captions if clip not in owners and clip not in failed)
    captions = {clip: predictions.captions[owners[clip]] for clip in references.captions if clip in owners}
    if missing == "empty":
        captions = {clip: captions.get(clip, "") for clip in references.captions}
    coverage = Coverage(
        references=len(references.captions),
        scored=len(captions),
        missing=unnamed,
        failed=failed,
        empty=tuple(clip for clip in owners if not prepared.tokenizer.tokenize(captions[clip])),
        extra=tuple(extra),
        duplicates=tuple(duplicates),
        without_references=references.without_captions,
        empty_references=sum(not caption for group in prepared.tokens.values() for caption in group),
        missing_as_empty=missing == "empty",
    )
    names = {name: clip for clip, name in owners.items()}
    alternatives = {names[n]: a for n, a in predictions.alternatives.items() if n in names and len(a) > 1}
    return captions, alternatives, coverage


def _nothing_in_common(predictions: Predictions, references: References) -> str:
    name = next(iter(predictions.captions), None)
    if name is None:
        return f"all {len(predictions.failed)} clips in {predictions.source} failed; there is no caption to score"
    return (
        f"no clip in {predictions.source} is in {references.source}"
        + (f" (split {references.split!r})" if references.split else "")
        + f": clips are called {name!r} in the first and {next(iter(references.captions))!r} in the second"
    )


def _clip_scores(
    captions: dict[str, str], tokens: dict[str, list[str]], rows: Floats, references: References
) -> tuple[ClipScore, ...]:
    names = metric_names(rows.shape[1])
    return tuple(
        ClipScore(
            id=clip,
            caption=captions[clip],
            references=references.captions[clip],
            category=references.categories.get(clip),
            words=len(tokens[clip]),
            scores=dict(zip(names, map(float, own), strict=True)),
            counts=tuple(map(float, row)),
        )
        for clip, own, row in zip(captions, scores(rows, 1), rows, strict=True)
    )


def _warnings(predictions: Predictions, prepared: PreparedReferences, coverage: Coverage) -> list[str]:
    """One plain sentence for each thing that makes the scores mean less than they seem to."""
    found = []
    clips = coverage.references
    if clips == 1:
        found.append(
            "CIDEr is 0 because there is one clip: an n-gram weighs log(clips / clips that have it), log(1 / 1) = 0"
        )
    elif not prepared.scorer.informative:
        found.append(
            "CIDEr is 0 because every n-gram of the references is in the references of every clip: it weighs "
            f"log({clips} / {clips}) = 0"
        )
    elif clips < FEW_CLIPS:
        found.append(
            f"document frequencies come from only {clips} clips: CIDEr is not comparable to one on a whole test set"
        )
    if coverage.scored < clips:
        found.append(
            f"partial: {coverage.scored} of {clips} clips have a caption; these are not scores on the whole set"
        )
    elif coverage.missing or coverage.failed:
        count = len(coverage.missing) + len(coverage.failed)
        found.append(f"{count} of {clips} clips have no caption and were scored as empty ones")
    spaceless = [c for group in prepared.references.captions.values() for c in group if lacks_spaces(c)]
    if spaceless and prepared.tokenizer is PTB:
        many = counted(len(spaceless), "reference caption is", "reference captions are")
        found.append(
            f"{many} in a script without spaces ({spaceless[0][:20]}): each counts as "
            "one word, and the scores mean nothing; score by characters with --tokenize char"
        )
    if coverage.empty_references:
        have = counted(coverage.empty_references, "reference caption has", "reference captions have")
        found.append(f"{have} no word")
    if coverage.without_references:
        found.append(f"{counted(len(coverage.without_references), 'clip')} without references left out")
    if predictions.with_line_breaks:
        hold = counted(predictions.with_line_breaks, "caption holds", "captions hold")
        found.append(f"{hold} line breaks; white space was collapsed")
    return found
