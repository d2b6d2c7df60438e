"""Frames that equal the one before share its features, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from captioner.vision.choice import distinct_frames
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from captioner.vision.precision import dead_leaves
from tests.numeric import BFLOAT16, assert_same

SIZE = 64


def still() -> np.ndarray:
    """Nine frames: a picture five times, with noise, then four others."""
    first, *others = dead_leaves(5, height=SIZE, width=SIZE).numpy()
    noise = np.random.default_rng(0).integers(-1, 2, (4, *first.shape))
    same = (first.astype(int) + noise).clip(0, 255).astype(np.uint8)
    return np.concatenate([first[None], same, np.stack(others)])


@pytest.fixture(scope="module", params=[False, True], ids=["one CNN", "and the original"])
def encoder(request: pytest.FixtureRequest) -> FrameEncoder:
    return FrameEncoder.load(EncoderConfig(source="efficientnet-lite0", grid=2, untuned=request.param))


def test_equal_frames_share_features_and_the_cnn_sees_them_once(
    encoder: FrameEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original CNN looks at the same times as ever, also where it sees another frame for it."""
    seen: list[int] = []
    normalise = FrameEncoder.normalise

    def counted(self: FrameEncoder, frames: torch.Tensor) -> torch.Tensor:
        seen.append(len(frames))
        return normalise(self, frames)

    clips = encoder.fast()
    clips.clip(still()[:1])  # prepares itself, with frames of its own
    monkeypatch.setattr(FrameEncoder, "normalise", counted)
    for pixels, distinct in ((still(), 5), (np.repeat(still()[:1], 9, axis=0), 1)):
        seen.clear()
        shared = torch.from_numpy(clips.clip(pixels))
        assert sum(seen) == distinct
        kept, places = distinct_frames(pixels)
        with torch.inference_mode():
            whole = encoder.fast()(torch.from_numpy(pixels[kept[places]]))
        assert_same(shared, whole, within=BFLOAT16)
        assert torch.equal(shared.any(dim=2), whole.any(dim=2))
        assert torch.equal(shared[1:5, :4], shared[:1, :4].expand(4, -1, -1))


def test_where_no_frames_are_equal_not_a_bit_changes(encoder: FrameEncoder) -> None:
    pixels = dead_leaves(11, height=SIZE, width=SIZE)
    clips = encoder.fast()
    with torch.inference_mode():
        expected = encoder.fast()(pixels).numpy()
    assert np.array_equal(clips.clip(pixels.numpy()), expected)
