"""CNNs of the timm library, by their names there: ``encoder.source = "timm/resnet18"`` (extra ``[timm]``).

This module imports timm (seconds), so import it only where such a CNN is loaded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import timm
from torch import Tensor, nn

from captioner.errors import CheckpointError, first_line
from captioner.vision.lite import Maps


@dataclass(frozen=True, kw_only=True)
class TimmConfig:
    """Which CNN of timm's."""

    name: str
    model_type: str = "timm"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class TimmCNN(nn.Module):
    """Pixels ``(N, 3, H, W)``, normalised as the CNN wants them, to its last feature map ``(N, D, h, w)``."""

    main_input_name = "pixel_values"

    def __init__(self, config: TimmConfig, *, pretrained: bool = False) -> None:
        """Raises CheckpointError for a name that timm does not know, and for weights that it cannot fetch."""
        super().__init__()
        self.config = config
        if not timm.is_model(config.name):
            raise CheckpointError(f"timm {timm.__version__} knows no CNN {config.name!r}")
        try:
            self.body = timm.create_model(config.name, pretrained=pretrained, num_classes=0, global_pool="")
        except Exception as error:  # no network, no weights of that name, ...
            raise CheckpointError(f"timm gave no weights of {config.name!r}: {first_line(error)}") from error

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the pixels (0 to 1) that it was trained on."""
        known = self.body.pretrained_cfg
        return tuple(known["mean"]), tuple(known["std"])

    @property
    def size(self) -> int:
        """Side of the frames that it was trained on, in pixels."""
        return int(self.body.pretrained_cfg["input_size"][-1])

    def forward(self, pixel_values: Tensor) -> Maps:
        return Maps(self.body.forward_features(pixel_values))
