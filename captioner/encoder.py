"""The CNN that looks at frames: any transformers CNN, its last feature map pooled to one or more places a frame.

Shapes: N frames, H x W pixels, P places (1, or grid x grid), D the width of the CNN's last feature map.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from captioner.config import EncoderConfig

CHUNK = 16
"""Frames a forward pass in inference: more are no faster and only cost memory."""

_NOT_ARCHITECTURE = {
    *("id2label", "label2id", "num_labels", "problem_type", "architectures", "dtype", "_name_or_path"),
    *("transformers_version", "output_hidden_states", "output_attentions", "return_dict"),
}


class FrameEncoder(nn.Module):
    """A CNN over frames: uint8 ``(..., H, W, 3)`` RGB in, float32 ``(..., P, D)`` features out.

    The weights can be trained. The statistics of a pretrained CNN's batch normalisation stay as they are even then
    (``train()`` does not reach them): the clips of one batch are too few and too alike to estimate them anew.
    """

    cnn: Any  # a transformers model
    scale: Tensor
    shift: Tensor

    def __init__(self, cnn: nn.Module, config: EncoderConfig, *, width: int) -> None:
        super().__init__()
        self.cnn = cnn
        self.config = config
        self.width = width
        self.places = max(1, config.grid) ** 2
        mean, std = torch.tensor(config.mean), torch.tensor(config.std)
        self.register_buffer("scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(3, 1, 1), persistent=False)
        self.eval()

    @classmethod
    def load(cls, config: EncoderConfig) -> FrameEncoder:
        """The CNN that ``config.source`` names, a folder or a hub id, with its own weights or random ones.

        Raises ConfigError or CheckpointError if there is no such CNN, if any weight is missing, or if it is no CNN.
        """
        from captioner.cnn import feature_width, load_cnn

        cnn = load_cnn(config)
        return cls(cnn, config, width=feature_width(cnn))

    @classmethod
    def from_cnn_config(cls, cnn: dict[str, Any], config: EncoderConfig) -> FrameEncoder:
        """The architecture alone, from what :meth:`cnn_config` gave: every weight is NaN until ``load_state_dict``.

        Raises CheckpointError if it is not a CNN that transformers knows.
        """
        from captioner.cnn import build_cnn, feature_width

        model = build_cnn(cnn)
        return cls(model, config, width=feature_width(model))

    def cnn_config(self) -> dict[str, Any]:
        """The CNN's architecture as plain JSON values, enough for :meth:`from_cnn_config`."""
        values = json.loads(json.dumps(self.cnn.config.to_dict()))
        return {key: value for key, value in sorted(values.items()) if key not in _NOT_ARCHITECTURE}

    def train(self, mode: bool = True) -> FrameEncoder:
        """Training mode, but for the batch normalisation of pretrained weights, which stays in eval mode."""
        super().train(mode)
        if self.config.weights == "pretrained":
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Features ``(..., P, D)`` float32 of frames ``(..., H, W, 3)`` uint8; the places are in row-major order."""
        frames = pixels.reshape(-1, *pixels.shape[-3:]).permute(0, 3, 1, 2)  # NCHW; in memory already channels-last
        if torch.is_grad_enabled():
            features = self._encode(frames)
        elif len(frames):  # in chunks, so that memory does not grow with the number of frames
            features = torch.cat([self._encode(chunk) for chunk in frames.split(CHUNK)])
        else:
            features = torch.empty(0, self.places, self.width, device=pixels.device)
        return features.reshape(*pixels.shape[:-3], self.places, self.width)

    def _encode(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> (N, P, D) float32."""
        dtype = next(self.cnn.parameters()).dtype
        maps = self.cnn(torch.addcmul(self.shift, frames.float(), self.scale).to(dtype)).last_hidden_state.float()
        if self.config.grid == 0:
            return maps.mean(dim=(2, 3)).unsqueeze(1)
        return adaptive_avg_pool2d(maps, self.config.grid).flatten(2).transpose(1, 2)

    def fast(self) -> FrameEncoder:
        """A copy for inference: channels-last in memory, bfloat16 where the processor has it, else float32."""
        quick = copy.deepcopy(self).requires_grad_(False).eval()
        device = next(self.parameters()).device
        quick.cnn.to(dtype=fast_dtype(device), memory_format=torch.channels_last)
        return quick

    def fingerprint(self) -> str:
        """16 hex digits that change with the weights, the architecture, the grid or the normalisation."""
        digest = hashlib.sha256()
        recipe = [self.cnn_config(), self.config.grid, self.config.mean, self.config.std]
        digest.update(json.dumps(recipe, sort_keys=True).encode())
        for name, tensor in sorted(self.cnn.state_dict().items()):
            if not name.endswith("num_batches_tracked"):  # counts training steps, changes no feature
                digest.update(f"{name} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where it is computed in hardware (CUDA from Ampere on, CPUs with AVX512_BF16 or AMX), else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32
