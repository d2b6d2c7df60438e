"""The runtime without torch says what torch says."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner import Caption, Captioner
from captioner.caption.result import Place
from captioner.caption.telling import BLANK, UNCALIBRATED
from captioner.checkpoint.captioning import DEFAULT
from captioner.cli import main
from captioner.errors import CaptionerError, CheckpointError
from captioner.language.config import SearchConfig
from captioner.language.search import search
from captioner.runtime.beam import beam_search
from captioner.runtime.runner import Runner
from captioner.video.config import VideoConfig
from captioner.video.frames import sample_frames, scale
from captioner.video.scaling import scale as scale_without_torch
from captioner.vision.precision import dead_leaves
from data.shapes import write_clip
from tests.clips import BY_KEYFRAME, OTHERS, render_case
from tests.media import render_clip
from tests.tiny import tiny_checkpoint
from tests.web import shapes_clip

ROOT = Path(__file__).resolve().parents[2]


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_scaling_gives_torchs_own_bits(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ours, theirs = scale_without_torch(rgb, rows, columns), scale(rgb, rows, columns)
    assert np.abs(ours.astype(int) - theirs).max() <= 1  # equal to the bit on x86; other kernels may round otherwise
    assert (ours == theirs).mean() > 0.98


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_the_search_in_numpy_finds_what_the_search_in_torch_finds(data: st.DataObject) -> None:
    """On made-up step functions: the same sentences with the same scores."""
    vocabulary = data.draw(st.integers(6, 12))
    config = SearchConfig(
        beams=(beams := data.draw(st.integers(1, 5))),
        n_best=data.draw(st.integers(1, beams)),
        max_length=data.draw(st.integers(2, 9)),
        min_length=1,
        length_penalty=data.draw(st.sampled_from([0.0, 0.7, 1.2])),
        no_repeat_ngram=data.draw(st.sampled_from([0, 2, 3])),
        no_repeat_word=data.draw(st.booleans()),
    )
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 999)))
    table = torch.randn(vocabulary, 97, vocabulary, generator=generator)
    begins = np.arange(vocabulary) % 2 == 0

    def step(tokens: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        return (2 * table[tokens, state[0]]).log_softmax(-1), ((7 * state[0] + tokens) % 97,)

    def in_numpy(tokens: np.ndarray, state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        log_probs, [after] = step(torch.from_numpy(tokens), (torch.from_numpy(state[0]),))
        return log_probs.numpy(), (after.numpy(),)

    [expected] = search(
        step,
        (torch.zeros(1, 1, dtype=torch.long),),
        config=config,
        bos_id=1,
        eos_id=2,
        banned=(0, 3),
        begins_word=torch.from_numpy(begins),
    )
    found = beam_search(
        in_numpy,
        (np.zeros(1, np.int64),),
        config=config,
        bos_id=1,
        eos_id=2,
        banned=(0, 3),
        begins_word=begins,
    )
    assert [sentence.tokens for sentence in found] == [h.tokens for h in expected]
    np.testing.assert_allclose([s.score for s in found], [h.score for h in expected], rtol=1e-5)
    np.testing.assert_allclose([s.log_prob for s in found], [h.log_prob for h in expected], rtol=1e-5)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript", reason="pip install 'captioner[onnx]'")
    folder = tmp_path_factory.mktemp("onnx") / "default"
    assert main(["export", "-o", str(folder)]) == 0
    return folder


def test_the_packaged_captioner_says_the_same_without_torch(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process that never loads torch: sentence, confidence, words, times and evidence."""
    monkeypatch.setattr("captioner.vision.fast.fast_dtype", lambda device: torch.float32)  # as the runtime computes
    clips = [shapes_clip(tmp_path / f"{n}.mp4", number=n) for n in range(3)]
    clips.append(render_clip(tmp_path / "still.mp4", images=[dead_leaves(1, height=48, width=64)[0].numpy()] * 12))
    (tmp_path / "notes.mp4").write_text("no video", encoding="utf-8")
    code = (
        "import sys; from captioner.runtime.__main__ import main; code = main(sys.argv[1:]); "
        "assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules); sys.exit(code)"
    )
    given = [str(exported), *map(str, clips), str(tmp_path / "notes.mp4"), "-f", "jsonl", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "notes.mp4" in done.stderr, done.stderr
    assert (exported / "NOTICE").read_bytes() == (DEFAULT / "NOTICE").read_bytes()  # it goes with the CNN's weights
    captioner = Captioner.load()
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(clips)
    for clip, row in zip(clips, rows, strict=True):
        expected = captioner.caption(clip)
        assert row["caption"] == expected.text and row["abstained"] == expected.abstained
        assert row["model"] == expected.model and row["times_seconds"] == pytest.approx(
            expected.times_seconds, abs=1e-3
        )
        assert row.get("scene_seconds") == (list(expected.scene_seconds) if expected.scene_seconds else None)
        assert row["confidence"] == pytest.approx(expected.confidence, abs=2e-3)
        assert row["log_prob"] == pytest.approx(expected.log_prob, abs=0.02)
        assert row.get("support") == pytest.approx(expected.support, abs=2e-3)
        for word, own in zip(row["words"], expected.words, strict=True):
            np.testing.assert_allclose(word["attention"], own.attention, atol=5e-3)


def test_a_scene_is_described_the_same_without_torch(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captioner.vision.fast.fast_dtype", lambda device: torch.float32)
    monkeypatch.setattr("captioner.caption.scenes._ODDS", 0.0)  # of several scenes one is always described
    monkeypatch.setattr("captioner.caption.scenes._LEAST_SECONDS", 1.0)
    shapes = sample_frames(shapes_clip(tmp_path / "shapes.mp4", number=3), VideoConfig(frames=8, size=128))
    leaves = np.repeat(dead_leaves(1, height=128, width=128).numpy(), 8, axis=0)
    write_clip(tmp_path / "scenes.mp4", np.concatenate([leaves, shapes.pixels]), rate=4)
    found, own = (model.caption(tmp_path / "scenes.mp4") for model in (Runner(exported), Captioner.load()))
    assert (found.text, found.scene_seconds) == (own.text, own.scene_seconds) and own.scene_seconds is not None
    assert own.scene_seconds in ((0.0, 1.875), (1.875, 4.0))
    for word, other in zip(found.words, own.words, strict=True):
        np.testing.assert_allclose(word.attention, other.attention, atol=5e-3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny captioner, and its export in 8 bits and in 32, as it is before it is quantised."""
    pytest.importorskip("onnxscript", reason="pip install 'captioner[onnx]'")
    from captioner.runtime import export

    folder = tmp_path_factory.mktemp("tiny")
    checkpoint, quantise = tiny_checkpoint(folder, grid=2), export._quantise

    def keep_whole(exported: Path, *given: Any) -> None:
        shutil.copytree(exported, folder / "whole")
        quantise(exported, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_quantise", keep_whole)
        assert main(["export", str(checkpoint), "-o", str(folder / "small"), "--int8"]) == 0
    return folder


def test_eight_bits_are_smaller(tiny: Path, tmp_path: Path) -> None:
    from captioner.runtime import Runner

    sizes = [sum(file.stat().st_size for file in (tiny / name).iterdir()) for name in ("whole", "small")]
    assert sizes[1] < sizes[0]
    assert Runner(tiny / "small").caption(render_clip(tmp_path / "a.mp4")).words


def test_the_same_caption_with_and_without_torch(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clip in every container: all fields, the n-best list and the warnings too. Gates are torch's alone."""
    from captioner.runtime import Runner

    monkeypatch.setattr("captioner.vision.fast.fast_dtype", lambda device: torch.float32)
    captioner, runner = Captioner.load(tiny / "checkpoint"), Runner(tiny / "whole", threads=1)
    runner.search = search = SearchConfig(beams=3, n_best=3, max_length=8, min_confidence=0.5)
    clips = [render_case(tmp_path, name, frames=8) for name in BY_KEYFRAME | OTHERS]
    clips.append(render_clip(tmp_path / "plain.mp4", images=[np.full((48, 64, 3), 90, np.uint8)] * 3))
    for clip in clips:
        frames = sample_frames(clip, captioner.video)
        [ours] = captioner.caption_frames([frames], places=[Place(str(clip), 0.0, None)], search=search)
        assert_alike(runner.caption_frames(frames, path=str(clip)), ours)
    assert BLANK in ours.warnings and UNCALIBRATED in ours.warnings and ours.confidence == 0


def test_the_program_of_captioner_runtime_needs_no_torch(tiny: Path, tmp_path: Path) -> None:
    """Captions, segments as subtitles, a file that is none, and the doctor."""
    clip, out, notes = render_clip(tmp_path / "clip.mp4"), tmp_path / "clip.vtt", tmp_path / "notes.mp4"
    notes.write_text("no video", encoding="utf-8")
    given = ["-m", str(tiny / "small")]
    code = (
        "import sys; from captioner.commands.without_torch import main; "
        f"assert main(['caption', {str(clip)!r}, *sys.argv[1:]]) == 0; "
        "cut = ['--segments', '1', '-f', 'vtt']; "
        f"assert main(['caption', {str(clip)!r}, *cut, '-o', {str(out)!r}, *sys.argv[1:]]) == 0; "
        f"assert main(['caption', {str(notes)!r}, *sys.argv[1:]]) == 1; "
        "assert main(['doctor', *sys.argv[1:]]) == 0; assert main(['doctor']) == 1; "
        "assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    said, *findings = done.stdout.splitlines()
    assert said and out.read_text(encoding="utf-8").startswith("WEBVTT") and "notes.mp4" in done.stderr
    assert sum(line.startswith("ok ") for line in findings) >= 7
    assert any(line.startswith("BAD  export") and "captioner export" in line for line in findings)


def assert_alike(found: Caption, expected: Caption) -> None:
    """But for gates, and for rounding."""
    flat = [
        [(name, value) for name, value in leaves(dataclasses.asdict(caption)) if "gates" not in name]
        for caption in (found, expected)
    ]
    assert [name for name, _ in flat[0]] == [name for name, _ in flat[1]]
    for (name, ours), (_, theirs) in zip(*flat, strict=True):
        assert ours == (pytest.approx(theirs, abs=2e-3) if isinstance(theirs, float) else theirs), name


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from leaves(item, f"{name}.{key}")
    else:
        yield name, value


def test_without_onnx_an_export_says_so_before_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", "-o", str(tmp_path / "small")]) == 1
    assert capsys.readouterr().err == "captioner: an export needs onnxscript: pip install 'captioner[onnx]'\n"


def test_what_cannot_be_exported_or_run_is_said_in_one_line(
    exported: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from captioner.checkpoint.captioning import load_checkpoint
    from captioner.runtime import Runner
    from captioner.runtime.export import export

    assert main(["export", "-o", str(exported)]) == 1
    assert "exists; --overwrite replaces it" in capsys.readouterr().err
    loaded = load_checkpoint(checkpoint)
    loaded.model.decoder.config = dataclasses.replace(loaded.model.decoder.config, temporal="gru")
    with pytest.raises(CaptionerError, match="cannot be exported as ONNX"):
        export(loaded, tmp_path / "gru")
    assert not (tmp_path / "gru").exists()
    with pytest.raises(CheckpointError, match="is not what `captioner export` writes"):
        Runner(checkpoint)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((exported / "config.json").read_bytes())
    (broken / "encoder.onnx").write_bytes(b"nothing")
    with pytest.raises(CaptionerError, match=r"cannot load .*encoder\.onnx"):
        Runner(broken)
