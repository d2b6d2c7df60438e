"""Hypotheses become a caption: reranked, with their words, nouns and confidence.

Plain functions that both the captioner and the exported captioner call. They know no model, and no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from itertools import zip_longest

import numpy as np

from captioner.caption.result import Alternative, Caption, DetectedNoun, Place, Word
from captioner.language.calibration import Calibration
from captioner.language.config import SearchConfig
from captioner.language.grounding import Condition, clip_nouns, likely_actions, required_token
from captioner.language.hypothesis import Hypothesis
from captioner.language.lexicon import Lexicon
from captioner.language.pieces import Pieces
from captioner.language.reranker import Reranker, reranks
from captioner.retrieval.queries import Queries
from captioner.video.frames import Frames
from captioner.vision.nouns import animals, nouns

BLANK = "there is nothing to see in it: its frames are plain, striped or noise"
UNCALIBRATED = "min_confidence is not a probability here: this checkpoint's confidence is not calibrated"
_SEVERAL = 0.2
"""Where it is less probable that captions say several people or animals, this one cannot."""
_PERSON_BY_ANIMAL = 0.8
"""How probable a person must be to be said of a clip that shows an animal and no action; else a half is enough."""
_LEAST = 0.05
"""Nouns less probable than this are not told."""
_MOST = 5
"""Nouns told of a clip."""
_SUBJECT = 3
"""Words of the first of two subjects, at most: "a brown dog"."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What a checkpoint holds beside its network: how hypotheses become a caption."""

    pieces: Pieces
    reranker: Reranker | None
    calibration: Calibration | None
    fingerprint: str
    lexicon: Lexicon | None = None
    """Of a grounded checkpoint."""
    reliability: np.ndarray | None = None
    """(N,) of the classifier's nouns, of a grounded checkpoint."""
    queries: Queries | None = None
    """Of the retriever that reads this checkpoint's features: how well a sentence fits a clip."""

    def reranks(self, config: SearchConfig) -> bool:
        """Whether the n-best list is reranked with these settings."""
        return self.reranker is not None and reranks(config)

    def searched(self, config: SearchConfig) -> SearchConfig:
        """The settings to search with: every beam is kept where the n-best list is reranked."""
        return _of_all_beams(config) if self.reranks(config) else config

    def condition(self, evidence: Evidence, config: SearchConfig) -> Condition | None:
        """What the search of a clip is conditioned on; None where the checkpoint is not grounded."""
        if self.lexicon is None or evidence.nouns is None:
            return None
        acts = np.zeros(0, np.float32) if evidence.actions is None else evidence.actions
        needed = _PERSON_BY_ANIMAL if evidence.shows_animal and not acts.any() else 0.5
        nobody = evidence.people_prob is not None and evidence.people_prob < needed
        pointed = evidence.nouns[self.lexicon.columns]
        token = required_token(pointed, self.lexicon) if self.reranks(config) and config.noun_weight > 0 else -1
        return Condition(
            lexicon=self.lexicon,
            noun_probs=pointed,
            action_probs=np.asarray(acts * (not nobody) / max(1.0, float(acts.sum())), dtype=np.float32),
            nobody=np.array(nobody),
            alone=np.array(evidence.several_prob is not None and evidence.several_prob < _SEVERAL),
            token=np.array(token),
        )

    def matches(self, texts: Sequence[str], evidence: Evidence) -> np.ndarray | None:
        """Cosines (H,) of sentences and a clip; None without a retriever that reads this checkpoint's features."""
        if self.queries is None or evidence.vector is None:
            return None
        return self.queries.vectors(texts) @ evidence.vector.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the network observes in one clip beside its memory, as arrays."""

    noun_probs: np.ndarray | None
    """(T, N) of the classifier's nouns in each frame, zeros where it did not look; None without a classifier."""
    word_probs: np.ndarray | None
    """(W,) of the detector's words in the clip; None without a detector."""
    rendered_prob: float = 0.0
    """That the clip shows graphics, not the world; 0 without a detector of them."""
    people_prob: float | None = None
    """That a person is in the clip; None where the checkpoint is not grounded."""
    several_prob: float | None = None
    """That captions say several people or animals; None where that is not detected."""
    action_probs: np.ndarray | None = None
    """(A,) of what people do in the clip; None without a detector of actions."""
    vector: np.ndarray | None = None
    """(W,) float16 of the clip, by the retriever; None without one."""
    reliability: np.ndarray | None = None
    """(N,) of the classifier's nouns; None where the checkpoint is not grounded."""

    @cached_property
    def nouns(self) -> np.ndarray | None:
        """Calibrated probabilities (N,) of the nouns in the clip; None where the checkpoint is not grounded."""
        if self.reliability is None or self.noun_probs is None:
            return None
        return clip_nouns(self.noun_probs, self.reliability)

    @property
    def shows_animal(self) -> bool:
        """Whether the classifier finds an animal likelier than not."""
        return self.noun_probs is not None and bool(clip_nouns(self.noun_probs, np.ones(1))[animals()].sum() > 0.5)

    @property
    def actions(self) -> np.ndarray | None:
        """Probabilities (A,) of the actions that are likelier than not, zeros for the others."""
        return None if self.action_probs is None else likely_actions(self.action_probs)

    def first_frames(self, count: int) -> Evidence:
        """The same without what pads the clip after so many frames."""
        return self if self.noun_probs is None else replace(self, noun_probs=self.noun_probs[:count])


@lru_cache(maxsize=16)
def _of_all_beams(config: SearchConfig) -> SearchConfig:
    return replace(config, n_best=config.beams)


def choose(
    found: Sequence[Hypothesis], wording: Wording, *, evidence: Evidence, config: SearchConfig
) -> list[Hypothesis]:
    """The n-best list of one clip, best first: as the search found it, or reranked by what was observed."""
    if wording.reranker is None or evidence.word_probs is None or not reranks(config):
        return list(found)
    texts = [wording.pieces.decode(hypothesis.tokens) for hypothesis in found]
    ranked = wording.reranker.rerank(
        found,
        texts,
        word_probs=evidence.word_probs,
        noun_probs=evidence.nouns,
        action_probs=evidence.actions,
        matches=wording.matches(texts, evidence) if config.match_weight else None,
        config=config,
    )
    return ranked[: config.n_best]


def tell(
    hypotheses: Sequence[Hypothesis],
    wording: Wording,
    *,
    attention: np.ndarray,
    gates: np.ndarray | None,
    evidence: Evidence,
    frames: Frames,
    place: Place,
    min_confidence: float,
) -> Caption:
    """The caption of one clip from its n-best list; ``attention`` (L, T, P) and ``gates`` (L, 2) are of the best."""
    best, calibration = hypotheses[0], wording.calibration
    words = _words(best, wording.pieces, attention, gates, frames)
    decoded = wording.pieces.decode(best.tokens)
    matches = wording.matches([decoded], evidence)
    match = None if matches is None else float(matches[0])
    support = None
    if wording.reranker is not None and evidence.word_probs is not None:
        support = wording.reranker.support(decoded, word_probs=evidence.word_probs)
    detected: tuple[DetectedNoun, ...] = ()
    if evidence.noun_probs is not None and not frames.is_blank:
        said = fit_verb(fit_articles([word.text for word in words]))
        words = [replace(word, text=text) for word, text in zip(words, said, strict=True)]
        detected = detected_nouns(evidence.noun_probs, frames.times_seconds, said=said)
    text = " ".join(word.text for word in words)
    mean_log_prob = best.log_prob / max(1, len(best.tokens) + best.finished)
    if frames.is_blank:
        confidence = 0.0
    elif calibration is None:
        confidence = math.exp(mean_log_prob)
    else:
        confidence = calibration.confidence(
            mean_log_prob,
            moving=len(frames.times_seconds) > 1,
            words=len(words),
            seen=detected[0].probability if detected else 0.0,
            support=support or 0.0,
            match=match or 0.0,
            rendered=evidence.rendered_prob,
        )
    return Caption(
        path=place.path,
        text=text,
        score=best.score,
        log_prob=best.log_prob,
        confidence=confidence,
        calibrated=calibration is not None,
        abstained=confidence < min_confidence,
        words=tuple(words),
        alternatives=_alternatives(hypotheses, text, wording.pieces),
        times_seconds=frames.times_seconds,
        start_seconds=place.start_seconds,
        end_seconds=frames.duration_seconds if place.end_seconds is None else place.end_seconds,
        warnings=(*frames.warnings, *_warnings(frames, calibration, min_confidence)),
        model=wording.fingerprint,
        evidence=detected,
        support=support,
        match=match,
    )


def _words(
    best: Hypothesis, pieces: Pieces, attention: np.ndarray, gates: np.ndarray | None, frames: Frames
) -> list[Word]:
    words = []
    for text, first, last in pieces.words(best.tokens):
        shares = attention[first:last].mean(axis=0)  # (T, P)
        over_time = shares.sum(axis=1)
        words.append(
            Word(
                text=text,
                attention=tuple(over_time.tolist()),
                peak_seconds=frames.times_seconds[int(over_time.argmax())],
                grid=tuple(map(tuple, shares.tolist())) if shares.shape[1] > 1 else (),
                gates=None if gates is None else tuple(gates[first:last].mean(axis=0).tolist()),
            )
        )
    return words


def detected_nouns(
    noun_probs: np.ndarray, times_seconds: Sequence[float], *, said: Sequence[str]
) -> tuple[DetectedNoun, ...]:
    """The likeliest nouns of a clip, from their probabilities (T, N) in its frames; ``said`` is its caption.

    Rows of zeros are frames that the classifier did not look at.
    """
    read = (noun_probs != 0).any(axis=1)
    if not read.any():
        return ()
    noun_probs = noun_probs[read]
    times = [seconds for seconds, looked in zip(times_seconds, read.tolist(), strict=True) if looked]
    mean = noun_probs.mean(axis=0)
    found = [
        DetectedNoun(
            noun=nouns()[column].name,
            probability=float(mean[column]),
            peak_seconds=times[int(noun_probs[:, column].argmax())],
            used=f" {nouns()[column].name} " in f" {' '.join(said)} ",
        )
        for column in (-mean).argsort(kind="stable")[:_MOST].tolist()
    ]
    return tuple(noun for noun in found if noun.probability >= _LEAST)


def fit_articles(words: Sequence[str]) -> list[str]:
    """A caption's words with the article that fits each noun of the table: "a elephant" becomes "an elephant"."""
    return [
        _article(after) if word in ("a", "an") and after in _first_words() else word
        for word, after in zip_longest(words, words[1:], fillvalue="")
    ]


def fit_verb(words: Sequence[str]) -> list[str]:
    """A caption's words with the verb that fits two subjects: "a man and a dog is" becomes "a man and a dog are"."""
    subject = words[: words.index("is")] if "is" in words else ()
    first = subject.index("and") if "and" in subject else 0
    if not (0 < first <= _SUBJECT and {"a", "an", "the"}.intersection(subject[first + 1 : first + 2])):
        return list(words)
    return [*subject, "are", *words[len(subject) + 1 :]]


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" and not noun.startswith("uni") else "a"


@cache
def _first_words() -> frozenset[str]:
    return frozenset(noun.name.split()[0] for noun in nouns())


def _alternatives(hypotheses: Sequence[Hypothesis], best: str, pieces: Pieces) -> tuple[Alternative, ...]:
    """Each sentence once, the best way of writing it: pieces may spell the same words in several ways.

    ``best`` is the text of the first, where a noun may be corrected.
    """
    found: dict[str, Alternative] = {}
    for rank, h in enumerate(hypotheses):
        text = pieces.decode(h.tokens) if rank else best
        found.setdefault(text, Alternative(text=text, score=h.score, log_prob=h.log_prob))
    return tuple(found.values())


def _warnings(frames: Frames, calibration: Calibration | None, min_confidence: float) -> tuple[str, ...]:
    blank = (BLANK,) if frames.is_blank else ()
    return (*blank, UNCALIBRATED) if min_confidence and not calibration else blank
