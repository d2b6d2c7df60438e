"""A convolutional GRU (Ballas et al. 2016) that predicts the next picture of normal footage.

Shapes: B sequences, T pictures, C channels, h x w places, H hidden channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvGRU(nn.Module):
    """One GRU a place, fed by the neighbourhood; it knows where in the picture it is."""

    where: Tensor

    def __init__(self, channels: int, hidden: int, places: tuple[int, int]) -> None:
        super().__init__()
        self.hidden, self.places = hidden, places
        self.input = nn.Conv2d(channels + 2, 3 * hidden, 5, padding=2)
        self.recurrent = nn.Conv2d(hidden, 3 * hidden, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(3 * hidden, *places))
        self.foresee = nn.Sequential(
            nn.Conv2d(hidden + channels + 2, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 3, padding=1),
        )
        axes = [torch.linspace(-1, 1, n) for n in places]
        self.register_buffer("where", torch.stack(torch.meshgrid(*axes, indexing="ij")), persistent=False)

    def start(self, batch: int) -> Tensor:
        """The state (B, H, h, w) before the first picture."""
        return torch.zeros(batch, self.hidden, *self.places)

    def forward(self, pictures: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Of pictures (B, C, h, w) the predicted next ones (B, C, h, w), and the new state."""
        pictures_there = torch.cat([pictures, self.where.expand(len(pictures), -1, -1, -1)], dim=1)
        gates, candidate = (self.input(pictures_there) + self.place).split([2 * self.hidden, self.hidden], dim=1)
        again, past = self.recurrent(state).split([2 * self.hidden, self.hidden], dim=1)
        update, reset = torch.sigmoid(gates + again).chunk(2, dim=1)
        state = torch.lerp(state, torch.tanh(candidate + reset * past), update)
        return pictures + self.foresee(torch.cat([state, pictures_there], dim=1)), state
