"""From a file to a caption, with a tiny untrained model: what comes out must be whole and the same every way."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from captioner import Captioner, SearchConfig, VideoError
from captioner.video.frames import sample_frames
from tests.media import render_clip, render_image
from tests.tiny import tiny_checkpoint


@pytest.fixture(scope="module")
def captioner(checkpoint: Path) -> Captioner:
    return Captioner.load(checkpoint)


def test_a_caption_is_whole(captioner: Captioner, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4", frames=48)
    caption = captioner.caption(clip, search=SearchConfig(beams=3, n_best=3, max_length=8))
    assert caption.path == str(clip) and caption.text
    assert [w.text for w in caption.words] == caption.text.split()
    assert len(caption.times_seconds) == 4 and caption.end_seconds == pytest.approx(2.0, abs=0.1)
    for word in caption.words:
        assert sum(word.attention) == pytest.approx(1, abs=1e-5) and len(word.attention) == 4
        assert word.peak_seconds == caption.times_seconds[word.attention.index(max(word.attention))]
        assert word.gates is not None and all(0 < gate < 1 for gate in word.gates)
    assert caption.alternatives[0].text == caption.text
    assert len({a.text for a in caption.alternatives}) == len(caption.alternatives)
    scores = [a.score for a in caption.alternatives]
    assert scores == sorted(scores, reverse=True)
    assert 0 < caption.confidence <= 1 and caption.log_prob < 0
    assert caption.model == captioner.checkpoint.fingerprint


def test_the_same_clip_gives_the_same_caption(captioner: Captioner, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    assert captioner.caption(clip) == captioner.caption(clip)


def test_a_batch_equals_one_by_one(captioner: Captioner, tmp_path: Path) -> None:
    paths = [
        render_clip(tmp_path / "a.mp4", frames=48),
        render_image(tmp_path / "b.png"),
        render_clip(tmp_path / "c.mp4", frames=3, gop=3),
    ]
    clips = [sample_frames(p, captioner.video) for p in paths]
    together = captioner.caption_frames(clips)
    for frames, caption in zip(clips, together, strict=True):
        [alone] = captioner.caption_frames([frames])
        assert alone.text == caption.text
        assert alone.score == pytest.approx(caption.score, abs=2e-3)
        assert len(caption.times_seconds) == len(frames.pixels) == len(caption.words[0].attention)
    assert captioner.caption_frames([]) == []


def test_a_part_of_a_clip(captioner: Captioner, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4", frames=96)
    part = captioner.caption(clip, start_seconds=1.0, end_seconds=2.0)
    assert (part.start_seconds, part.end_seconds) == (1.0, 2.0)
    assert all(0.9 <= t < 2.0 for t in part.times_seconds)


def test_segments_give_the_captions_of_their_spans(captioner: Captioner, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4", frames=84)
    found = list(captioner.caption_segments(clip, segments=1.0))
    assert [c.start_seconds for c in found] == [0, 1, 2, 3] and found[-1].end_seconds == 3.5
    for c in found:
        alone = captioner.caption(clip, start_seconds=c.start_seconds, end_seconds=c.end_seconds)
        assert (c.text, c.times_seconds, c.path) == (alone.text, alone.times_seconds, str(clip))


def test_more_frames_than_the_model_was_trained_with(captioner: Captioner, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4", frames=48)
    video = dataclasses.replace(captioner.video, frames=9)
    assert len(captioner.caption(clip, video=video).times_seconds) == 9


def test_a_grid_tells_where(tmp_path: Path) -> None:
    captioner = Captioner.load(tiny_checkpoint(tmp_path, grid=2))
    caption = captioner.caption(render_clip(tmp_path / "clip.mp4"))
    word = caption.words[0]
    assert len(word.grid) == 4 and all(len(row) == 4 for row in word.grid)
    for row, share in zip(word.grid, word.attention, strict=True):
        assert sum(row) == pytest.approx(share, abs=1e-5)


def test_what_cannot_be_captioned_raises_its_code(captioner: Captioner, tmp_path: Path) -> None:
    with pytest.raises(VideoError) as caught:
        captioner.caption(tmp_path / "none.mp4")
    assert caught.value.code == "not_found"


def test_sampling_is_reproducible_and_varies(captioner: Captioner, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    texts = [
        captioner.caption(clip, search=SearchConfig(beams=1, temperature=1.0, seed=seed, max_length=8)).text
        for seed in (1, 1, 2, 3, 4)
    ]
    assert texts[0] == texts[1] and len(set(texts)) > 1


def test_loading_leaves_torchs_randomness_alone(checkpoint: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Captioner.load(checkpoint)
    assert torch.equal(torch.rand(1), expected)
