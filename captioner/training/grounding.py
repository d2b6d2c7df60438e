"""Fits what grounds captions to the training clips: who is in a clip, which of the classifier's nouns to trust, and
what was rendered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from captioner.language.grounding import PEOPLE
from captioner.language.tokenizer import normalise
from captioner.model import CaptionModel
from captioner.training.corpus import Corpus

_RENDERED_RIDGE = 0.003
"""By pictures of kinds that were left out (docs/notebook)."""


def learn_grounding(model: CaptionModel, corpus: Corpus) -> None:
    """Fit the detector of people and the reliability of nouns to clips with captions."""
    assert model.people is not None and model.evidence is not None
    features = [torch.from_numpy(np.asarray(array)).float() for array in corpus.arrays]
    captions = [[normalise(caption) for caption in clip.captions] for clip in corpus.clips]
    own, shown = zip(*(model.encoder.parts(array) for array in features), strict=True)
    shares = [float(np.mean([not PEOPLE.isdisjoint(caption.split()) for caption in told])) for told in captions]
    model.people.learn(torch.stack([clip.mean(dim=(0, 1)) for clip in own]), torch.tensor(shares))
    model.evidence.learn_reliability(zip(shown, captions, strict=True))


def learn_rendered(model: CaptionModel, corpus: Corpus, pictures: Sequence[np.ndarray]) -> None:
    """Fit the detector of graphics to the features (T, P, D) of rendered ``pictures``, beside those of the clips."""
    assert model.rendered is not None

    def means(arrays: Sequence[np.ndarray]) -> list[torch.Tensor]:
        return [model.encoder.parts(torch.from_numpy(np.asarray(a)).float())[0].mean(dim=(0, 1)) for a in arrays]

    features = means(corpus.arrays) + means(pictures)
    shares = torch.zeros(len(features))
    shares[len(corpus.arrays) :] = 1
    model.rendered.learn(torch.stack(features), shares, strength=_RENDERED_RIDGE)
