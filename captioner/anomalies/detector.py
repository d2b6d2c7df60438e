"""The three ways to find the abnormal, each a map of how surprising every picture is: the GRU and its baselines.

Shapes: T pictures, C channels, h x w places.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.anomalies.network import ConvGRU
from captioner.anomalies.sight import Seen, Sight


class Foresight(nn.Module):
    """How wrong the GRU's prediction of each picture was."""

    def __init__(self, sight: Sight, config: DetectorConfig) -> None:
        super().__init__()
        self.gru = ConvGRU(sight.channels, config.hidden, sight.places)

    def forward(self, seen: Seen, state: Any = None) -> tuple[Tensor, Any]:
        """Mean squared errors (T, h, w); the state is the GRU's and what it predicts. Nothing is wrong at first.

        Nothing outside the space of normal footage is ever predicted.
        """
        hidden, predicted = state or (self.gru.start(1), seen.maps[:1])
        errors = []
        for picture in seen.maps.split(1):
            errors.append((picture - predicted).square().mean(dim=1))
            predicted, hidden = self.gru(picture, hidden)
        return torch.cat(errors) + seen.beyond, (hidden, predicted)


class Nearest(nn.Module):
    """How far each place of a picture is from the nearest that normal footage had there."""

    memories: Tensor

    def __init__(self, sight: Sight, config: DetectorConfig) -> None:
        super().__init__()
        rows, columns = sight.places
        self.register_buffer("memories", torch.zeros(rows * columns, config.memories, sight.channels))

    def forward(self, seen: Seen, state: Any = None) -> tuple[Tensor, Any]:
        """Mean squared distances (T, h, w)."""
        points = seen.maps.flatten(2).permute(2, 0, 1)
        apart = torch.cdist(points, self.memories).amin(dim=2).square() / seen.maps.shape[1]
        return apart.T.unflatten(1, seen.maps.shape[2:]) + seen.beyond, None


class Difference(nn.Module):
    """How much each picture differs from the one before."""

    def __init__(self, sight: Sight, config: DetectorConfig) -> None:
        super().__init__()

    def forward(self, seen: Seen, state: Any = None) -> tuple[Tensor, Any]:
        """Mean squared differences (T, h, w)."""
        maps = seen.maps
        before = torch.cat([maps[:1] if state is None else state, maps[:-1]])
        return (maps - before).square().mean(dim=1), maps[-1:]


METHODS: dict[str, Any] = {"gru": Foresight, "nearest": Nearest, "difference": Difference}


class Detector(nn.Module):
    """Footage in, how surprising each place of it is out, in units of what is usual there."""

    usual: Tensor

    def __init__(self, footage: FootageConfig, config: DetectorConfig) -> None:
        super().__init__()
        self.footage, self.config = footage, config
        self.sight = Sight(footage)
        self.method: nn.Module = METHODS[config.method](self.sight, config)
        self.register_buffer("usual", torch.ones(self.sight.places))

    @torch.no_grad()
    def forward(self, look: Any, state: Any = None) -> tuple[Tensor, Any]:
        """Of what ``sight.look`` gave, maps (T, h, w) over the usual, and the state for what follows."""
        errors, state = self.errors(look, state)
        return errors / self.usual, state

    @torch.no_grad()
    def errors(self, look: Any, state: Any = None) -> tuple[Tensor, Any]:
        """The same as they are, each the mean of its neighbourhood."""
        errors, state = self.method(self.sight(look), state)
        return near(errors) if self.footage.see == "pixels" else errors, state


def near(errors: Tensor) -> Tensor:
    """Each place's mean over the 3 x 3 around it, (T, h, w): noise does not agree with its neighbours."""
    return avg_pool2d(errors.unsqueeze(1), 3, stride=1, padding=1, count_include_pad=False).squeeze(1)
