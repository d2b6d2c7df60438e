"""A detector of the words that people would use of a clip (Fang et al. 2015), read from the CNN's features.

It was learned word by word, without any sentence, as the CNN was tuned (``training.words``), and knows things that the
decoder does not. It is kept small: of the weights of some thousand words the part of ``rank`` that matters most.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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
        shown = mask.float() / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return (shown[:, None] @ self.of_frames(features.float().mean(dim=2))).squeeze(1)
