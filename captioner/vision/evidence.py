"""What the CNN's own classifier sees: nouns that people would use, with their probabilities.

ImageNet's 1,000 classes become some 300 nouns (``nouns.tsv``): the evidence for a noun is the sum over its classes.
The decoder learns when to say what is seen: a gate on its state scales the evidence that is added to the logits of the
nouns' words. As the gate does not know which noun it is, it serves those that few captions had, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from captioner.vision.backbones import classifier_weights
from captioner.vision.detector import mean_over_frames
from captioner.vision.nouns import CLASSES, nouns

if TYPE_CHECKING:
    from captioner.language.tokenizer import CaptionTokenizer

_PROMISE = 0.05
"""Probabilities below this do not count when the reliability is learned."""
_RELIABLE_CLIPS = 5.0
"""As many clips in which it was right stand for each noun at first."""
_SCALE = 50.0
"""Evidence is ``log(1 + 50 p)``: 0.4 at 1 %, 2.6 at 25 %, 3.9 at 100 %."""


class Evidence(nn.Module):
    """Features of frames to the evidence for each token of the vocabulary.

    ``source`` names the packaged CNN that the features are of; its classifier is read from the package when it is
    first needed. ``tokens`` are the words of the nouns, -1 for a noun that no token begins.
    """

    tokens: Tensor
    reliability: Tensor | None

    def __init__(self, source: str, *, grounding: bool = False) -> None:
        """With ``grounding`` it keeps how reliable each noun's probability is, (N,)."""
        super().__init__()
        self.source = source
        self.register_buffer("reliability", torch.ones(len(nouns())) if grounding else None)
        self.register_buffer("tokens", torch.full((len(nouns()),), -1))
        self._head: tuple[Tensor, Tensor, Tensor] | None = None

    def learn_words(self, tokenizer: CaptionTokenizer) -> None:
        """Look up the token that each noun begins with."""
        for row, noun in enumerate(nouns()):
            first = tokenizer.encode(noun.name)[:1]
            self.tokens[row] = first[0] if first and first[0] != tokenizer.unk_id else -1

    def learn_reliability(self, clips: Iterable[tuple[Tensor, Sequence[str]]]) -> None:
        """From training clips, each with its features (T, P, D) and captions: of all that a noun's probability
        promised, the share that captions said. A noun that was never promised stays as reliable as it was.
        """
        assert self.reliability is not None
        promised = torch.full_like(self.reliability, _RELIABLE_CLIPS)
        said = promised * self.reliability  # as learned before, if it was
        for features, captions in clips:
            chance = self.probabilities(features[self.looked(features)]).mean(dim=0)
            text = f" {' / '.join(captions)} "
            for column in (chance >= _PROMISE).nonzero().flatten().tolist():
                name = nouns()[column].name
                promised[column] += chance[column]
                said[column] += chance[column] * (f" {name} " in text or f" {name}s " in text or f" {name}es " in text)
        self.reliability.copy_(said / promised)

    def likeness(self) -> Tensor:
        """How much alike the nouns look (N, N): the cosine of the classifier's weights."""
        weight, _, groups = self._classifier(self.tokens.device)
        mean = nn.functional.normalize(groups.T @ weight, dim=1)
        return mean @ mean.T

    @staticmethod
    def looked(features: Tensor) -> Tensor:
        """Which frames (...,) of features (..., P, D) were looked at: the others are all zeros."""
        return (features != 0).flatten(-2).any(dim=-1)

    def probabilities(self, features: Tensor) -> Tensor:
        """Probability (..., N) of each noun from features (..., P, D), frame by frame."""
        weight, bias, groups = self._classifier(features.device)
        logits = nn.functional.linear(features.float().mean(dim=-2), weight, bias)
        return logits.softmax(dim=-1) @ groups

    @torch.no_grad()
    def forward(self, features: Tensor, mask: Tensor, *, vocabulary: int) -> tuple[Tensor, Tensor]:
        """From features (B, T, P, D) and mask (B, T): evidence (B, V) for each token, that of the nouns it begins.

        And the nouns' probabilities (B, T, N), zeros in frames that are hidden or were not looked at.
        """
        mask = mask & self.looked(features)
        noun_probs = self.probabilities(features) * mask[..., None]
        mean = mean_over_frames(noun_probs, mask)  # (B, N)
        known = self.tokens >= 0
        evidence = mean.new_zeros(len(mean), vocabulary)
        evidence.index_add_(1, self.tokens[known], mean[:, known])
        return torch.log1p(_SCALE * evidence), noun_probs

    def _classifier(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        if self._head is None or self._head[0].device != device:
            weight, bias = classifier_weights(self.source)
            groups = torch.zeros(CLASSES, len(nouns()))
            for column, noun in enumerate(nouns()):
                groups[list(noun.classes), column] = 1
            self._head = (weight.to(device), bias.to(device), groups.to(device))
        return self._head
