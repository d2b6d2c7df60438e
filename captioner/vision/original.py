"""What a packaged CNN sees before its last stages were tuned: nouns are read from that.

Tuned on few data, a CNN forgets things that none of them show. Its first stages are still the package's, so their maps
are shared: only the last stages run twice, and the second time on a quarter of a clip's frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from captioner.vision.backbones import load_backbone
from captioner.vision.config import EncoderConfig
from captioner.vision.graph import Graph, Weight
from captioner.vision.lite import EfficientNetLite


def load_untuned(source: str, device: torch.device) -> EfficientNetLite:
    """The CNN as the package holds it. Raises CheckpointError where the package is missing or changed."""
    cnn, _ = load_backbone(EncoderConfig(source=source))
    assert isinstance(cnn, EfficientNetLite)
    return cnn.requires_grad_(False).to(device)


def shared_until(graph: Graph, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> int:
    """The last value (0: the pixels) that is the same for both sets of weights and all that later steps need."""
    uses = graph.uses()
    until, alive = 0, {0}
    for step in graph.steps:
        names = [a.name for a in (*step.args, *step.options.values()) if isinstance(a, Weight)]
        if not all(torch.equal(ours[name], theirs[name]) for name in names):
            break
        alive = {n for n in alive | {step.number} if any(user.number > step.number for user in uses.get(n, []))}
        if alive == {step.number}:
            until = step.number
    return until
