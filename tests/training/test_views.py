"""Views of a clip: what training sees in place of the clip itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from captioner.errors import ConfigError
from captioner.manifest import Clip
from captioner.training.config import DataConfig
from captioner.training.corpus import Corpus
from captioner.training.features import FeatureCache
from captioner.training.views import cut_view, has_sides, view_recipe
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames
from captioner.vision.encoder import FrameEncoder
from tests.media import frame_number, render_clip, render_text
from tests.tiny import tiny_model

VIDEO = VideoConfig(frames=4, size=56)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> FrameEncoder:
    return tiny_model(tmp_path_factory.mktemp("cnn"))[0].encoder


def clip(path: Path, *captions: str) -> Clip:
    return Clip(id=path.stem, path=path, split="train", captions=captions or ("a dog",))


def test_a_view_is_a_window_of_other_moments_mirrored_if_that_changes_no_word(tmp_path: Path) -> None:
    frames = sample_frames(render_clip(tmp_path / "a.mp4", frames=48), view_recipe(VIDEO)).pixels
    assert frames.shape == (8, 64, 64, 3)
    windows = {
        (top, left, shift): frames[shift::2, top : top + 56, left : left + 56]
        for top in range(9)
        for left in range(9)
        for shift in range(2)
    }
    found = []
    for view in range(1, 9):
        pixels = cut_view(frames, view=view, video=VIDEO, name="a", flip=True)
        if view % 2:
            pixels = pixels[:, :, ::-1]
        found.append(next(place for place, window in windows.items() if np.array_equal(window, pixels)))
    assert len(set(found)) > 4 and {shift for *_, shift in found} == {0, 1}
    same = cut_view(frames, view=3, video=VIDEO, name="a", flip=True)
    assert np.array_equal(same, cut_view(frames, view=3, video=VIDEO, name="a", flip=True))
    assert np.array_equal(same[:, :, ::-1], cut_view(frames, view=3, video=VIDEO, name="a", flip=False))
    assert not np.array_equal(same, cut_view(frames, view=3, video=VIDEO, name="b", flip=True))


def test_a_photo_has_views_too() -> None:
    photo = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(1, 64, 64, 3)
    assert cut_view(photo, view=1, video=VIDEO, name="a", flip=True).shape == (1, 56, 56, 3)


@pytest.mark.parametrize(
    ("caption", "sides"),
    [("a square moves left", True), ("Right turn", True), ("he left-clicks", True), ("a bright, leftover cake", False)],
)
def test_captions_with_sides(caption: str, sides: bool) -> None:
    assert has_sides(["a dog runs", caption]) == sides


def test_views_are_cached_beside_the_clip(encoder: FrameEncoder, tmp_path: Path) -> None:
    a, b = clip(render_clip(tmp_path / "a.mp4")), clip(render_clip(tmp_path / "b.mp4", frames=30), "it moves left")
    broken = clip(render_text(tmp_path / "t.mp4"))
    cache = FeatureCache(tmp_path / "cache", video=VIDEO, encoder=encoder)
    assert cache.fill([a]) == []
    plain = cache.load(a)
    assert [failed.id for failed, _ in cache.fill([a, b, broken], views=3)] == ["t"]
    assert np.array_equal(cache.load(a), plain)
    for one in (a, b):
        arrays = [cache.load(one, view) for view in range(3)]
        assert len({array.tobytes() for array in arrays}) == 3 and len({array.shape for array in arrays}) == 1
    before = {path: path.stat().st_mtime_ns for path in cache.folder.glob("*.npy")}
    assert len(before) == 6 and cache.fill([a, b], views=3) == []
    assert {path: path.stat().st_mtime_ns for path in cache.folder.glob("*.npy")} == before


def test_pixels_have_views_when_the_cnn_is_trained(tmp_path: Path) -> None:
    one = clip(render_clip(tmp_path / "a.mp4", frames=48))
    video = replace(VIDEO, size=64)
    cache = FeatureCache(tmp_path / "cache", video=video, encoder=None)
    cache.fill([one], views=2)
    assert [frame_number(pixels) for pixels in cache.load(one, 0)] == [6, 18, 30, 42]
    assert cache.load(one, 1).shape == (4, 64, 64, 3)


def test_a_photo_may_be_shown_as_a_clip_of_its_views() -> None:
    photo = [np.full((1, 2, 3), view, np.float16) for view in range(6)]
    film = np.zeros((16, 2, 3), np.float16)
    clips = [clip(Path("a.jpg")), clip(Path("b.mp4"))]
    corpus = Corpus(clips=clips, arrays=[photo[0], film], repeat=[1, 1], views=[photo[1:], [film]])
    rng = np.random.default_rng(0)
    drawn = [corpus.draw(0, rng, stills=0.5) for _ in range(200)]
    long = [array for array in drawn if len(array) == 16]
    assert 70 < len(long) < 130 and {len(array) for array in drawn} == {1, 16}
    assert all(np.array_equal(array[:, 0, 0], [0] * 6 + [2] * 5 + [4] * 5) for array in long)
    assert {float(array[0, 0, 0]) for array in drawn if len(array) == 1} == set(range(6))
    assert all(len(corpus.draw(1, rng, stills=1.0)) == 16 for _ in range(9))
    assert all(len(corpus.draw(0, rng)) == 1 for _ in range(9))
    with pytest.raises(ConfigError, match=r"data\.stills is 0\.5 with data\.views = 1"):
        DataConfig(stills=0.5)
