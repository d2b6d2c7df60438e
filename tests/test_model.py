"""The encoder and the decoder together."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.numeric import assert_same
from tests.tiny import tiny_model


def test_only_the_frames_that_the_mask_shows_are_encoded(tmp_path: Path) -> None:
    """A batch of clips and photos, padded to one length: the same memory as from features, at the price of 5 frames."""
    model, _ = tiny_model(tmp_path)
    pixels = torch.randint(0, 256, (2, 4, 32, 32, 3), dtype=torch.uint8)
    mask = torch.tensor([[True] * 4, [True, False, False, False]])
    looked: list[int] = []
    handle = model.encoder.cnn.register_forward_hook(lambda module, inputs, output: looked.append(len(inputs[0])))
    memory = model.remember(pixels, mask)
    handle.remove()
    assert looked == [5]
    expected = model.decoder.remember(model.encoder(pixels), mask)
    assert_same(memory.keys[mask], expected.keys[mask])
    torch.testing.assert_close(memory.mask, expected.mask)
    memory.keys[mask].sum().backward()  # of the values it would be rounding alone: they are normalised
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.parameters())
