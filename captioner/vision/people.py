"""Whether a person is in a clip: logistic regression on the CNN's features, learned from the captions' own words."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PeopleDetector(nn.Module):
    """Features of a clip to the probability that its captions say a person. It is not trained with the decoder."""

    weight: Tensor
    bias: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(width))
        self.register_buffer("bias", torch.zeros(()))

    def learn(self, features: Tensor, shares: Tensor, *, strength: float = 0.1) -> None:
        """Fit it to clips: mean features (C, D), and the share (C,) of each clip's captions that say a person.

        ``strength`` is of the ridge on the weights of standardised features.
        """
        middle, scale = features.mean(dim=0), features.std(dim=0) + 1e-6
        standard = (features - middle) / scale
        weight = torch.zeros(features.shape[1] + 1, requires_grad=True)
        optimiser = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

        def cost() -> Tensor:
            optimiser.zero_grad()
            logits = standard @ weight[:-1] + weight[-1]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, shares) + strength * (weight[:-1] ** 2).sum()
            loss.backward()
            return loss

        optimiser.step(cost)
        with torch.no_grad():
            self.weight.copy_(weight[:-1] / scale)
            self.bias.copy_(weight[-1] - middle @ self.weight)

    @torch.no_grad()
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Probabilities (B,) from features (B, T, P, D) and mask (B, T)."""
        shown = mask.float() / mask.sum(dim=1, keepdim=True).clamp(min=1)
        mean = (shown[:, None] @ features.float().mean(dim=2)).squeeze(1)  # (B, D)
        logits = (mean * self.weight).sum(dim=1) + self.bias  # no product by a vector: an 8-bit export takes none
        return logits.sigmoid()
