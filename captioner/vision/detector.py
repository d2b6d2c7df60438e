"""Linear detectors on the CNN's features: of words that people would use of a clip, of actions, people and graphics.

The word detector (Fang et al. 2015) was trained word by word, without any sentence, as the CNN was fine-tuned
(``training.words``), and knows things that the decoder does not. It is kept small: of the weights of some thousand
words the part of ``rank`` that matters most. The others are logistic regressions: on labels of actions, on what
captions say of people, and on rendered pictures (slides, screens, charts, cartoons) beside photos and clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_FEW = 20
"""The ridge on what changes is as much again where there are so many clips."""


class WordDetector(nn.Module):
    """Features of frames to the probability of each of W words.

    ``forms`` are the words, each as all its forms with spaces between them ("dog dogs"); ``usual`` (W,) is the
    logarithm of what their probabilities are in training clips. Nothing in it is trained with the decoder.
    """

    narrow: Tensor
    wide: Tensor
    bias: Tensor
    usual: Tensor

    def __init__(self, forms: Sequence[str], *, width: int, rank: int) -> None:
        super().__init__()
        self.forms = tuple(forms)
        rank = min(rank, len(forms))
        self.register_buffer("narrow", torch.zeros(rank, width))
        self.register_buffer("wide", torch.zeros(len(forms), rank))
        self.register_buffer("bias", torch.zeros(len(forms)))
        self.register_buffer("usual", torch.zeros(len(forms)))

    def learn(self, weight: Tensor, bias: Tensor, frames: Sequence[Tensor]) -> None:
        """Compress a linear detector (W, D), (W,) of one frame to the rank of this one.

        The features ``frames`` (T, D) of each training clip give the usual probability of each word, and the principal
        components of the outputs, which are kept.
        """
        means = torch.stack([clip.float().mean(dim=0) for clip in frames])
        middle = means.mean(dim=0)
        centred = means - middle
        spread = weight @ (centred.T @ centred / len(means)) @ weight.T
        main = torch.linalg.eigh(spread).eigenvectors[:, -len(self.narrow) :]  # (W, R), of the largest eigenvalues
        self.wide.copy_(main)
        self.narrow.copy_(main.T @ weight)
        self.bias.copy_(bias + (weight - self.wide @ self.narrow) @ middle)
        self.usual.copy_(torch.stack([self.of_frames(clip.float()).mean(dim=0) for clip in frames]).mean(dim=0).log())

    def of_frames(self, frames: Tensor) -> Tensor:
        """Probability (..., W) of each word from the mean features (..., D) of a frame."""
        return (frames @ self.narrow.T @ self.wide.T + self.bias).sigmoid()

    @torch.no_grad()
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Probabilities (B, W), means over the frames, from features (B, T, P, D) and mask (B, T)."""
        return mean_over_frames(self.of_frames(features.float().mean(dim=2)), mask)


class ClipDetector(nn.Module):
    """Features of a clip to a probability: that its captions say a person, or several, or that it was rendered.

    It is not trained with the decoder.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(width))
        self.register_buffer("bias", torch.zeros(()))

    def learn(self, features: Tensor, shares: Tensor, *, strength: float = 0.1) -> None:
        """Fit it to clips: mean features (C, D), and what is true of each clip (C,), 0 to 1.

        It starts from what it has learned before: few clips change little. ``strength`` is of the ridge on the change
        of the weights of standardised features.
        """
        known = features @ self.weight + self.bias
        learned = bool(self.weight.any())
        weight, bias = _logistic(features, shares[:, None], base=known[:, None] if learned else None, strength=strength)
        self.weight.add_(weight[0])
        self.bias.add_(bias[0])

    @torch.no_grad()
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Probabilities (B,) from features (B, T, P, D) and mask (B, T)."""
        mean = mean_over_frames(features.float().mean(dim=2), mask)  # (B, D)
        logits = (mean * self.weight).sum(dim=1) + self.bias  # no product by a vector: an 8-bit export takes none
        return logits.sigmoid()


class ActionDetector(nn.Module):
    """Features of a clip to the probability of each of A actions, as ``labels`` ("riding a horse").

    It is not trained with the decoder.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, labels: Sequence[str], *, width: int) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.register_buffer("weight", torch.zeros(len(labels), width))
        self.register_buffer("bias", torch.zeros(len(labels)))

    def learn(self, features: Tensor, shares: Tensor, *, known: Tensor, strength: float) -> None:
        """Fit it to clips: mean features (C, D), and which actions they show (C, A), 0 to 1.

        ``known`` (C, A) is False where that is not known; ``strength`` is as of :class:`ClipDetector`.
        """
        weight, bias = _logistic(features, shares, known=known, strength=strength)
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    @torch.no_grad()
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Probabilities (B, A) from features (B, T, P, D) and mask (B, T)."""
        return (mean_over_frames(features.float().mean(dim=2), mask) @ self.weight.T + self.bias).sigmoid()


def _logistic(
    features: Tensor, shares: Tensor, *, known: Tensor | None = None, base: Tensor | None = None, strength: float
) -> tuple[Tensor, Tensor]:
    """Logistic regressions of each column of ``shares`` (C, A) on features (C, D): weights (A, D) and bias (A,).

    ``strength`` is of the ridge on the weights of standardised features. With ``base`` (C, A) they are what is to be
    added to these logits, the bias has a ridge too, and few clips change little.
    """
    middle, scale = features.mean(dim=0), features.std(dim=0, correction=0) + 1e-6
    standard = (features - middle) / scale
    count = None if known is None else known.float()
    weight = torch.zeros(features.shape[1] + 1, shares.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        optimiser.zero_grad()
        logits = standard @ weight[:-1] + weight[-1] + (0 if base is None else base)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, shares, weight=count, reduction="none")
        loss = losses.sum(dim=1).mean() + strength * (weight[:-1] ** 2).sum()
        if base is not None:
            loss = loss + ((weight[-1] ** 2).sum() + _FEW * strength * (weight[:-1] ** 2).sum()) / len(features)
        loss.backward()
        return loss

    optimiser.step(cost)
    with torch.no_grad():
        slopes = (weight[:-1] / scale[:, None]).T.contiguous()
        return slopes, weight[-1] - slopes @ middle


def mean_over_frames(values: Tensor, mask: Tensor) -> Tensor:
    """Means (B, W) of values (B, T, W) over the frames that ``mask`` (B, T) shows; zeros where it shows none."""
    shown = mask.float() / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return (shown[:, None] @ values).squeeze(1)
