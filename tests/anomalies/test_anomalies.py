"""Detection of anomalies: learning, scoring, the promise of few false alarms, files and bad input."""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captioner.anomalies import learning
from captioner.anomalies.checkpoint import load_detector, save_detector
from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.anomalies.detector import Detector, near
from captioner.anomalies.footage import read_footage
from captioner.anomalies.network import ConvGRU
from captioner.anomalies.scoring import Event, Moment, Smoother, Tail, find_events
from captioner.anomalies.watcher import Watcher
from captioner.cli import main
from captioner.commands.settings import override
from captioner.errors import CheckpointError, ConfigError, VideoError
from captioner.io.status import Status
from captioner.manifest import write_manifest
from captioner.outputs.scores import Curve, plot
from data.shapes import write_clip
from data.walkway import walkway
from eval.__main__ import main as evaluate
from eval.scores.detection import equal_error_rate
from eval.scores.statistics import auc


def make_smaller(patch: pytest.MonkeyPatch, **settings: int) -> None:
    """Let the command learn with these settings, which it has no options for."""

    def smaller(config: Any, options: argparse.Namespace) -> Any:
        return replace(override(config, options), **{n: v for n, v in settings.items() if hasattr(config, n)})

    patch.setattr("captioner.commands.anomalies.override", smaller)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of normal footage and a clip with each anomaly."""
    folder = tmp_path_factory.mktemp("walk")
    write_manifest(folder / "manifest.jsonl", walkway(folder, train=3, val=0, test=6, seconds=40))
    return folder


@pytest.fixture(scope="module")
def cam(walk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short training on the CPU makes of it, with small batches."""
    folder = tmp_path_factory.mktemp("cam") / "cam1"
    normal = [str(path) for path in sorted((walk / "clips").glob("train-*"))]
    with pytest.MonkeyPatch.context() as patch:
        make_smaller(patch, batch_size=4)
        assert main(["anomalies", "learn", *normal, "-o", str(folder), "--steps", "25", "-q"]) == 0
    return folder


def test_the_abnormal_scores_higher_than_the_normal(cam: Path, walk: Path, tmp_path: Path) -> None:
    assert evaluate(["run", str(cam), str(walk / "manifest.jsonl"), "--out", str(tmp_path / "e")]) == 0
    report = json.loads((tmp_path / "e" / "report.json").read_text())
    assert report["films"] == 6 and set(report["categories"]) >= {"wrong way", "too fast"}
    assert report["measures"]["AUC micro"]["score"] > 0.7  # 10 steps: 0.54; 240 and more footage: 0.99
    low, score, high = (report["measures"]["AUC micro"][key] for key in ("low", "score", "high"))
    assert low <= score <= high


def test_files_of_scores_and_events(cam: Path, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [str(walk / "clips" / f"test-00{i}.mp4") for i in (0, 2)]
    command = ["anomalies", "score", *clips, "-m", str(cam), "-o", str(tmp_path), "--alarms-per-hour", "60"]
    assert main(command) == 0
    said = capsys.readouterr().out.splitlines()
    watcher = Watcher.load(cam, alarms_per_hour=60)
    for clip in clips:
        stem = Path(clip).stem
        rows = list(csv.DictReader((tmp_path / f"{stem}.scores.csv").open()))
        assert [float(row["seconds"]) for row in rows] == pytest.approx(np.arange(200) / 5)
        moments = list(watcher.moments(clip))
        assert [float(row["score"]) for row in rows] == pytest.approx([m.score for m in moments], abs=1e-4)
        again = [json.loads(line) for line in (tmp_path / f"{stem}.scores.jsonl").open()]
        assert [row["abnormal"] for row in again] == [row["abnormal"] == "1" for row in rows]
        events = [json.loads(line) for line in (tmp_path / f"{stem}.events.jsonl").open()]
        assert len(events) == len(watcher.events(clip)) == sum(line.startswith(f"{clip}: 0") for line in said)
        assert all(sum(event["where"]) == pytest.approx(1, abs=1e-3) and event["strength"] > 1 for event in events)
        assert (tmp_path / f"{stem}.anomalies.vtt").read_text().count("-->") == len(events)
        assert (tmp_path / f"{stem}.scores.svg").read_text().count("<title>") == len(events) + 1
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_comes_back_as_it_was(cam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load_detector(cam)
    assert loaded.tail.threshold(1.0) > loaded.tail.threshold(10.0) > loaded.tail.above
    assert main(["info", str(cam)]) == 0
    assert "method: gru" in capsys.readouterr().out
    again = tmp_path / "again"
    save_detector(again, detector=loaded.detector, tail=loaded.tail, learnt_from=loaded.learnt_from)
    assert (again / "model.safetensors").read_bytes() == (cam / "model.safetensors").read_bytes()
    assert (again / "config.json").read_bytes() == (cam / "config.json").read_bytes()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((cam / "config.json").read_bytes())
    (broken / "model.safetensors").write_bytes((cam / "model.safetensors").read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="damaged or changed"):
        load_detector(broken)


@pytest.fixture(scope="module")
def stream(walk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first test clip as MPEG-TS, which can be read as it comes."""
    path = tmp_path_factory.mktemp("ts") / "live.ts"
    with av.open(str(walk / "clips" / "test-000.mp4")) as source, av.open(str(path), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    return path


def test_a_stream_on_stdin_scores_as_the_file_does(cam: Path, stream: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "captioner", "anomalies", "score", "-", "-m", str(cam), "-o", str(tmp_path)]
    with stream.open("rb") as file:
        subprocess.run([*command, "-f", "csv"], stdin=file, check=True, capture_output=True, timeout=120)
    piped = [float(row["score"]) for row in csv.DictReader((tmp_path / "stdin.scores.csv").open())]
    filed = [moment.score for moment in Watcher.load(cam).moments(stream)]
    assert piped == pytest.approx(filed[: len(piped)], abs=1e-3) and len(filed) - len(piped) <= 1


def test_a_growing_file_is_read_to_where_it_stops_growing(cam: Path, stream: Path, tmp_path: Path) -> None:
    growing, data = tmp_path / "grows.ts", stream.read_bytes()
    growing.write_bytes(data[: len(data) // 2])

    def grow() -> None:
        with growing.open("ab") as file:
            file.write(data[len(data) // 2 :])

    timer = threading.Timer(1.0, grow)
    timer.start()
    moments = list(Watcher.load(cam).moments(growing, idle_seconds=4.0))
    timer.join()
    assert moments[-1].seconds > 38


def test_a_recorder_that_restarts_goes_on_where_it_was(stream: Path, tmp_path: Path) -> None:
    """Two recordings joined, each with its own clock: read as it grows they follow each other, as in a whole file."""
    joined = tmp_path / "joined.ts"
    joined.write_bytes(stream.read_bytes() * 2)
    whole = [picture.seconds for picture in read_footage(joined, FootageConfig())]
    grown = [picture.seconds for picture in read_footage(joined, FootageConfig(), idle_seconds=1.0)]
    assert whole[-1] > 75 and abs(len(grown) - len(whole)) <= 1


def test_footage_is_what_is_on_the_screen(tmp_path: Path) -> None:
    """At 3 frames a second, five pictures a second show each frame as long as it is shown."""
    frames = np.repeat(np.arange(0, 240, 20, dtype=np.uint8), 64 * 64 * 3).reshape(12, 64, 64, 3)
    write_clip(tmp_path / "a.mp4", frames, rate=3)
    pictures = list(read_footage(tmp_path / "a.mp4", FootageConfig(rate=5.0)))
    assert [picture.seconds for picture in pictures] == pytest.approx(np.arange(20) / 5)
    shown = [round(float(picture.pixels.mean()) / 20) for picture in pictures]
    assert shown == [math.floor(k / 5 * 3 + 1e-9) for k in range(20)]


def test_the_gru_is_the_equations_of_its_docstring() -> None:
    """One place alone, 1 x 1, against numpy."""
    torch.manual_seed(0)
    gru = ConvGRU(2, 3, (1, 1)).double()
    torch.nn.init.normal_(gru.place)
    x, h = torch.randn(1, 2, 1, 1).double(), torch.randn(1, 3, 1, 1).double()
    _, state = gru(x, h)
    seen = np.concatenate([x.numpy().ravel(), gru.where.numpy().ravel()])
    gates = gru.input.weight.detach().numpy()[:, :, 2, 2] @ seen + gru.input.bias.detach().numpy()
    gates = gates + gru.place.detach().numpy().ravel()
    again = gru.recurrent.weight.detach().numpy()[:, :, 1, 1] @ h.numpy().ravel() + gru.recurrent.bias.detach().numpy()
    z, r = np.split(1 / (1 + np.exp(-(gates[:6] + again[:6]))), 2)
    expected = (1 - z) * h.numpy().ravel() + z * np.tanh(gates[6:] + r * again[6:])
    assert state.detach().numpy().ravel() == pytest.approx(expected)


@pytest.mark.parametrize("method", ["gru", "nearest", "difference"])
def test_in_pieces_or_at_once_the_errors_are_the_same(method: str) -> None:
    torch.manual_seed(1)
    detector = Detector(FootageConfig(), DetectorConfig(method=method, memories=7))  # type: ignore[arg-type]
    pixels = np.random.default_rng(0).integers(0, 256, (9, 24, 32, 3), np.uint8)
    whole, _ = detector.errors(pixels)
    first, state = detector.errors(pixels[:4])
    rest, _ = detector.errors(pixels[4:], state)
    torch.testing.assert_close(torch.cat([first, rest]), whole)


def test_near_is_the_mean_of_the_neighbourhood() -> None:
    errors = torch.arange(12.0).view(1, 3, 4)
    assert near(errors)[0, 1, 1] == pytest.approx(5.0) and near(errors)[0, 0, 0] == pytest.approx(2.5)


def test_a_tail_keeps_its_promise_on_average() -> None:
    """Exponential peaks, a few to learn from: the mean number above the threshold is what was asked for."""
    generator = np.random.default_rng(0)
    above = []
    for _ in range(4000):
        tail = Tail.fit(generator.exponential(1.0, 200).astype(np.float32))
        above.append(720 * math.exp(-tail.threshold(3.0)))
    assert np.mean(above) == pytest.approx(3.0, rel=0.15)
    with pytest.raises(ConfigError, match="alarms per hour is 0"):
        tail.threshold(0.0)


@given(st.lists(st.booleans(), max_size=60))
def test_events_against_a_slow_obvious_way(over: list[bool]) -> None:
    moments = [Moment(i / 5, 2.0 if flag else 0.5, (1 / 9,) * 9) for i, flag in enumerate(over)]
    events = list(find_events(moments, threshold=1.0, step_seconds=0.2))
    covered = [any(e.start_seconds <= m.seconds < e.end_seconds - 1e-9 for e in events) for m in moments]
    places = [i for i, flag in enumerate(over) if flag]
    expected = list(over)
    for i, j in itertools.pairwise(places):
        if j - i <= 5:  # 0.2 s apart: less than a second from the end of one to the start of the other
            expected[i:j] = [True] * (j - i)
    assert covered == expected


def test_scores_over_time_are_few_however_long_the_film() -> None:
    curve = Curve()
    for i in range(123_456):
        curve.push(Moment(i / 5, float(i == 100_000), (1 / 9,) * 9))
    assert len(curve.values) <= 1000 and max(curve.values) == 1.0
    event = Event(start_seconds=1, end_seconds=2, peak_seconds=1.5, strength=2, where=(0, 0, 0, 0, 1, 0, 0, 0, 0))
    assert event.place == "centre" and plot(curve, [event], threshold=0.5).startswith("<svg")


def test_what_moves_the_score_is_where_it_happens() -> None:
    smoother, surprise = Smoother("pixels"), np.ones((24, 32), np.float32)
    surprise[20:, 28:] = 9.0
    moment = [smoother.push(i / 5, surprise) for i in range(10)][-1]
    assert moment.where[8] == max(moment.where) > 0.9


def test_area_under_the_curve_against_counting_pairs() -> None:
    generator = np.random.default_rng(3)
    scores, abnormal = generator.integers(0, 5, 60).astype(float), generator.random(60) < 0.3
    pairs = [(a > b) + (a == b) / 2 for a in scores[abnormal] for b in scores[~abnormal]]
    assert auc(scores, abnormal) == pytest.approx(np.mean(pairs))
    assert equal_error_rate(abnormal.astype(float), abnormal) == 0.0


def test_bad_input(cam: Path, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str, status: int) -> str:
        assert main(["anomalies", *arguments]) == status
        return capsys.readouterr().err

    clip = str(walk / "clips" / "test-000.mp4")
    write_clip(tmp_path / "short.mp4", np.zeros((20, 64, 64, 3), np.uint8), rate=10)
    out = str(tmp_path / "out")
    assert "normal footage of 2 seconds is too little" in said(
        "learn", str(tmp_path / "short.mp4"), "-o", out, status=1
    )
    assert "exists; --overwrite replaces it" in said("learn", clip, "-o", str(cam), status=1)
    assert "holds something else" in said("learn", clip, "-o", str(walk), status=1)
    assert "rate is 99" in said("learn", clip, "-o", out, "--rate", "99", status=2)
    assert "give the folder for them with -o" in said("score", clip, "-m", str(cam), "-f", "csv", status=2)
    assert "there is no checkpoint folder" in said("score", clip, "-m", out, status=1)
    default = str(Path(sys.modules["captioner"].__file__ or "").parent / "default")
    assert "is a checkpoint for captions, not for anomalies" in said("score", clip, "-m", default, status=1)
    (tmp_path / "empty.mp4").touch()
    errors = said("score", clip, str(tmp_path / "empty.mp4"), str(tmp_path / "no.mp4"), "-m", str(cam), status=1)
    assert "[empty]" in errors and "[not_found]" in errors
    still = tmp_path / "still.png"
    av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24").to_image().save(still)
    with pytest.raises(VideoError, match="is a single picture"):
        list(read_footage(still, FootageConfig()))
    with pytest.raises(SystemExit):
        main(["anomalies", "score", clip, "-m", str(cam), "-o", out, "-f", "csv,xml"])
    assert "'xml' is not a format" in capsys.readouterr().err


def test_the_cnn_sees_another_scene(tmp_path: Path) -> None:
    """Nearest normal features: a film that turns into noise is abnormal from then on."""
    from captioner.anomalies.learning import learn

    generator = np.random.default_rng(0)
    rows = np.linspace(0, 255, 96, dtype=np.uint8)[:, None, None]
    plain = np.broadcast_to(rows, (96, 96, 3))
    wobble = [np.roll(plain, int(generator.integers(-3, 4)), axis=0) for _ in range(80)]
    write_clip(tmp_path / "normal.mp4", np.stack(wobble), rate=2)
    tiles = generator.integers(0, 256, (20, 12, 12, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    write_clip(tmp_path / "test.mp4", np.concatenate([np.stack(wobble[:40]), tiles]), rate=2)
    footage = FootageConfig(see="cnn", rate=1.0, components=8)
    learnt = learn([tmp_path / "normal.mp4"], footage, DetectorConfig(method="nearest", memories=10))
    smoother, look = Smoother("cnn"), learnt.detector.sight.look
    pixels = [picture.pixels for picture in read_footage(tmp_path / "test.mp4", footage)]
    surprise, _ = learnt.detector(look(np.stack(pixels)))
    scores = [smoother.push(float(i), each).score for i, each in enumerate(surprise.numpy())]
    assert min(scores[23:]) > max(scores[:20]) and math.isfinite(sum(scores))


@pytest.mark.parametrize(("part", "step"), [(1, 3), (2, 1)])
def test_what_was_learnt_is_kept_when_it_is_stopped(
    part: int,
    step: int,
    walk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the first training from a number of steps on; in a later one the first is the detector."""
    monkeypatch.setattr(learning, "LEAST_STEPS", 3)
    make_smaller(monkeypatch, width=9, height=9, hidden=2, batch_size=2, window=5, steps=8)
    shown: list[str] = []

    def show(self: Status, text: str, *, share: float | None = None, at_most: bool = False) -> None:
        shown.append(f"{text} {share or 0:.2f}")
        if text.startswith(f"training {part} of 3: step 1 "):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Status, "show", show)
    normal = [str(path) for path in sorted(walk.glob("clips/train-*.mp4"))]
    assert main(["anomalies", "learn", *normal, "-o", str(tmp_path / "cam")]) == 130
    where = f"training {part} of 3, step {step} of 8"
    assert f"stopped in {where}; what was learned so far is kept" in capsys.readouterr().err
    assert Watcher.load(tmp_path / "cam").checkpoint.learnt_from["stopped"] == where
    assert "of normal footage read 1.00" in [text for text in shown if "read" in text][-1]
    assert any(text.startswith("training 1 of 3: step 2 of 8, error ") and text.endswith(" 0.08") for text in shown)
