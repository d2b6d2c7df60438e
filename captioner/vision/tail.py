"""The last stages of an EfficientNet-Lite, ready to be tuned on maps that its trunk makes.

The trunk runs forward only, as fast as inference; a step costs the tail, forward and back. Batch normalisation keeps
its statistics and is folded into the convolution before it at every step; what is tuned are the weights themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.lite import Block, EfficientNetLite, Maps, pad_same, relu6

TRUNK_STRIDE = 16


class Trunk(nn.Module):
    """Pixels ``(N, 3, H, W)`` to the maps that a tail takes, ``(N, C, H/16, W/16)``, under the name of an output."""

    main_input_name = "pixel_values"

    def __init__(self, cnn: EfficientNetLite) -> None:
        super().__init__()
        self.cnn, self.config = cnn, cnn.config

    def forward(self, pixels: Tensor) -> Maps:
        return Maps(self.cnn.begin(pixels))


def trunk_encoder(encoder: FrameEncoder, *, size: int) -> FrameEncoder:
    """An encoder whose features are the trunk's maps of frames of ``size`` pixels, a place each."""
    config = EncoderConfig(
        source=encoder.config.source, grid=size // TRUNK_STRIDE, mean=encoder.config.mean, std=encoder.config.std
    )
    return FrameEncoder(Trunk(encoder.cnn), config, width=encoder.cnn.trunk_width)


class Tail(nn.Module):
    """Maps of the trunk as features ``(N, P, C)`` to the last feature map ``(N, 1280, h, w)``.

    It shares its weights with the network that it is made from.
    """

    def __init__(self, cnn: EfficientNetLite) -> None:
        super().__init__()
        self.blocks = cnn._blocks[cnn.trunk_blocks :]
        self.conv_head, self.norm = cnn._conv_head, cnn._bn1
        self.train(False)

    def train(self, mode: bool = True) -> Tail:
        """Always in eval mode: the statistics of the batch normalisation stay as they are."""
        return super().train(False)

    def forward(self, features: Tensor) -> Tensor:
        side = int(features.shape[1] ** 0.5)
        maps = features.unflatten(1, (side, side)).permute(0, 3, 1, 2)  # channels-last in memory
        for block in self.blocks:
            assert isinstance(block, Block)
            inner = relu6(_convolve(maps, block._expand_conv, block._bn0))
            if block.strided:
                inner = pad_same(inner, block.kernel)
            inner = relu6(_convolve(inner, block._depthwise_conv, block._bn1))
            outer = _convolve(inner, block._project_conv, block._bn2)
            maps = outer + maps if block.residual else outer
        return relu6(_convolve(maps, self.conv_head, self.norm))


def _convolve(maps: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """Convolution and normalisation in one. Of 1 x 1: a matrix product, in autocast's type; else on a CPU in float32,
    as the gradient of depthwise convolutions in bfloat16 takes ten times as long there.
    """
    assert norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    weight, bias = convolution.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale
    if convolution.kernel_size == (1, 1):
        return F.linear(maps.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
    on_cpu = maps.device.type == "cpu"
    with torch.autocast(maps.device.type, enabled=not on_cpu and torch.is_autocast_enabled(maps.device.type)):
        result = F.conv2d(
            maps.float() if on_cpu else maps,
            weight.contiguous(memory_format=torch.channels_last),
            bias,
            convolution.stride,
            convolution.padding,
            groups=convolution.groups,
        )
    return result.to(maps.dtype)
