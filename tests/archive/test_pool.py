"""Decoding in children gives what decoding here gives, and a child that hangs or dies costs its file only."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioner.archive.pool import DecodeJob, DecodePool
from captioner.errors import CaptionerError, ConfigError, VideoError
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames, sample_frames
from tests.media import render_clip, render_image, render_text, truncate

VIDEO = VideoConfig(frames=4, size=32)

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP: run on Linux or macOS")


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(workers=2, timeout_seconds=20) as pool:
        yield pool


def job(path: str | Path, **part: Any) -> DecodeJob:
    return DecodeJob(path=str(path), video=VIDEO, **part)


def same(a: Frames, b: Frames) -> bool:
    return np.array_equal(a.pixels, b.pixels) and all(
        getattr(a, name) == getattr(b, name) for name in vars(a) if name != "pixels"
    )


def test_the_frames_are_those_decoded_here(pool: DecodePool, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "c.mp4", frames=96)
    names = [render_clip(tmp_path / "ü 字.mp4"), render_image(tmp_path / "b.png"), tmp_path / "new\nline.mp4"]
    names[2].write_bytes(clip.read_bytes())
    names.append(truncate(render_clip(tmp_path / "whole.mkv", frames=96), tmp_path / "cut.mkv", keep=0.6))
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/not utf-8 \xff.mp4")
    Path(odd).write_bytes(clip.read_bytes())
    for path in (*names, Path(odd)):
        [(span, frames)] = pool.decode(job(path))
        assert same(frames, sample_frames(path, VIDEO))
        assert (span.start_seconds, span.end_seconds) == (0.0, frames.duration_seconds)
    [(span, frames)] = pool.decode(job(clip, start_seconds=1, end_seconds=2))
    assert (span.start_seconds, span.end_seconds) == (1, 2)
    assert same(frames, sample_frames(clip, VIDEO, start_seconds=1, end_seconds=2))


def test_errors_are_those_met_here(pool: DecodePool, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    for path in (render_text(tmp_path / "text.mp4"), tmp_path / "gone.mp4", tmp_path / "empty.mp4", tmp_path):
        with pytest.raises(VideoError) as here:
            sample_frames(path, VIDEO)
        with pytest.raises(VideoError) as there:
            list(pool.decode(job(path)))
        assert (there.value.code, str(there.value)) == (here.value.code, str(here.value))
    with pytest.raises(ConfigError, match="start_seconds is 50"):
        list(pool.decode(job(render_clip(tmp_path / "clip.mp4"), start_seconds=50)))


def child_of(pool: DecodePool, worker: int = 0) -> int:
    process = pool._children[worker]._process
    assert process is not None
    return process.pid


def test_a_child_that_hangs_is_killed(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    with DecodePool(workers=1, timeout_seconds=1) as pool:
        list(pool.decode(job(clip)))
        stopped = child_of(pool)
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(VideoError) as caught:
            list(pool.decode(job(clip)))
        assert caught.value.code == "timeout" and str(clip) in str(caught.value)
        with pytest.raises(ProcessLookupError):
            os.kill(stopped, 0)
        assert len(list(pool.decode(job(clip)))) == 1


def test_a_child_that_dies_costs_its_file_only(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    with DecodePool(workers=1, timeout_seconds=60) as pool:
        list(pool.decode(job(clip)))
        child = child_of(pool)
        os.kill(child, signal.SIGSTOP)  # so that it dies with the file in hand
        threading.Timer(0.2, os.kill, (child, signal.SIGSEGV)).start()
        threading.Timer(0.3, os.kill, (child, signal.SIGCONT)).start()
        with pytest.raises(VideoError) as caught:
            list(pool.decode(job(clip)))
        assert caught.value.code == "damaged" and "signal 11" in str(caught.value)
        assert len(list(pool.decode(job(clip)))) == 1


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """Linux sends the parent-death signal when the thread that started the child ends, and a server's threads do."""
    clip = render_clip(tmp_path / "clip.mp4")
    with DecodePool(workers=1, timeout_seconds=20) as pool:
        left = pool.decode(job(clip, segments=0.5))
        next(left)
        left.close()  # left half-way: killed, and started again by whoever comes next
        visitor = threading.Thread(target=lambda: list(pool.decode(job(clip))))
        visitor.start()
        visitor.join()
        time.sleep(0.3)
        assert same(next(pool.decode(job(clip)))[1], sample_frames(clip, VIDEO))


def test_a_child_that_was_killed_while_it_had_nothing_to_do_is_started_again(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    with DecodePool(workers=1, timeout_seconds=20) as pool:
        list(pool.decode(job(clip)))
        os.kill(child_of(pool), signal.SIGKILL)
        time.sleep(0.3)
        assert len(list(pool.decode(job(clip)))) == 1


def test_the_time_limit_is_kept(tmp_path: Path) -> None:
    film = render_clip(tmp_path / "film.mkv", frames=300, gop=300)
    with DecodePool(workers=1, timeout_seconds=0.001) as pool:
        with pytest.raises(VideoError) as caught:
            list(pool.decode(job(film)))
        assert caught.value.code == "timeout"


def test_many_files(pool: DecodePool, tmp_path: Path) -> None:
    good = [render_clip(tmp_path / f"{i}.mp4", frames=24 + i) for i in range(12)]
    bad = [render_text(tmp_path / f"bad{i}.mp4") for i in range(3)]
    jobs = [(p, job(p)) for p in (*good[:6], *bad, *good[6:])]
    ended, frames = {}, {}
    for result in pool.decode_all(jobs):
        assert result is not None
        if result.part is not None:
            frames[result.label] = result.part[1]
        else:
            ended[result.label] = result.error
    assert set(ended) == {p for p, _ in jobs} and set(frames) == set(good)
    assert all((ended[p] is not None) == (p in bad) for p in ended)
    assert all(same(frames[p], sample_frames(p, VIDEO)) for p in good)


def test_little_is_decoded_ahead_and_leaving_early_is_clean(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    asked = 0

    def jobs() -> Iterator[tuple[int, DecodeJob]]:
        nonlocal asked
        for asked in range(1000):
            yield asked, job(clip)

    with DecodePool(workers=1) as pool:
        results = pool.decode_all(jobs())
        next(results)
        time.sleep(1)
        assert asked < 10
        threads = threading.active_count()
        results.close()  # type: ignore[attr-defined]
        assert threading.active_count() == threads - 1
        assert len(list(pool.decode(job(clip)))) == 1


def test_a_list_may_have_nothing_yet_and_go_on(pool: DecodePool, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    ticked = False

    def jobs() -> Iterator[tuple[int, DecodeJob] | None]:
        yield 0, job(clip)
        while not ticked:
            yield None
        yield 1, job(clip)

    labels = []
    for result in pool.decode_all(jobs(), tick_seconds=0.05):
        ticked |= result is None
        if result is not None and result.part is None:
            labels.append(result.label)
    assert ticked and sorted(labels) == [0, 1]


def test_leaving_a_list_that_has_nothing_yet_is_quick(pool: DecodePool) -> None:
    results = pool.decode_all(iter(lambda: None, 0), tick_seconds=0.05)  # for ever
    assert next(results) is None
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 5


def test_an_error_of_the_list_reaches_the_caller(pool: DecodePool) -> None:
    def jobs() -> Iterator[tuple[int, DecodeJob]]:
        raise CaptionerError("the list cannot be read")
        yield

    with pytest.raises(CaptionerError, match="the list cannot be read"):
        list(pool.decode_all(jobs()))


def test_children_end_with_the_pool(tmp_path: Path) -> None:
    with DecodePool(workers=2) as pool:
        children = [child_of(pool, 0), child_of(pool, 1)]
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    with pytest.raises(CaptionerError, match="closed"):
        list(pool.decode(job(tmp_path / "clip.mp4")))


@pytest.mark.parametrize("options", [{"workers": 0}, {"timeout_seconds": 0}, {"timeout_seconds": float("nan")}])
def test_settings_that_make_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        DecodePool(**options)  # type: ignore[arg-type]
