"""A run over many files: rows in order, failures in the ledger, and a run that was killed goes on where it was."""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest
import srt
import torch
import webvtt

from captioner import Captioner, CaptionerError, VideoError
from captioner.archive.engine import NOTHING_YET, Failure, Outcome, Settings, Task, caption_tasks
from captioner.archive.journal import Journal
from captioner.archive.pool import DecodePool
from captioner.archive.run import Archive
from captioner.caption.result import Caption
from captioner.cli import main
from captioner.commands.engine import decode_pool
from captioner.io.files import ResumedFile
from captioner.io.inputs import Item
from captioner.outputs.rows import from_row, row
from captioner.outputs.writers import jsonl
from tests.media import render_clip, render_image, render_text


@pytest.fixture(scope="module")
def captioner(checkpoint: Path) -> Captioner:
    return Captioner.load(checkpoint)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(workers=2, timeout_seconds=60) as pool:
        yield pool


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve clips that differ, one of three frames, one still, and two that are no videos."""
    folder = tmp_path_factory.mktemp("clips")
    good = [render_clip(folder / f"{i:02}.mp4", frames=20 + 3 * i, gop=4 + i) for i in range(10)]
    good += [render_clip(folder / "short.mp4", frames=3, gop=3), render_image(folder / "still.png")]
    return [*good[:5], render_text(folder / "text.mp4"), *good[5:], folder / "gone.mp4"]


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def settings(captioner: Captioner, **changes: object) -> Settings:
    return replace(Settings(video=captioner.video, search=captioner.search), **changes)  # type: ignore[arg-type]


def outcomes(captioner: Captioner, pool: DecodePool, paths: list[Path], **options: int) -> dict[str, Outcome]:
    tasks = [Task(index=i, item=Item(path=str(p))) for i, p in enumerate(paths)]
    found = list(caption_tasks(tasks, captioner, settings=settings(captioner), pool=pool, **options))
    assert sorted(o.task.index for o in found) == list(range(len(paths)))
    return {o.task.item.path: o for o in found}


@pytest.mark.usefixtures("one_thread")
def test_a_row_does_not_depend_on_its_neighbours(captioner: Captioner, pool: DecodePool, clips: list[Path]) -> None:
    first = outcomes(captioner, pool, clips, batch_size=8)
    again = outcomes(captioner, pool, clips[::-1], batch_size=8)
    few = outcomes(captioner, pool, clips[3:8], batch_size=8)
    for path, outcome in first.items():
        assert outcome.captions == again[path].captions
        assert path not in few or outcome.captions == few[path].captions  # to the last bit
        if outcome.failure:
            assert Path(path) in (clips[5], clips[-1]) and not outcome.captions
            continue
        [caption] = outcome.captions
        alone = captioner.caption(path)
        assert (caption.text, caption.times_seconds) == (alone.text, alone.times_seconds)
        assert caption.score == pytest.approx(alone.score, abs=2e-3)  # bf16 features, batches of another shape


@pytest.mark.usefixtures("one_thread")
def test_segments_come_merged_and_in_order(captioner: Captioner, pool: DecodePool, tmp_path: Path) -> None:
    film = render_clip(tmp_path / "film.mp4", frames=240)
    task = Task(index=0, item=Item(path=str(film)))
    chosen = settings(captioner, segments=1.0)
    [outcome] = caption_tasks([task], captioner, settings=chosen, pool=pool, batch_size=4)
    spans = [(c.start_seconds, c.end_seconds) for c in outcome.captions]
    assert spans[0][0] == 0 and spans[-1][1] == pytest.approx(10)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert all(a.text != b.text for a, b in pairwise(outcome.captions))


def test_a_row_read_back_gives_the_same_row(captioner: Captioner, clips: list[Path]) -> None:
    values = row(captioner.caption(clips[0]))
    assert row(from_row(json.loads(json.dumps(values)))) == values


# --- resuming: everything but the place of decoding is what the command uses -------------------------------------


def run_archive(captioner: Captioner, paths: list[Path], out: Path, *, key: str = "", retry: bool = False) -> Archive:
    """As ``captioner caption -o``, with results coming in another order than the list's."""

    def engine(tasks: Iterator[Task]) -> Generator[Outcome, None, None]:
        waiting: list[Task] = []
        for task in tasks:
            waiting.append(task)
            if len(waiting) == 3:
                yield from map(one, waiting[::-1])
                waiting.clear()
        yield from map(one, waiting)

    def one(task: Task) -> Outcome:
        try:
            return Outcome(task=task, captions=(captioner.caption(task.item.path),))
        except VideoError as error:
            return Outcome(task=task, failure=Failure.of(error))

    with Journal(f"{out}.journal") as journal, ResumedFile(out) as rows, ResumedFile(f"{out}.failures") as ledger:
        items = [Item(path=str(p)) for p in paths]
        model = captioner.checkpoint.fingerprint + key
        archive = Archive(items, settings=settings(captioner), model=model, journal=journal, retry_failed=retry)

        def captions() -> Iterator[Caption]:
            for outcome in archive.outcomes(engine):
                if outcome.failure:
                    ledger.write(f"{outcome.task.item.path} {outcome.failure.code}\n")
                yield from outcome.captions

        for line in jsonl(captions()):
            rows.write(line)
    return archive


def test_a_second_run_does_only_what_is_missing(captioner: Captioner, clips: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    paths = [tmp_path / p.name for p in clips]
    for path, clip in zip(paths[:-1], clips, strict=False):
        path.write_bytes(clip.read_bytes())
    counts = run_archive(captioner, paths[:8], out).counts
    assert (counts.captioned, counts.failed, counts.done) == (7, 1, 0)
    counts = run_archive(captioner, paths, out).counts
    assert (counts.captioned, counts.done, counts.failed, counts.failed_before) == (5, 7, 1, 1)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["path"] for r in rows] == [str(p) for p in paths if p.name not in ("text.mp4", "gone.mp4")]
    assert Path(f"{out}.failures").read_text() == f"{paths[5]} no_video\n{paths[-1]} not_found\n"

    paths[0].rename(tmp_path / "moved.mp4")  # known by its content
    paths[0] = tmp_path / "moved.mp4"
    paths[1].write_bytes(clips[2].read_bytes())  # other content under an old name
    paths[5].write_bytes(clips[3].read_bytes())  # mended
    counts = run_archive(captioner, paths, out).counts
    assert (counts.captioned, counts.done, counts.failed_before) == (2, 11, 0)
    again = [json.loads(line) for line in out.read_text().splitlines()]
    assert again[0] == rows[0] | {"path": str(paths[0])}
    assert again[1]["end_seconds"] == rows[2]["end_seconds"] and len(again) == 13
    assert run_archive(captioner, paths, out, key="another model").counts.done == 0


@pytest.mark.parametrize(
    "damage",
    [
        {"captions": "a dog"},
        {"captions": [5]},
        {"captions": [{"caption": "no more than this"}]},
        {"captions": None},
    ],
)
def test_a_malformed_record_is_passed_over(
    captioner: Captioner, clips: list[Path], tmp_path: Path, damage: dict[str, object]
) -> None:
    out = tmp_path / "out"
    run_archive(captioner, clips[:3], out)
    rows, journal = out.read_text(), Path(f"{out}.journal")
    lines = journal.read_text().splitlines()
    broken = next(i for i, line in enumerate(lines) if "captions" in line)
    lines[broken] = json.dumps(json.loads(lines[broken]) | damage)
    journal.write_text("\n".join(lines) + "\n")
    counts = run_archive(captioner, clips[:3], out).counts
    assert (counts.captioned, counts.done, counts.malformed) == (1, 2, 1) and out.read_text() == rows


@pytest.mark.parametrize("place", [0, 200_000, 399_990])
def test_files_of_one_size_and_time_are_told_apart(captioner: Captioner, tmp_path: Path, place: int) -> None:
    """Recorders write headers of equal bytes and files of equal size; the moments differ."""
    one, two = bytearray(400_000), bytearray(400_000)
    two[place] = 1
    items = []
    for name, data in (("one.ts", one), ("two.ts", two)):
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (1e9, 1e9))
        items.append(Item(path=str(tmp_path / name)))
    archive = Archive(items, settings=settings(captioner), model="m")
    assert len({task.key for task in archive._tasks()}) == 2


def test_a_list_that_grows_has_its_outcomes_as_they_are_ready(captioner: Captioner, clips: list[Path]) -> None:
    def items() -> Iterator[Item | None]:
        yield Item(path=str(clips[0]))
        yield None
        yield from (Item(path=str(path)) for path in clips[-2:])

    def engine(tasks: Iterator[Task]) -> Generator[Outcome, None, None]:
        first, nothing, second = tasks  # the last of the list is not there, and no task for the engine
        assert nothing is NOTHING_YET
        yield Outcome(task=NOTHING_YET)
        for task in (second, first):
            yield Outcome(task=task, captions=(captioner.caption(task.item.path),))

    archive = Archive(items(), settings=settings(captioner), model="m")
    totals = []
    found = list(archive.outcomes(engine, on_result=lambda counts: totals.append(counts.total)))
    assert [outcome.task.item.path for outcome in found] == [str(clips[n]) for n in (-1, -2, 0)]
    assert totals[-1] == 3 and archive.counts.settled == 3 and archive.counts.codes == {"not_found": 1}


def test_a_file_that_is_replaced_while_it_is_read_is_not_known_by_what_it_was(
    captioner: Captioner, clips: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips[0].read_bytes())
    was = path.stat().st_mtime_ns

    def engine(tasks: Iterator[Task]) -> Generator[Outcome, None, None]:
        for task in tasks:
            path.write_bytes(clips[1].read_bytes())
            yield Outcome(task=task, captions=(captioner.caption(path),))

    with Journal(tmp_path / "journal") as journal:
        archive = Archive([Item(path=str(path))], settings=settings(captioner), model="m", journal=journal)
        (outcome,) = archive.outcomes(engine)
        assert outcome.failure and outcome.failure.code == "changed" and "give the command again" in str(outcome)
    path.write_bytes(clips[0].read_bytes())
    os.utime(path, ns=(was, was))
    with Journal(tmp_path / "journal", read_only=True) as journal:
        archive = Archive([Item(path=str(path))], settings=settings(captioner), model="m", journal=journal)
        assert [state for state, _ in archive.plan()] == ["caption"]


def test_failures_are_tried_again_only_when_asked_to(captioner: Captioner, clips: list[Path], tmp_path: Path) -> None:
    out, paths = tmp_path / "out", clips[4:7]
    assert run_archive(captioner, paths, out).counts.failed == 1
    counts = run_archive(captioner, paths, out).counts
    assert (counts.failed, counts.failed_before, counts.done) == (0, 1, 2)
    counts = run_archive(captioner, paths, out, retry=True).counts
    assert (counts.failed, counts.failed_before, counts.done) == (1, 0, 2)


@pytest.mark.usefixtures("one_thread")
def test_killed_twenty_times_it_ends_as_if_never_killed(
    captioner: Captioner, clips: list[Path], tmp_path: Path
) -> None:
    unbroken, out = tmp_path / "unbroken", tmp_path / "out"
    began = time.monotonic()
    run_archive(captioner, clips, unbroken)
    seconds = time.monotonic() - began
    rng = random.Random(5)
    kills = 0
    while kills < 20:
        child = os.fork()
        if child == 0:
            try:
                run_archive(captioner, clips, out)
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0, seconds / 8))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status):  # it had come to its end: begin again
            for path in tmp_path.glob("out*"):
                path.unlink()
        for line in out.read_text().splitlines()[:-1] if out.exists() else ():
            json.loads(line)
    counts = run_archive(captioner, clips, out).counts
    assert counts.captioned + counts.done == 12
    assert out.read_text() == unbroken.read_text()
    assert Path(f"{out}.failures").read_text() == Path(f"{unbroken}.failures").read_text()
    assert run_archive(captioner, clips, out).counts.done == 12


def test_a_full_disk_stops_the_run_and_more_room_lets_it_go_on(
    captioner: Captioner, clips: list[Path], tmp_path: Path
) -> None:
    run_archive(captioner, clips, tmp_path / "unbroken")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system: run as root, outside a container")
    try:
        with pytest.raises(CaptionerError, match=r"cannot write .*: No space left on device"):
            run_archive(captioner, clips, small / "out")
        for line in (small / "out.journal").read_text().splitlines():
            json.loads(line)
        subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
        counts = run_archive(captioner, clips, small / "out").counts
        assert counts.done > 0 and counts.captioned > 0
        assert (small / "out").read_text() == (tmp_path / "unbroken").read_text()
    finally:
        subprocess.run(["umount", str(small)], check=True)


# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(checkpoint: Path, clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run of the command over all clips."""
    folder = tmp_path_factory.mktemp("ran")
    listed = folder / "list"
    listed.write_text("\n".join(map(str, clips)))
    command = ["caption", f"@{listed}", "-o", str(folder / "out.jsonl"), "-m", str(checkpoint), "--jobs", "1"]
    assert main(command) == 1
    return folder


def again(ran: Path, checkpoint: Path, *arguments: str, out: str = "out.jsonl") -> int:
    journal = ["--journal", str(ran / "out.jsonl.journal"), "--failures", str(ran / f"{Path(out).name}.failures")]
    return main(
        [
            "caption",
            f"@{ran / 'list'}",
            "-o",
            str(ran / out),
            "-m",
            str(checkpoint),
            "--jobs",
            "1",
            *journal,
            *arguments,
        ]
    )


def test_the_command_keeps_rows_and_failures_apart(
    ran: Path, clips: list[Path], checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in (ran / "out.jsonl").read_text().splitlines()]
    assert [r["path"] for r in rows] == [str(p) for p in clips if p.name not in ("text.mp4", "gone.mp4")]
    assert all("words" not in r and r["caption"] for r in rows)
    ledger = [json.loads(line) for line in (ran / "out.jsonl.failures.jsonl").read_text().splitlines()]
    assert [(r["path"], r["code"]) for r in ledger] == [(str(clips[5]), "no_video"), (str(clips[-1]), "not_found")]
    before = (ran / "out.jsonl").read_bytes()
    assert again(ran, checkpoint, "--words", "--metrics-port", "0") == 1
    said = capsys.readouterr()
    assert "metrics are at http://127.0.0.1:" in said.err
    assert said.out == "" and "12 known already" in said.err and "1 of them before" in said.err
    assert all(r["words"] for r in map(json.loads, (ran / "out.jsonl").read_text().splitlines()))
    assert again(ran, checkpoint) == 1 and (ran / "out.jsonl").read_bytes() == before


def test_other_formats_come_from_the_same_journal(
    ran: Path, clips: list[Path], checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in (ran / "out.jsonl").read_text().splitlines()]
    for form in ("json", "coco", "csv", "txt"):
        assert again(ran, checkpoint, "-q", out=f"o.{form}") == 1
    assert json.loads((ran / "o.json").read_text()) == rows
    parts = ["-q", "--partition-by", "folder"]
    for _ in range(2):  # the second run replaces the folder of the first
        assert again(ran, checkpoint, *parts, out="o") == 1
        [part] = (ran / "o").rglob("*.parquet")
        written = pyarrow.parquet.ParquetFile(part).read().to_pylist()
        assert [r["path"] for r in written] == [r["path"] for r in rows] and all(r["words"] for r in written)
    assert [r["caption"] for r in csv.DictReader((ran / "o.csv").open(newline=""))] == [r["caption"] for r in rows]
    assert (ran / "o.txt").read_text().splitlines() == [f"{r['path']}: {r['caption']}" for r in rows]
    capsys.readouterr()


def test_sidecars(ran: Path, clips: list[Path], checkpoint: Path, tmp_path: Path) -> None:
    own = tmp_path / "00.srt"
    own.write_text("subtitles by hand")
    for form in ("srt", "vtt"):
        assert again(ran, checkpoint, "-f", form, out=str(tmp_path / "{stem}.{format}")) == 1
    assert own.read_text() == "subtitles by hand"
    for path in sorted(tmp_path.glob("0[1-9].srt")):
        [cue] = srt.parse(path.read_text(encoding="utf-8"))
        assert cue.content and cue.end > cue.start
        [caption] = webvtt.read(str(path.with_suffix(".vtt")))
        assert caption.text == cue.content
    assert not (tmp_path / "text.srt").exists()
    ours = (tmp_path / "01.srt").read_text()
    again(ran, checkpoint, "-f", "srt", "--beams", "1", "--max-length", "3", out=str(tmp_path / "{stem}.{format}"))
    assert own.read_text() == "subtitles by hand" and (tmp_path / "01.srt").read_text() != ours


def test_subtitles_of_a_film_do_not_overlap(checkpoint: Path, tmp_path: Path) -> None:
    film = str(render_clip(tmp_path / "film.mp4", frames=240))
    for form in ("srt", "vtt"):
        assert main(["caption", film, "-m", str(checkpoint), "--segments", "0.5", "--sidecar", "-f", form]) == 0
    cues = list(srt.parse((tmp_path / "film.srt").read_text()))
    assert cues and all(a.end <= b.start for a, b in pairwise(cues))
    assert len(list(webvtt.read(str(tmp_path / "film.vtt")))) == len(cues)


def test_several_formats_and_what_would_be_done(
    clips: list[Path],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [str(clip) for clip in clips[:3]]
    (tmp_path / f"{clips[0].stem}.vtt").write_text("by hand")
    command = ["caption", *names, "-m", str(checkpoint), "-o", "{stem}.{format}", "-f", "vtt,jsonl"]

    def plan(*options: str) -> list[str]:
        assert main([*command, *options, "--dry-run"]) == 0
        return [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]

    assert plan() == ["caption"] * 3 and len(list(tmp_path.iterdir())) == 1
    assert main([*command, "-v"]) == 0
    assert capsys.readouterr().err.count("4 frames from 0.1 to") == 3
    assert (tmp_path / f"{clips[0].stem}.vtt").read_text() == "by hand"
    for clip in clips[:3]:
        assert json.loads((tmp_path / f"{clip.stem}.jsonl").read_text())["path"] == str(clip)
    assert (tmp_path / f"{clips[1].stem}.vtt").read_text().startswith("WEBVTT")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert plan() == ["done"] * 3 and plan("--overwrite") == ["caption"] * 3
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "captioner.journal").unlink()
    assert plan() == ["kept"] * 3  # all outputs exist, and nothing says whose they are
    one = ["caption", names[0], "-m", str(checkpoint), "-o", "one/{stem}.{format}", "-f", "srt,csv,srt"]
    assert main(one) == 0
    assert sorted(path.suffix for path in (tmp_path / "one").iterdir()) == [".csv", ".srt"]
    assert main([*one, "--dry-run", "-o", "-", "-f", "txt"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["a.mp4", "-f", "srt,vtt", "-o", "x.srt"], 2, "several formats need a name with {format}"),
        (["a.mp4", "b.mp4", "-f", "srt"], 2, "subtitles belong to one video"),
        (["a.mp4", "--sidecar", "-o", "x"], 2, "exclude each other"),
        (["a.mp4", "--split", "val"], 2, "--manifest"),
        (["a.mp4", "--shard", "3/2"], 2, "I/N"),
        (["a.mp4", "--segments", "scenes"], 2, "shots"),
        (["a.mp4", "--segments", "0"], 2, "above 0"),
        (["-", "-"], 2, "only once"),
        (["a.mp4", "-o", "{steam}.srt"], 1, "fields"),
        (["a.mp4", "--min-confidence", "3"], 2, "0 to 1"),
        (["a.mp4", "b.mp4", "-o", "x", "--overwrite", "--retry-failed"], 2, "leave --retry-failed out"),
    ],
)
def test_contradictions_are_told_before_anything_is_done(
    arguments: list[str],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["caption", *arguments]) == status
    assert re.search(said, capsys.readouterr().err) and list(tmp_path.iterdir()) == []


def test_an_output_that_is_not_ours_is_left_alone(
    clips: list[Path], checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("mine")
    assert main(["caption", str(clips[0]), str(clips[1]), "-o", str(out), "-m", str(checkpoint)]) == 1
    assert "give another -o, or --overwrite" in capsys.readouterr().err and out.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [out]


SIGNALLED = """
import os, sys
import psutil
from captioner.archive.journal import Journal
from captioner.cli import main
from captioner.commands.engine import decode_pool

records, number = int(sys.argv[1]), int(sys.argv[2])
append = Journal.append

def append_and_signal(self, record):
    global records
    offset = append(self, record)
    records -= 1
    if records == 0:
        print(*[child.pid for child in psutil.Process().children()], flush=True)
        os.kill(os.getpid(), number)
    return offset

Journal.append = append_and_signal
sys.exit(main(sys.argv[3:]))
"""
"""The command, in a process that sends itself a signal after so many records of its journal."""


def test_stopped_and_killed_the_command_goes_on(checkpoint: Path, clips: list[Path], tmp_path: Path) -> None:
    good = [clip.read_bytes() for clip in clips if clip.suffix == ".mp4" and clip.exists() and clip.stem != "text"]
    names = [tmp_path / f"{i:03}.mp4" for i in range(30)]
    for number, name in enumerate(names):
        name.write_bytes(good[number % len(good)])
        os.utime(name, (0, number))  # or else the same content would be captioned only once
    (tmp_path / "list").write_text("\n".join(map(str, names)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def run(out: str, *program: str) -> subprocess.CompletedProcess[str]:
        options = ["caption", "@list", "-o", out, "-m", str(checkpoint), "--jobs", "1", "--batch-size", "4"]
        command = [sys.executable, *program, *options]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)

    def left_behind(stopped: subprocess.CompletedProcess[str]) -> list[psutil.Process]:
        children = list(map(int, stopped.stdout.split()))
        assert children
        return psutil.wait_procs([psutil.Process(c) for c in children if psutil.pid_exists(c)], timeout=30)[1]

    whole = run("unbroken.jsonl", "-m", "captioner")
    assert whole.returncode == 0, whole.stderr
    stopped = run("out.jsonl", "-c", SIGNALLED, "8", str(int(signal.SIGINT)))
    assert stopped.returncode == 130 and not left_behind(stopped)
    assert "the same command resumes" in stopped.stderr and "Traceback" not in stopped.stderr
    killed = run("out.jsonl", "-c", SIGNALLED, "8", str(int(signal.SIGKILL)))
    assert killed.returncode == -signal.SIGKILL and not left_behind(killed)
    last = run("out.jsonl", "-m", "captioner")
    assert last.returncode == 0 and re.search(r"[1-9]\d* known already", last.stderr), last.stderr
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "unbroken.jsonl").read_bytes()
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 30


def test_there_are_no_more_children_than_files_or_cores(
    clips: list[Path], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Counted(DecodePool):
        def __init__(self, *, workers: int, timeout_seconds: float | None) -> None:
            started.append(workers)
            super().__init__(workers=workers, timeout_seconds=timeout_seconds)

    monkeypatch.setattr("captioner.commands.engine.DecodePool", Counted)
    monkeypatch.setattr("captioner.commands.engine.cores", lambda: 3)
    names = [str(clip) for clip in clips[:2]]
    for number, files in enumerate((names, [*names, *map(str, clips[2:5])])):
        assert (
            main(["caption", *files, "-m", str(checkpoint), "--jobs", "64", "-o", str(tmp_path / f"{number}.csv")]) == 0
        )
    assert started == [2, 3]


def test_a_watch_has_as_many_children_as_jobs_says(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr("captioner.commands.engine.DecodePool", lambda *, workers, timeout_seconds: workers)
    monkeypatch.setattr("captioner.commands.engine.cores", lambda: 64)
    for jobs in (None, 24, 100):
        options = argparse.Namespace(engine="local", dry_run=False, jobs=jobs, timeout=60.0)
        started.append(decode_pool(options))
    assert started == [16, 24, 64]
