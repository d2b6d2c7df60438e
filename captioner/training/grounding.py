"""Fits what grounds captions to the training clips: who is in a clip, and which of the classifier's nouns to trust."""

from __future__ import annotations

import numpy as np
import torch

from captioner.language.grounding import PEOPLE
from captioner.language.tokenizer import normalise
from captioner.model import CaptionModel
from captioner.training.corpus import Corpus


def learn_grounding(model: CaptionModel, corpus: Corpus) -> None:
    """Fit the detector of people and the reliability of nouns to clips with captions."""
    assert model.people is not None and model.evidence is not None
    features = [torch.from_numpy(np.asarray(array)).float() for array in corpus.arrays]
    captions = [[normalise(caption) for caption in clip.captions] for clip in corpus.clips]
    own, shown = zip(*(model.encoder.parts(array) for array in features), strict=True)
    shares = [float(np.mean([not PEOPLE.isdisjoint(caption.split()) for caption in told])) for told in captions]
    model.people.learn(torch.stack([clip.mean(dim=(0, 1)) for clip in own]), torch.tensor(shares))
    model.evidence.learn_reliability(zip(shown, captions, strict=True))
