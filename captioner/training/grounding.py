"""Fits what grounds captions to the training clips: who is in a clip and whether several, what they do, which of the
classifier's nouns to trust, and what was rendered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from captioner.errors import DataError
from captioner.language.lexicon import PEOPLE, says_several
from captioner.language.pieces import UNK
from captioner.language.tokenizer import CaptionTokenizer, normalise
from captioner.manifest import Clip
from captioner.metrics.content import content_words
from captioner.model import CaptionModel
from captioner.training.corpus import Corpus

_RENDERED_RIDGE = 0.003
"""By pictures of kinds that were left out (docs/notebook)."""
_ACTION_RIDGE = 0.01
"""By the log-loss on validation clips with captions and photos with labels (docs/notebook)."""


def learn_grounding(model: CaptionModel, corpus: Corpus) -> None:
    """Fit the detectors of people and of several, and the reliability of nouns, to clips with captions."""
    assert model.people is not None and model.evidence is not None
    features = [torch.from_numpy(np.asarray(array)).float() for array in corpus.arrays]
    captions = [[normalise(caption) for caption in clip.captions] for clip in corpus.clips]
    own, shown = zip(*(model.encoder.parts(array) for array in features), strict=True)
    shares = [float(np.mean([not PEOPLE.isdisjoint(caption.split()) for caption in told])) for told in captions]
    means = torch.stack([clip.mean(dim=(0, 1)) for clip in own])
    model.people.learn(means, torch.tensor(shares))
    if model.several is not None:
        several = [float(np.mean([says_several(caption.split()) for caption in told])) for told in captions]
        model.several.learn(means, torch.tensor(several))
    model.evidence.learn_reliability(zip(shown, captions, strict=True))


def learn_rendered(model: CaptionModel, corpus: Corpus, pictures: Sequence[np.ndarray]) -> None:
    """Fit the detector of graphics to the features (T, P, D) of rendered ``pictures``, beside those of the clips."""
    assert model.rendered is not None
    features = torch.cat([_means(model, corpus.arrays), _means(model, pictures)])
    shares = torch.zeros(len(features))
    shares[len(corpus.arrays) :] = 1
    model.rendered.learn(features, shares, strength=_RENDERED_RIDGE)


def learn_actions(model: CaptionModel, corpus: Corpus, labelled: Sequence[Clip], arrays: Sequence[np.ndarray]) -> None:
    """Fit the detector of actions to ``labelled`` clips with features (T, P, D), and to the clips with captions.

    A clip shows an action as often as its captions say all content words of the label (twice the share, at most 1).
    Where they say only some of them it is not known.
    """
    assert model.actions is not None
    wanted = [content_words(label) for label in model.actions.labels]
    shares = torch.zeros(len(corpus.clips) + len(labelled), len(wanted))
    known = torch.ones_like(shares, dtype=torch.bool)
    for row, clip in enumerate(corpus.clips):
        told = [content_words(normalise(caption)) for caption in clip.captions]
        for column, words in enumerate(wanted):
            said = sum(words <= one for one in told)
            shares[row, column] = min(1.0, 2 * said / len(told))
            known[row, column] = said > 0 or all(words.isdisjoint(one) for one in told)
    for row, clip in enumerate(labelled, start=len(corpus.clips)):
        for label in clip.labels:
            shares[row, model.actions.labels.index(label)] = 1
    features = torch.cat([_means(model, corpus.arrays), _means(model, arrays)])
    model.actions.learn(features, shares, known=known, strength=_ACTION_RIDGE)


def check_labels(labels: Sequence[str], tokenizer: CaptionTokenizer) -> None:
    """Raise DataError for a label that the captioner could not say."""
    for label in labels:
        tokens = tokenizer.encode(label)
        if not tokens or UNK in tokens:
            raise DataError(
                f"data.actions has the label {label!r}, which the captions' pieces cannot spell; "
                "name it in words of their letters, or leave its clips out"
            )


def _means(model: CaptionModel, arrays: Sequence[np.ndarray]) -> torch.Tensor:
    """The mean features (C, D) of clips (T, P, D), of the captioner's own CNN."""
    parts = (model.encoder.parts(torch.from_numpy(np.asarray(array)).float())[0] for array in arrays)
    return torch.stack([own.mean(dim=(0, 1)) for own in parts])
