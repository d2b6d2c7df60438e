"""Teacher, student, and how far they are apart. Shapes: B crops, D features, h x w places, C classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captioner.backbones import feature_width
from captioner.cnn import load_cnn
from captioner.config import EncoderConfig
from captioner.errors import CheckpointError

CHUNK = 16
"""Crops a forward pass of the teacher on a CPU: more do not fit its caches."""


class Teacher:
    """A frozen CNN whose feature map and, through :attr:`classifier`, whose classes are to be matched."""

    classifier: Any
    """Pooled features (B,D) -> logits (B,C)."""

    def __init__(self, folder: str, *, device: torch.device, bf16: bool) -> None:
        from transformers import AutoModelForImageClassification

        if not (Path(folder) / "config.json").is_file():
            raise CheckpointError(
                f"there is no teacher at {folder!r}; it must be a transformers folder with a config.json"
            )
        model, report = AutoModelForImageClassification.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        if missing := sorted(report["missing_keys"]):
            raise CheckpointError(
                f"the teacher {folder} lacks {len(missing)} weights that it needs, {missing[0]} for one"
            )
        model = model.eval().requires_grad_(False)
        self.width = feature_width(model.base_model)
        self.classifier = model.classifier.to(device)
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        body: Any = fold_batch_norm(model.base_model, torch.zeros(1, 3, 64, 64))
        self.body = body.to(device=device, dtype=self.dtype, memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """Feature map (B,D,h,w) float32 of (B,3,S,S) pixels in [-1, 1]."""
        pixels = pixels.to(self.dtype, memory_format=torch.channels_last)
        parts = pixels.split(CHUNK if pixels.device.type == "cpu" else len(pixels))
        return torch.cat([self.body(part).last_hidden_state for part in parts]).float()


@torch.no_grad()
def fold_batch_norm(model: nn.Module, example: Tensor) -> nn.Module:
    """Fold each BatchNorm2d of an eval-mode CNN into the convolution that feeds it; changes and returns ``model``.

    Which feeds which is seen by running ``example`` through it once.
    """
    made: dict[int, nn.Conv2d] = {}
    pairs: dict[Any, nn.Conv2d] = {}
    seen: list[Tensor] = []  # keeps the outputs alive, so that no two have the same id

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(output)
        if isinstance(module, nn.Conv2d):
            made[id(output)] = module
        elif id(inputs[0]) in made:
            pairs[module] = made[id(inputs[0])]

    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [module.register_forward_hook(note) for module in model.modules() if isinstance(module, kinds)]
    model(example)
    for hook in hooks:
        hook.remove()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and child in pairs:
                fused = nn.utils.fuse_conv_bn_eval(pairs[child], child)
                pairs[child].weight, pairs[child].bias = fused.weight, fused.bias
                setattr(parent, name, nn.Identity())
    return model


class Student(nn.Module):
    """The CNN, and the linear map from its features to the teacher's, in units of the teacher's deviations.

    Being linear, it commutes with pooling: what it can predict is in the student's own features, pooled or not.
    """

    body: Any  # a transformers model
    mean: Tensor
    place_std: Tensor
    pooled_std: Tensor

    def __init__(self, folder: str, *, width: int) -> None:
        super().__init__()
        self.body = load_cnn(EncoderConfig(source=folder, weights="random"))
        own = feature_width(self.body)
        # Centred first: features after a ReLU are all positive, and a step of Adam would shift every sum alike.
        self.head = nn.Sequential(nn.BatchNorm2d(own, affine=False), nn.Conv2d(own, width, 1))
        # The teacher's mean, and its deviation at a place and pooled, (D,); measured before the first step.
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("place_std", torch.ones(width))
        self.register_buffer("pooled_std", torch.ones(width))

    def forward(self, pixels: Tensor) -> Tensor:
        """The predicted map (B,D,h,w), standardised, of (B,3,S,S) pixels in [-1, 1]."""
        return self.head(self.body(pixels).last_hidden_state)

    def standardised(self, target: Tensor) -> Tensor:
        """The teacher's map (B,D,h,w) in the units of :meth:`forward`."""
        return (target - self.mean.view(1, -1, 1, 1)) / self.place_std.view(1, -1, 1, 1)

    def in_teacher_units(self, pooled: Tensor) -> Tensor:
        """Pooled predictions (B,D) as the teacher's own features."""
        return self.mean + self.place_std * pooled


def loss_terms(
    student: Student, teacher: Teacher, predicted: Tensor, target: Tensor, *, temperature: float
) -> dict[str, Tensor]:
    """``map`` and ``pooled`` squared errors and ``class`` divergence of a predicted map (B,D,h,w) from the teacher's.

    A teacher's map of another grid is pooled to the student's for ``map`` only.
    """
    wanted = student.standardised(target)
    pooled, wanted_pooled = predicted.mean((2, 3)), wanted.mean((2, 3))
    ratio = student.place_std / student.pooled_std
    log_p, log_q = (
        (teacher.classifier(student.in_teacher_units(x)) / temperature).log_softmax(-1) for x in (pooled, wanted_pooled)
    )
    if predicted.shape[-2:] != wanted.shape[-2:]:
        wanted = F.adaptive_avg_pool2d(wanted, (predicted.shape[-2], predicted.shape[-1]))
    return {
        "map": F.mse_loss(predicted, wanted),
        "pooled": F.mse_loss(pooled * ratio, wanted_pooled * ratio),
        "class": temperature**2 * F.kl_div(log_p, log_q, log_target=True, reduction="batchmean"),
    }
