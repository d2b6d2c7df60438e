"""The feature cache: the same as encoding directly, never stale, never half a file."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.errors import DataError
from captioner.manifest import Clip
from captioner.training.features import FeatureCache
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames
from captioner.vision.config import EncoderConfig
from captioner.vision.encoder import FrameEncoder
from tests.media import render_clip, render_text
from tests.tiny import tiny_cnn

VIDEO = VideoConfig(frames=3, size=32)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> FrameEncoder:
    torch.manual_seed(0)
    return FrameEncoder.load(
        EncoderConfig(source=str(tiny_cnn(tmp_path_factory.mktemp("cnn"))), weights="random", grid=2)
    )


def clip(path: Path, **changes: object) -> Clip:
    return Clip(id=path.stem, path=path, split="train", captions=("a",), **changes)  # type: ignore[arg-type]


def test_what_is_cached_is_what_the_encoder_gives(encoder: FrameEncoder, tmp_path: Path) -> None:
    clips = [clip(render_clip(tmp_path / f"{i}.mp4", frames=20 + i)) for i in range(11)]
    cache = FeatureCache(tmp_path / "cache", video=VIDEO, encoder=encoder)
    seen: list[Clip] = []
    assert cache.fill(clips, on_clip=seen.append) == [] and seen == clips
    for one in clips:
        assert one.path is not None
        pixels = torch.from_numpy(sample_frames(one.path, VIDEO).pixels)
        with torch.inference_mode():
            expected = encoder.fast()(pixels).half().numpy()
        features = cache.load(one)
        assert features.shape == (3, 4, encoder.width) and features.dtype == np.float16
        np.testing.assert_array_equal(features, expected)


def test_a_second_fill_decodes_nothing(encoder: FrameEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [clip(render_clip(tmp_path / "a.mp4"))]
    FeatureCache(tmp_path / "cache", video=VIDEO, encoder=encoder).fill(clips)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.npy")}
    monkeypatch.setattr("captioner.training.features.sample_frames", lambda *a, **k: pytest.fail("decoded again"))
    assert FeatureCache(tmp_path / "cache", video=VIDEO, encoder=encoder).fill(clips) == []
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.npy")} == before


def test_another_video_recipe_part_or_weight_is_another_key(encoder: FrameEncoder, tmp_path: Path) -> None:
    path = render_clip(tmp_path / "a.mp4", frames=48)
    cache = FeatureCache(tmp_path, video=VIDEO, encoder=encoder)
    keys = {cache.path(clip(path)), cache.path(clip(path, start_seconds=0.5)), cache.path(clip(path, end_seconds=1.0))}
    keys.add(FeatureCache(tmp_path, video=dataclasses.replace(VIDEO, frames=4), encoder=encoder).path(clip(path)))
    keys.add(FeatureCache(tmp_path, video=VIDEO, encoder=None).path(clip(path)))
    with torch.no_grad():
        first = next(encoder.parameters())
        first.flatten()[0] += 0.5
        keys.add(FeatureCache(tmp_path, video=VIDEO, encoder=encoder).path(clip(path)))
        first.flatten()[0] -= 0.5
    render_clip(path, frames=30)
    keys.add(FeatureCache(tmp_path, video=VIDEO, encoder=encoder).path(clip(path)))
    assert len(keys) == 7
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    again = FeatureCache(tmp_path, video=VIDEO, encoder=encoder)
    assert again.path(clip(copy)) == again.path(clip(path)), "the same content is encoded once"


def test_bad_clips_come_back_with_their_reason(encoder: FrameEncoder, tmp_path: Path) -> None:
    whole = clip(render_clip(tmp_path / "a.mp4"))
    beyond = replace(whole, id="beyond", start_seconds=900.0, end_seconds=910.0)
    clips = [clip(render_text(tmp_path / "t.mp4")), clip(tmp_path / "gone.mp4"), beyond, whole]
    failures = FeatureCache(tmp_path / "cache", video=VIDEO, encoder=encoder).fill(clips)
    found = [(c.id, e.code) for c, e in failures]
    assert found == [("t", failures[0][1].code), ("gone", "not_found"), ("beyond", "not_found")]
    assert failures[0][1].code in ("no_video", "unsupported", "damaged")


def test_pixels_are_cached_when_the_cnn_is_trained_too(tmp_path: Path) -> None:
    one = clip(render_clip(tmp_path / "a.mp4"))
    cache = FeatureCache(tmp_path / "cache", video=VIDEO, encoder=None)
    cache.fill([one])
    assert one.path is not None
    np.testing.assert_array_equal(cache.load(one, in_memory=False), sample_frames(one.path, VIDEO).pixels)


def test_missing_and_damaged_features_are_named(encoder: FrameEncoder, tmp_path: Path) -> None:
    one = clip(render_clip(tmp_path / "a.mp4"))
    cache = FeatureCache(tmp_path / "cache", video=VIDEO, encoder=encoder)
    with pytest.raises(DataError, match="features of 'a' cannot be read"):
        cache.load(one)
    cache.fill([one])
    cache.path(one).write_bytes(b"\x93NUMPY broken")
    with pytest.raises(DataError, match="features of 'a' cannot be read"):
        cache.load(one)
