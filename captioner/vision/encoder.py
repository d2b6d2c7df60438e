"""The CNN that looks at frames, its last feature map pooled to one or more places a frame.

Shapes: N frames, H x W pixels, P places (1, or grid x grid), D the width of the CNN's last feature map. With
``config.untuned`` features have one place more: the mean of what the original CNN sees, zeros where it does not look.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from captioner.vision.backbones import build_backbone, feature_width, load_backbone
from captioner.vision.choice import look_every
from captioner.vision.config import EncoderConfig
from captioner.vision.fast import FastEncoder, Look, exact_convolutions
from captioner.vision.fold import fold
from captioner.vision.graph import Graph, record
from captioner.vision.original import load_untuned
from captioner.vision.precision import can_fuse, dead_leaves, fast_dtype
from captioner.vision.recorded import RecordedCNN, add_recording

_NOT_ARCHITECTURE = {
    *("id2label", "label2id", "num_labels", "problem_type", "architectures", "dtype", "_name_or_path"),
    *("transformers_version", "output_hidden_states", "output_attentions", "return_dict"),
}


class FrameEncoder(nn.Module):
    """A CNN over frames: uint8 ``(..., H, W, 3)`` RGB in, float32 ``(..., P, D)`` features out.

    The weights can be trained. The batch normalisation statistics of a pretrained CNN stay fixed (``train()`` does not
    reach them), because the clips of a batch are too few and too alike to estimate them.
    """

    cnn: Any  # a backbone, or a RecordedCNN
    scale: Tensor
    shift: Tensor

    def __init__(self, cnn: nn.Module, config: EncoderConfig, *, width: int) -> None:
        super().__init__()
        self.cnn = cnn
        self.config = config
        self.width = width
        self.places = max(1, config.grid) ** 2
        self._untuned: list[nn.Module] = []  # in a list, so that it is no part of this module
        self.exact: dict[tuple[int, int], int] = {}
        """By the frames' height and width: how many convolutions, from the first on, must stay in float32 where the
        others are in bfloat16. A size that is missing is not known yet (:meth:`find_exact`)."""
        self._graphs: dict[tuple[int, int], Graph | None] = {}
        mean, std = torch.tensor(config.mean), torch.tensor(config.std)
        self.register_buffer("scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(3, 1, 1), persistent=False)
        self.eval()

    @classmethod
    def load(cls, config: EncoderConfig) -> FrameEncoder:
        """The CNN that ``config.source`` names, a folder or a hub id, with its own weights or random ones.

        Raises ConfigError or CheckpointError if there is no such CNN, if any weight is missing, or if it is no CNN.
        """
        cnn, config = load_backbone(config)
        return cls(cnn, config, width=feature_width(cnn))

    @classmethod
    def from_cnn_config(cls, cnn: dict[str, Any], config: EncoderConfig) -> FrameEncoder:
        """The architecture alone, from what :meth:`cnn_config` gave: every weight is NaN until ``load_state_dict``.

        Where it holds a recording, transformers is imported only once the encoder is trained or given frames of
        another size. Raises CheckpointError if it is not a CNN that is known.
        """
        if cnn.get("recording"):
            recorded = RecordedCNN(cnn)
            encoder = cls(recorded, config, width=recorded.graph.features)
            size = recorded.graph.height, recorded.graph.width
            encoder._graphs[size] = recorded.graph
            if recorded.exact is not None:
                encoder.exact[size] = recorded.exact
            return encoder
        model = build_backbone(cnn)
        return cls(model, config, width=feature_width(model))

    def read_as(self, config: EncoderConfig) -> FrameEncoder:
        """The same CNN, with the same weights, whose map is read in another way."""
        encoder = FrameEncoder(self.cnn, config, width=self.width)
        encoder.exact, encoder._graphs = self.exact, self._graphs
        return encoder

    def cnn_config(self, *, size: int | None = None) -> dict[str, Any]:
        """The CNN's architecture as plain JSON values, enough for :meth:`from_cnn_config`.

        With ``size``, the side of the frames, it also holds a recording if the CNN can be recorded. A program that only
        captions frames of that size then starts without transformers, whose import takes seconds. The recording holds
        what is known of :attr:`exact`; nothing is computed for it.
        """
        if isinstance(self.cnn, RecordedCNN):
            values = self.cnn.architecture
        else:
            values = json.loads(json.dumps(self.cnn.config.to_dict()))
        values = {key: value for key, value in sorted(values.items()) if key not in _NOT_ARCHITECTURE}
        graph = self.graph(size, size) if size else None
        if graph is None:
            return values
        return add_recording(values, graph, self.cnn, exact=self.exact.get((graph.height, graph.width)))

    def find_exact(self, size: int) -> None:
        """Find :attr:`exact` for frames of ``size`` pixels, on a processor that is quick in bfloat16 (0.2 s).

        Other processors would emulate bfloat16 for many seconds, so they leave it open until a quick one starts.
        """
        device = self.shift.device
        if (size, size) in self.exact or device.type != "cpu" or fast_dtype(device) is not torch.bfloat16:
            return
        graph = self.graph(size, size)
        if graph is not None and can_fuse(device, torch.bfloat16):
            folded, weights = fold(graph, self.cnn.state_dict())
            self.exact[size, size] = self.exact_of(folded, weights, torch.bfloat16)

    @torch.no_grad()
    def exact_of(self, folded: Graph, weights: dict[str, Tensor], dtype: torch.dtype) -> int:
        return exact_convolutions(folded, weights, dtype=dtype, pixels=self.probe(folded.height, folded.width))

    def train(self, mode: bool = True) -> FrameEncoder:
        """Training mode, but for the batch normalisation of pretrained weights, which stays in eval mode."""
        if mode:
            self._leave_recording()
            if any(weight.requires_grad for weight in self.cnn.parameters()):
                self.exact.clear()  # other weights may need another number
        super().train(mode)
        if self.config.weights == "pretrained":
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Features ``(..., P, D)`` float32 of frames ``(..., H, W, 3)`` uint8; the places are in row-major order."""
        if isinstance(self.cnn, RecordedCNN) and not self.cnn.takes(*pixels.shape[-3:-1]):
            self._leave_recording()
        return self.encode(pixels, self._look)

    def _look(self, normalised: Tensor, looked: Tensor) -> tuple[Tensor, Tensor]:
        maps: Tensor = self.cnn(normalised).last_hidden_state
        if not self.config.untuned or not looked.any():
            return maps, maps[:0]
        if not self._untuned:
            self._untuned.append(load_untuned(self.config.source, normalised.device))
        with torch.no_grad():
            return maps, self._untuned[0](normalised[looked]).last_hidden_state

    def parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What the CNN sees (..., P, D) and what nouns are read from (..., 1 or P, D), of features."""
        own = features[..., : self.places, :]
        return own, features[..., self.places :, :] if self.config.untuned else own

    def read_clips(self, clips: Tensor, mask: Tensor) -> Tensor:
        """Features (B, T, P, D) of clips of pixels (B, T, H, W, 3), zeros where ``mask`` (B, T) hides a frame.

        A photo among clips costs one frame. Clips that are features already come back as they are.
        """
        if clips.dtype != torch.uint8:
            return clips
        features = self.encode(clips[mask], self._look, looked=looked_at(mask)[mask])
        return features.new_zeros(*mask.shape, *features.shape[1:]).index_put((mask,), features)

    def encode(self, pixels: Tensor, look: Look, *, looked: Tensor | None = None) -> Tensor:
        """:meth:`forward`, by any way to look. ``looked`` (N,) are the frames for the original CNN; it is for
        frames that are not those of one clip, or of clips of one length.
        """
        frames = pixels.reshape(-1, *pixels.shape[-3:])
        if looked is None:
            looked = torch.zeros(pixels.shape[:-3] or (1,), dtype=torch.bool, device=pixels.device)
            looked[..., look_every(looked.shape[-1])] = True
            looked = looked.flatten()
        if torch.is_grad_enabled():
            features = self._features(frames, looked, look)
        elif len(frames):  # few at a time: quicker (decision 0051), and memory does not grow with their number
            size = 8 if frames.device.type == "cpu" else 64
            chunks = zip(frames.split(size), looked.split(size), strict=True)
            features = torch.cat([self._features(*chunk, look) for chunk in chunks])
        else:
            features = torch.empty(0, self.places + self.config.untuned, self.width, device=pixels.device)
        return features.reshape(*pixels.shape[:-3], *features.shape[1:])

    def _features(self, frames: Tensor, looked: Tensor, look: Look) -> Tensor:
        maps, untuned = look(self.normalise(frames), looked)
        features = self._pool(maps)
        if not self.config.untuned:
            return features
        original = features.new_zeros(len(frames), 1, self.width)
        original[looked] = untuned.float().mean(dim=(2, 3))[:, None]
        return torch.cat([features, original], dim=1)

    def normalise(self, frames: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 -> (N, 3, H, W) float32, channels-last in memory: ``(rgb / 255 - mean) / std``."""
        n, height, width, colours = frames.shape
        rows = frames.reshape(n * height, width * colours).float()  # a colour at a time takes three times as long
        scale, shift = self.scale.flatten().repeat(width), self.shift.flatten().repeat(width)
        torch.addcmul(shift, rows, scale, out=rows)
        return rows.view(n, height, width, colours).permute(0, 3, 1, 2)

    def _pool(self, maps: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, P, D) float32."""
        maps = maps.float()
        if self.config.grid == 0:
            return maps.mean(dim=(2, 3)).unsqueeze(1)
        return adaptive_avg_pool2d(maps, self.config.grid).flatten(2).transpose(1, 2)

    def probe(self, height: int, width: int) -> Tensor:
        """A few made-up frames, normalised, to compare a quicker way with the exact one on."""
        return self.normalise(dead_leaves(4, height=height, width=width).to(self.shift.device))

    def graph(self, height: int, width: int) -> Graph | None:
        """The CNN's recording for frames of this size, made once; None where it cannot be recorded."""
        if (height, width) not in self._graphs:
            self._leave_recording()
            training = self.training
            try:
                self._graphs[height, width] = record(self.eval().cnn, height=height, width=width)
            finally:
                self.train(training)
        return self._graphs[height, width]

    def _leave_recording(self) -> None:
        """Put transformers' own CNN, with the very same parameters, in the place of a recorded one."""
        if isinstance(self.cnn, RecordedCNN):
            cnn = build_backbone(self.cnn.architecture)
            trained = {name: weight.requires_grad for name, weight in self.cnn.named_parameters()}
            cnn.load_state_dict(self.cnn.state_dict(keep_vars=True), assign=True)
            for name, weight in cnn.named_parameters():
                weight.requires_grad_(trained[name])  # which torch sets to what a new network has
            self.cnn = cnn

    def fast(self) -> FastEncoder:
        """A frozen copy for inference on this machine, several times as fast (decision 0051)."""
        return FastEncoder(self)

    def fingerprint(self) -> str:
        """16 hex digits that change with the weights, the architecture, the grid or the normalisation."""
        digest = hashlib.sha256()
        recipe = [self.cnn_config(), self.config.grid, self.config.mean, self.config.std]
        recipe += ["untuned"] * self.config.untuned
        digest.update(json.dumps(recipe, sort_keys=True).encode())
        for name, tensor in sorted(self.cnn.state_dict().items()):
            if not name.endswith("num_batches_tracked"):  # counts training steps, changes no feature
                digest.update(f"{name} {tuple(tensor.shape)}".encode())
                unsigned = tensor.detach().float().cpu() + 0.0  # -0.0 becomes 0.0, as averaging the weights makes it
                digest.update(unsigned.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def looked_at(mask: Tensor) -> Tensor:
    """The frames that the original CNN looks at (B, T), of those that ``mask`` (B, T) shows of each clip."""
    looked = mask.new_zeros(mask.shape)
    for row, shown in enumerate(mask):
        frames = shown.nonzero().flatten()
        looked[row, frames[look_every(len(frames))]] = True
    return looked
