"""Nouns are read from the CNN as the package holds it, though its last stages were tuned."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from captioner.errors import ConfigError
from captioner.language.config import DecoderConfig
from captioner.model import CaptionModel
from captioner.training.config import Recipe, TaskConfig
from captioner.training.start import load_start
from captioner.vision.choice import look_every
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder, looked_at
from captioner.vision.fold import fold
from captioner.vision.original import shared_until
from captioner.vision.precision import fast_dtype
from tests.cnns import cosine
from tests.numeric import assert_same

SOURCE = "efficientnet-lite0"
PLAIN = EncoderConfig(source=SOURCE, grid=2)
BOTH = dataclasses.replace(PLAIN, untuned=True)


def tuned(config: EncoderConfig, *, first: str = "_blocks.12.") -> FrameEncoder:
    """With other weights in the last blocks, or from the block or layer named ``first`` on."""
    torch.manual_seed(0)
    encoder = FrameEncoder.load(config)
    reached = False
    with torch.no_grad():
        for name, weight in encoder.cnn.named_parameters():
            reached = reached or name.startswith(first)
            if reached and weight.ndim == 4:
                weight += 0.2 * weight.std() * torch.randn_like(weight)
    return encoder


def clip(frames: int) -> Tensor:
    rng = np.random.default_rng(frames)
    small = torch.from_numpy(rng.integers(0, 256, (frames, 3, 8, 8))).float()
    return torch.nn.functional.interpolate(small, 64, mode="bilinear").permute(0, 2, 3, 1).to(torch.uint8)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_a_quarter_of_the_frames_is_looked_at_evenly(shown: list[bool]) -> None:
    looked = looked_at(torch.tensor([shown, shown]))
    frames = [i for i, there in enumerate(shown) if there]
    seen = looked[0].nonzero().flatten().tolist()
    assert torch.equal(looked[0], looked[1]) and seen == frames[look_every(len(frames))]
    assert seen == frames if len(frames) < 8 else 4 <= len(seen) <= 7
    places = [frames.index(i) for i in seen]
    assert len({after - before for before, after in itertools.pairwise(places)}) <= 1


@torch.inference_mode()
def test_features_hold_what_both_see() -> None:
    both, plain, package = tuned(BOTH), tuned(PLAIN), FrameEncoder.load(EncoderConfig(source=SOURCE))
    frames = clip(9)
    seen, nouns = both.parts(both(frames))
    assert_same(seen, plain(frames))
    looked = looked_at(torch.ones(1, 9, dtype=torch.bool))[0]
    assert_same(nouns[looked], package(frames[looked]))
    assert not nouns[~looked].any() and not torch.allclose(nouns[looked].mean(), seen.mean(), rtol=1e-3)
    assert_same(both(torch.stack([frames, frames.flip(0)]))[1], both(frames.flip(0)))
    assert both(frames[0]).shape == (5, 1280) and both(frames[0])[-1].any()
    assert both(frames[:0]).shape == (0, 5, 1280)
    assert torch.equal(plain.parts(plain(frames))[1], plain(frames))


@pytest.mark.parametrize("first", ["_blocks.12.", "_conv_stem"])
@torch.inference_mode()
def test_the_fast_way_sees_the_same(first: str) -> None:
    """Where the first stages are the package's, they run once; where they are not, all of both runs."""
    both = tuned(BOTH, first=first)
    graph = both.graph(64, 64)
    assert graph is not None
    ours, theirs = (fold(graph, cnn.state_dict())[1] for cnn in (both.cnn, FrameEncoder.load(PLAIN).cnn))
    until = shared_until(fold(graph, both.cnn.state_dict())[0], ours, theirs)
    assert until > 50 if first == "_blocks.12." else until <= 1  # step 1 pads the pixels
    frames = clip(9)
    exact, quick = both(frames), both.fast()(frames)
    assert quick.shape == exact.shape == (9, 5, 1280)
    assert torch.equal(quick[:, 4].any(dim=1), exact[:, 4].any(dim=1))
    least = 0.98 if fast_dtype(frames.device) is torch.bfloat16 else 0.9999
    assert cosine(quick[:, :4].mean(dim=1), exact[:, :4].mean(dim=1)) > least
    assert cosine(quick[2::2, 4], exact[2::2, 4]) > least or not exact[2::2, 4].any()


@torch.inference_mode()
def test_frames_may_come_where_none_is_looked_at() -> None:
    """Of forty frames every tenth: of the eight that are encoded at a time there may be none."""
    both, frames = tuned(BOTH), clip(40)
    features = both.fast()(frames)
    assert features[:, 4].any(dim=1).nonzero().flatten().tolist() == [5, 15, 25, 35]
    assert both.encode(frames[:2], both._look, looked=torch.zeros(2, dtype=torch.bool)).shape == (2, 5, 1280)


@torch.inference_mode()
def test_clips_of_a_batch_are_looked_at_each_by_itself() -> None:
    both = tuned(BOTH)
    long, short = clip(9), clip(3)
    pixels, mask = torch.zeros(2, 9, 64, 64, 3, dtype=torch.uint8), torch.zeros(2, 9, dtype=torch.bool)
    for row, frames in enumerate((long, short)):
        pixels[row, : len(frames)], mask[row, : len(frames)] = frames, True
    features = both.read_clips(pixels, mask)
    assert_same(features[0], both(long))
    assert_same(features[1, :3], both(short))
    assert not features[1, 3:].any()


@torch.inference_mode()
def test_the_decoder_and_its_evidence_each_get_their_part() -> None:
    torch.manual_seed(0)
    config = DecoderConfig(embed=16, hidden=16, attention=8, evidence=SOURCE)
    one = CaptionModel(tuned(PLAIN), config, vocabulary=40).eval()
    two = CaptionModel(tuned(BOTH), config, vocabulary=40).eval()
    two.load_state_dict(one.state_dict())  # the original CNN is no part of a checkpoint
    for model in (one, two):
        assert model.evidence is not None
        model.evidence.tokens[:36] = torch.arange(4, 40)
    frames, mask = clip(9)[None], torch.ones(1, 9, dtype=torch.bool)
    alone, with_both = one.remember(frames, mask), two.remember(frames, mask)
    assert_same(alone.values, with_both.values)
    assert one.evidence is not None and with_both.evidence is not None
    looked = looked_at(mask)[0]
    package = FrameEncoder.load(EncoderConfig(source=SOURCE))(frames[0, looked])[None]
    expected, _ = one.evidence(package, torch.ones(1, len(package[0]), dtype=torch.bool), vocabulary=40)
    assert_same(with_both.evidence, expected)
    hidden = mask & ~looked  # as where training hides frames: nothing was looked at, so nothing was seen
    assert not two.observe(two.encoder(frames), hidden).memory.evidence.any()  # type: ignore[union-attr]


def test_only_captions_of_a_packaged_cnn_have_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.tiny import tiny_cnn

    started = load_start(Recipe(encoder=BOTH, task=TaskConfig(kind="actions")))
    assert not started.encoder.config.untuned and started.encoder.config.grid == 2
    assert load_start(Recipe(encoder=BOTH)).encoder.config.untuned
    assert started.encoder.fingerprint() != load_start(Recipe(encoder=BOTH)).encoder.fingerprint()
    other = EncoderConfig(source=str(tiny_cnn(tmp_path_factory.mktemp("cnn"))), weights="random", untuned=True)
    with pytest.raises(ConfigError, match="needs a CNN that comes as a package: efficientnet-lite0, "):
        load_start(Recipe(encoder=other))
