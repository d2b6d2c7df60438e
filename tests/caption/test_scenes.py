"""The scenes of a clip: where they lie, and which one the caption describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from captioner.caption.result import Caption, Word
from captioner.caption.scenes import find_scenes, surest
from captioner.video.frames import Frames

TIMES = tuple(map(float, range(0, 16, 2)))
FRAMES = Frames(
    pixels=np.zeros((8, 1, 1, 3), np.uint8),
    times_seconds=TIMES,
    duration_seconds=16.0,
    width=1,
    height=1,
    lost=0,
    warnings=(),
)


def caption(text: str, *, confidence: float, frames: Frames = FRAMES, places: int = 4) -> Caption:
    count = len(frames.times_seconds)
    even = (1 / count,) * count
    word = Word(
        text=text, attention=even, peak_seconds=frames.times_seconds[0], grid=((1 / count / places,) * 4,) * count
    )
    return Caption(
        path="a.mp4",
        text=text,
        score=-1.0,
        log_prob=-1.0,
        confidence=confidence,
        words=(word,),
        alternatives=(),
        times_seconds=frames.times_seconds,
        start_seconds=0.0,
        end_seconds=16.0,
        warnings=("damaged",) if count == 8 else (),
        model="m",
        support=0.5,
    )


def scenes_of(lengths: Sequence[int], *, apart: float, noise: float = 0.0) -> np.ndarray:
    """Features (T, 1, D) of scenes whose means have a cosine distance of ``apart``."""
    rng = np.random.default_rng(0)
    common, own = np.sqrt(1 - apart), np.sqrt(apart)
    rows = [common * np.eye(16)[0] + own * np.eye(16)[1 + i] for i, n in enumerate(lengths) for _ in range(n)]
    return (np.array(rows) + noise * rng.standard_normal((len(rows), 16)))[:, None].astype(np.float32)


@pytest.mark.parametrize("lengths", [[8], [3, 5], [2, 3, 3], [1, 7], [4, 1, 3]])
def test_scenes_lie_where_the_features_change(lengths: list[int]) -> None:
    features = scenes_of(lengths, apart=0.7, noise=0.05)[:, 0]
    ends = np.cumsum(lengths).tolist()
    assert [(s.start, s.stop) for s in find_scenes(features, change=0.5)] == list(zip([0, *ends], ends, strict=False))


def test_neighbours_that_are_alike_are_one_scene() -> None:
    assert find_scenes(scenes_of([4, 4], apart=0.4)[:, 0], change=0.5) == [slice(0, 8)]
    drifting = np.array([[np.cos(angle), np.sin(angle)] for angle in np.linspace(0, 1.0, 8)])
    assert find_scenes(drifting, change=0.5) == [slice(0, 8)]
    assert find_scenes(np.zeros((3, 4)), change=0.5) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert find_scenes(np.ones((1, 4)), change=0.5) == [slice(0, 1)]


def describe(confidences: Sequence[float], features: np.ndarray, whole: float, *, change: float = 0.5) -> Caption:
    def tell(parts: Sequence[Frames], scenes: Sequence[slice]) -> list[Caption]:
        assert [len(part.times_seconds) for part in parts] == [scene.stop - scene.start for scene in scenes]
        return [caption(f"scene {i}", confidence=confidences[i], frames=part) for i, part in enumerate(parts)]

    return surest(caption("whole", confidence=whole), FRAMES, features, tell, change=change)


def test_the_surest_scene_is_described_and_attended_to_alone() -> None:
    found = describe([0.3, 0.7], scenes_of([3, 5], apart=0.7), whole=0.4)
    assert (found.text, found.scene_seconds) == ("scene 1", (5.0, 16.0))
    assert found.times_seconds == TIMES and (found.start_seconds, found.end_seconds) == (0.0, 16.0)
    [word] = found.words
    assert word.attention == pytest.approx((0, 0, 0, *[0.2] * 5))
    assert np.array(word.grid).sum(axis=1) == pytest.approx(word.attention) and word.peak_seconds == 6.0
    assert found.warnings == ("damaged",)
    assert describe([0.7, 0.3], scenes_of([3, 5], apart=0.7), whole=0.4).scene_seconds == (0.0, 5.0)


def test_the_whole_keeps_its_caption_where_that_is_surer_or_there_is_one_scene() -> None:
    two = scenes_of([3, 5], apart=0.7)
    assert describe([0.3, 0.5], two, whole=0.4).text == "whole"
    same = surest(caption("a", confidence=0.1), FRAMES, two, lambda *_: [caption("a", confidence=0.9)] * 2, change=0.5)
    assert same == caption("a", confidence=0.1)
    never: list[float] = []
    assert describe(never, scenes_of([8], apart=0.7), whole=0.1).scene_seconds is None
    assert describe(never, two, whole=0.1, change=0.0).text == "whole"
    plain = surest(caption("whole", confidence=0.1), replace(FRAMES, is_blank=True), two, lambda *_: [], change=0.5)
    assert plain.text == "whole"


@pytest.mark.parametrize(("whole", "scene"), [(0.0, 0.0), (1.0, 1.0), (0.5, 1.0), (0.0, 0.01)])
def test_certainty_can_be_compared_too(whole: float, scene: float) -> None:
    found = describe([scene, 0.0], scenes_of([3, 5], apart=0.7), whole=whole)
    assert found.text == ("scene 0" if scene > whole else "whole")


@pytest.mark.parametrize("lengths", [[1, 7], [7, 1], [1, 6, 1], [5, 1, 1, 1]])
def test_a_clip_of_one_long_scene_keeps_its_caption(lengths: list[int]) -> None:
    assert describe([], scenes_of(lengths, apart=0.7), whole=0.1).text == "whole"


def test_a_scene_of_few_seconds_or_of_one_frame_is_not_described() -> None:
    short = replace(FRAMES, times_seconds=tuple(t / 2 for t in TIMES), duration_seconds=8.0)
    features = scenes_of([3, 5], apart=0.7)
    whole = replace(caption("whole", confidence=0.1), times_seconds=short.times_seconds, end_seconds=8.0)
    assert surest(whole, short, features, lambda *_: [], change=0.5) is whole  # the first lasts 2.5 s
    found = describe([0.1, 0.9], scenes_of([3, 1, 4], apart=0.7), whole=0.1)
    assert (found.text, found.scene_seconds) == ("scene 1", (7.0, 16.0))
