"""Captions in the picture: where, when, and with the sound that was there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("PIL", reason="pip install pillow")

from captioner.caption.result import Caption
from captioner.cli import main
from captioner.outputs.burned import burn
from captioner.outputs.rows import row
from captioner.video.frames import probe
from tests.demo.test_demo_visit import caption


def clip(path: Path, *, sound: bool) -> Path:
    """Two seconds of grey, 200 x 121 at 10 frames a second, with a tone or without."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 200, 122, "yuv420p"
        tone = out.add_stream("pcm_s16le", rate=8000, layout="mono") if sound else None
        for _ in range(20):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((122, 200, 3), 90, np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
        if tone is not None:
            wave = (9000 * np.sin(np.arange(16_000) * 0.3)).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            out.mux(tone.encode(frame))
            out.mux(tone.encode(None))
    return path


def brightest(path: Path) -> dict[float, tuple[int, int]]:
    """Of each frame, by its time: the brightest pixel of the upper half, and of the lower."""
    with av.open(str(path)) as container:
        pictures = [(round(float(f.time), 2), f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    return {time: (int(p[: len(p) // 2].max()), int(p[len(p) // 2 :].max())) for time, p in pictures}


def captions() -> list[Caption]:
    return [caption("a cat", start=0.0, end=0.5), caption("a dog is running in the park", start=1.0, end=2.0)]


def test_each_caption_is_drawn_below_while_it_lasts(tmp_path: Path) -> None:
    out = burn(clip(tmp_path / "in.mkv", sound=True), captions(), tmp_path / "out.mp4")
    light = brightest(out)
    assert {time: low > 200 for time, (_, low) in light.items() if time in (0.0, 0.4, 0.6, 0.9, 1.1, 1.9)} == {
        0.0: True,
        0.4: True,
        0.6: False,
        0.9: False,
        1.1: True,
        1.9: True,
    }
    assert max(high for high, _ in light.values()) < 120
    info = probe(out)
    assert (info.codec, info.width, info.height, info.has_audio) == ("h264", 200, 122, True)
    assert info.duration_seconds == pytest.approx(2.0, abs=0.1)
    with av.open(str(out)) as container:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(heard) == pytest.approx(96_000, abs=4096) and np.abs(heard).max() > 0.1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, rows, out = clip(tmp_path / "in.mkv", sound=False), tmp_path / "rows.jsonl", tmp_path / "out.mp4"
    rows.write_text("".join(json.dumps(row(c)) + "\n" for c in captions()), encoding="utf-8")
    assert main(["burn", str(source), str(rows), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n" and not probe(out).has_audio
    assert main(["burn", str(source), str(rows), "-o", str(out)]) == 1
    assert "exists; --overwrite replaces it" in capsys.readouterr().err
    rows.write_text("no json\n", encoding="utf-8")
    assert main(["burn", str(source), str(rows), "-o", str(out), "--overwrite"]) == 1
    said = capsys.readouterr().err
    assert "line 1: not valid JSON" in said and said.count("\n") == 1


def test_captions_of_other_videos_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, rows, out = clip(tmp_path / "in.mkv", sound=False), tmp_path / "rows.jsonl", tmp_path / "out.mp4"

    def burned(*paths: str) -> int:
        named = [replace(c, path=path) for c, path in zip(captions(), paths, strict=True)]
        rows.write_text("".join(json.dumps(row(c)) + "\n" for c in named), encoding="utf-8")
        return main(["burn", str(source), str(rows), "-o", str(out), "--overwrite"])

    assert burned("clips/in.mkv", "clips/other.mkv") == 0
    light = brightest(out)
    assert light[0.0][1] > 200 > light[1.1][1], "the caption of the other clip is drawn"
    capsys.readouterr()
    assert burned("a.mkv", "b.mkv") == 1
    assert f"has captions of 2 videos and none of {source}" in capsys.readouterr().err
