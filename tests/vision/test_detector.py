"""The detector of words: what it says, how little of it is kept, and how it comes out of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from captioner import Captioner
from captioner.checkpoint.captioning import load_checkpoint, save_checkpoint
from captioner.cli import main
from captioner.errors import CheckpointError
from captioner.language.config import DecoderConfig, SearchConfig
from captioner.language.reranker import Trigrams
from captioner.model import CaptionModel
from captioner.video.config import VideoConfig
from captioner.vision.detector import ClipDetector, WordDetector
from tests.media import render_clip
from tests.tiny import tiny_model

FORMS = ("red", "blue", "circle circles", "square", "moves", "cross")


def clips(count: int, *, width: int = 12) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return [torch.randn(1 + i % 4, width, generator=random) for i in range(count)]


def test_a_whole_detector_gives_the_mean_over_frames_and_knows_what_is_usual() -> None:
    weight, bias = torch.randn(6, 12, generator=torch.Generator().manual_seed(2)), torch.linspace(-3, 1, 6)
    detector, frames = WordDetector(FORMS, width=12, rank=6), clips(20)
    detector.learn(weight, bias, frames)
    chances = torch.stack([(clip @ weight.T + bias).sigmoid().mean(dim=0) for clip in frames])
    torch.testing.assert_close(detector.usual, chances.mean(dim=0).log(), atol=1e-4, rtol=1e-4)
    for clip, wanted in zip(frames, chances, strict=True):
        places = torch.stack([clip + 1, clip - 1], dim=1)[None]  # two places a frame, whose mean is the frame
        padded = torch.cat([places, torch.full((1, 3, 2, 12), 99.0)], dim=1)
        mask = torch.tensor([[True] * len(clip) + [False] * 3])
        torch.testing.assert_close(detector(padded, mask)[0], wanted, atol=1e-4, rtol=1e-4)


def test_a_small_detector_keeps_what_matters_on_the_clips() -> None:
    """Features that lie in a plane need a rank of two, whatever the weights are elsewhere."""
    random = torch.Generator().manual_seed(3)
    weight, bias = torch.randn(6, 12, generator=random), torch.randn(6, generator=random)
    plane = torch.randn(2, 12, generator=random)
    frames = [torch.randn(3, 2, generator=random) @ plane + 0.5 for _ in range(30)]
    whole, small, smaller = (WordDetector(FORMS, width=12, rank=rank) for rank in (6, 2, 1))
    for detector in (whole, small, smaller):
        detector.learn(weight, bias, frames)
    given = torch.stack(frames)[:, :, None]
    mask = torch.ones(30, 3, dtype=torch.bool)
    torch.testing.assert_close(small(given, mask), whole(given, mask), atol=1e-3, rtol=1e-3)
    assert (smaller(given, mask) - whole(given, mask)).abs().mean() > 0.02


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return render_clip(tmp_path / "a.mp4")


@pytest.fixture
def checkpoint(clip: Path, tmp_path: Path) -> Path:
    """A captioner whose detector knows the words that it says of the clip: it is untrained, and these are no words."""
    model, tokenizer = tiny_model(tmp_path / "cnn")
    settings = {"tokenizer": tokenizer, "video": VideoConfig(frames=4, size=32), "trained_on": {}}
    settings |= {"search": SearchConfig(beams=4, n_best=4, max_length=8)}
    save_checkpoint(tmp_path / "silent", model=model, **settings)
    said = Captioner.load(tmp_path / "silent").caption(clip).alternatives
    forms = sorted({word for alternative in said for word in alternative.text.split()})
    config = DecoderConfig(embed=16, hidden=16, attention=8, detector=3, phrases=1)
    telling = CaptionModel(model.encoder, config, vocabulary=len(tokenizer), forms=forms).eval()
    telling.load_state_dict(model.state_dict(), strict=False)
    assert telling.detector is not None
    random = torch.Generator().manual_seed(4)
    weight = 3 * torch.randn(len(forms), model.encoder.width, generator=random)
    telling.detector.learn(weight, torch.zeros(len(forms)), clips(20, width=model.encoder.width))
    assert telling.phrases is not None
    Trigrams(telling.phrases.numpy()).add([alternative.text for alternative in said[1:3]])
    save_checkpoint(tmp_path / "telling", model=telling, **settings)
    return tmp_path / "telling"


def test_a_captioner_chooses_by_it_and_by_nothing_else(checkpoint: Path, clip: Path) -> None:
    captioner = Captioner.load(checkpoint)
    search = captioner.search

    def texts(**changes: float) -> list[str]:
        settings = {name: getattr(search, name) for name in ("beams", "n_best", "max_length")} | changes
        found = captioner.caption(clip, search=SearchConfig(**settings))  # type: ignore[arg-type]
        assert found.text == found.alternatives[0].text == " ".join(word.text for word in found.words)
        return [alternative.text for alternative in found.alternatives]

    plain, chosen = texts(word_weight=0, odd_price=0), texts(word_weight=5, odd_price=0)
    assert sorted(plain) == sorted(chosen) and plain != chosen
    assert texts(word_weight=5, odd_price=0, n_best=1) == chosen[:1]  # all beams are looked at, however many are told
    assert texts(word_weight=0, odd_price=0, n_best=1) == plain[:1]
    assert texts(word_weight=0, odd_price=9) == [*plain[1:3], plain[0], plain[3]]  # what was written comes first


def test_it_is_said_the_same_without_torch(checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="pip install 'captioner[onnx]'")
    from captioner.runtime import Runner

    assert main(["export", str(checkpoint), "-o", str(tmp_path / "out")]) == 0
    ours, theirs = Captioner.load(checkpoint).caption(clip), Runner(tmp_path / "out").caption(clip)
    assert [a.text for a in theirs.alternatives] == [a.text for a in ours.alternatives]
    assert theirs.support == pytest.approx(ours.support, abs=0.02)


def test_words_that_are_none_are_refused(checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    loaded = load_checkpoint(checkpoint).model.detector
    assert loaded is not None and list(loaded.forms) == config["words"]
    for words, said in (([7], "words must be a list of names"), (config["words"][1:], "detector")):
        (checkpoint / "config.json").write_text(json.dumps(config | {"words": words}))
        with pytest.raises(CheckpointError, match=said):
            load_checkpoint(checkpoint)


def test_people_are_told_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = (torch.rand(400, generator=generator) < 0.7).float()
    features = torch.randn(400, 16, generator=generator) * 3 + 5
    features[:, 3] += 6 * shares
    people = ClipDetector(16)
    people.learn(features, shares)
    clips = features[:, None, None].expand(-1, 2, 3, -1).clone()
    mask = torch.ones(400, 2, dtype=torch.bool)
    found = people(clips, mask)
    assert ((found > 0.5) == shares.bool()).float().mean() > 0.8
    clips[:, 1] = 0
    mask[:, 1] = False
    torch.testing.assert_close(people(clips, mask), found)  # hidden frames say nothing


def test_a_detector_learns_on_from_what_it_has_learned() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(400, 16, generator=generator)
    shares = (features[:, 3] > 0).float()

    def of_other_clips(count: int) -> torch.Tensor:
        """Its probabilities of the clips it began with, after clips of which nothing was ever true."""
        detector = ClipDetector(16)
        detector.learn(features, shares)
        if count:
            detector.learn(torch.randn(count, 16, generator=generator), torch.zeros(count))
        return detector(features[:, None, None], torch.ones(400, 1, dtype=torch.bool))

    before, few, many = map(of_other_clips, (0, 2, 200))
    assert many.mean() < few.mean() < before.mean()
    assert ((few > 0.5) == (before > 0.5)).float().mean() > 0.7, "two clips change little"
    assert (many < 0.5).float().mean() > 0.9
