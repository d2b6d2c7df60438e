"""How much faster is sampling than decoding everything, with the very same pixels, and in how much memory?

    python benchmarks/sampling.py                     # renders its own clips (minutes, once)
    python benchmarks/sampling.py my-clips/*.mp4      # your clips instead

Both give 16 frames of a clip as RGB in the size of the file, by one thread of PyAV. "Everything" decodes every frame
of the file once, holds the latest, and turns only the frames wanted into pixels; it is told for nothing which moments
are wanted. Any difference in a time or a pixel ends the benchmark. The runs alternate, so that all see the same noise
of the machine; the time is the processor's, the best of each counts; the long clips run once. Peak memory is that of
a fresh process that samples the clip and keeps nothing: interpreter, numpy, PyAV and all.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from captioner.video.frames import iter_frames

COUNT = 16
NEVER_BELOW = 0.95
MEMORY_MB = 150
LONG = {"five-minutes-gop-250.mp4": (250, 6), "five-minutes-gop-25.mp4": (25, 25)}
"""Of 1080p at 30 frames a second: (frames from keyframe to keyframe, how many times faster sampling should be).

More than half of their frames are B-frames, as in films; where there are none, none can be skipped unread."""

Sample = list[tuple[float, np.ndarray]]


@dataclass(frozen=True)
class Clip:
    """How to render a clip."""

    codec: str
    seconds: float = 10
    size: tuple[int, int] = (320, 240)
    gop: int = 250
    rate: int = 25
    pixel_format: str = "yuv420p"


SHORT = {
    "ten-seconds.mp4": Clip("libx264"),
    "two-seconds.mp4": Clip("libx264", seconds=2),
    "sixteen-frames.mp4": Clip("libx264", seconds=0.64),
    "a-tenth-of-a-second.mp4": Clip("libx264", seconds=0.12, size=(64, 48)),
    "minute.mp4": Clip("libx264", seconds=60),
    "hevc.mp4": Clip("libx265", seconds=5),
    "h264.mkv": Clip("libx264"),
    "h264.ts": Clip("libx264"),
    "h264.flv": Clip("libx264"),
    "mpeg2.mpg": Clip("mpeg2video", gop=15),
    "mpeg4.avi": Clip("mpeg4", gop=12),
    "vp8.webm": Clip("libvpx", seconds=5),
    "vp9.webm": Clip("libvpx-vp9", seconds=5),
    "wmv.asf": Clip("wmv2", gop=12),
    "mjpeg.avi": Clip("mjpeg", pixel_format="yuvj420p"),
    "animation.gif": Clip("gif", seconds=4, pixel_format="rgb8"),
    "small.gif": Clip("gif", seconds=1, size=(64, 48), pixel_format="rgb8"),
}


def render(path: Path, clip: Clip) -> Path:
    """A camera that wanders over a picture, with a square that runs across it."""
    width, height = clip.size
    rng = np.random.default_rng(0)
    canvas = np.zeros((2 * height, 2 * width, 3), np.uint8)
    for step in (4, 16, 64, 128):
        coarse = rng.integers(0, 60, (2 * height // step + 1, 2 * width // step + 1, 3), np.uint8)
        canvas += coarse.repeat(step, 0).repeat(step, 1)[: 2 * height, : 2 * width]
    with av.open(str(path), "w") as out:
        stream = _stream(out, clip)
        for number in range(round(clip.seconds * clip.rate)):
            left = round((1 + np.sin(number / 200)) / 2 * width)
            top = round((1 + np.sin(number / 155)) / 2 * height)
            pixels = canvas[top : top + height, left : left + width].copy()
            centre = number * width // 100 % width
            pixels[max(0, height // 2 - 20) : height // 2 + 20, max(0, centre - 20) : centre + 20] = 250
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, clip.rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _stream(out: av.container.OutputContainer, clip: Clip) -> av.VideoStream:
    speed = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"}
    options = {
        "libx264": {"preset": "veryfast", "x264-params": "scenecut=0"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
        "libvpx": speed,
        "libvpx-vp9": speed,
        "mpeg2video": {"bf": "2"},
    }
    stream = out.add_stream(clip.codec, rate=clip.rate, options=options.get(clip.codec, {}))
    stream.width, stream.height = clip.size
    stream.pix_fmt, stream.codec_context.gop_size = clip.pixel_format, clip.gop
    if clip.codec in ("mpeg4", "mpeg2video", "wmv2", "mjpeg", "libvpx", "libvpx-vp9"):
        stream.codec_context.bit_rate = 10 * clip.size[0] * clip.size[1]
    return stream


def repeat(source: Path, path: Path, times: int) -> Path:
    """The same packets again and again: a long clip without encoding all of it."""
    with av.open(str(path), "w") as out:
        for turn in range(times):
            with av.open(str(source)) as container:
                stream = container.streams.video[0]
                target = out.streams.video[0] if turn else out.add_stream_from_template(stream)
                length = stream.duration
                for packet in container.demux(stream):
                    if packet.size:
                        packet.pts += turn * length
                        packet.dts += turn * length
                        packet.stream = target
                        out.mux(packet)
    return path


def wanted(path: Path) -> list[Fraction]:
    """The moments to look at, in ticks from the first frame shown: the middles of equal parts of the clip."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size and p.pts is not None and not p.is_discard]
        rate = stream.average_rate or stream.guessed_rate
        last = max(packets, key=lambda packet: packet.pts)
        end = last.pts + (last.duration or int(1 / (rate * stream.time_base)))
        length = end - min(packet.pts for packet in packets)
    return [length * Fraction(2 * part + 1, 2 * COUNT) for part in range(COUNT)]


def everything(path: Path, moments: list[Fraction]) -> Sample:
    """The frames shown at ``moments``, by decoding the whole file."""
    sample: Sample = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        first, held, due = 0, None, list(reversed(moments))
        for frame in container.decode(stream):
            first = frame.pts if held is None else first
            passed = False
            while due and held is not None and due[-1] < frame.pts - first:
                due.pop()
                passed = True
            if passed:
                sample.append(_pixels(held, first))
            held = frame
        if due and held is not None:
            sample.append(_pixels(held, first))
    return sample


def _pixels(frame: av.VideoFrame, first: int) -> tuple[float, np.ndarray]:
    return float((frame.pts - first) * frame.time_base), frame.reformat(format="rgb24", threads=1).to_ndarray()


def ours(path: Path) -> Sample:
    return [(frame.time_seconds, frame.pixels) for frame in iter_frames(path, count=COUNT, timeout_seconds=None)]


def compare(path: Path, *, rounds: int) -> float:
    """How many times longer decoding everything takes; prints a line."""
    moments = wanted(path)
    best = [float("inf"), float("inf")]
    spent = 0.0
    for turn in range(200):
        results = []
        for way, run in enumerate((lambda: everything(path, moments), lambda: ours(path))):
            started = time.process_time()
            results.append(run())
            took = time.process_time() - started
            best[way] = min(best[way], took)
            spent += took
        if turn == 0:
            _check_identical(path, *results)
        del results
        if turn + 1 >= rounds and spent > 0.3:  # many rounds of what is over in a moment
            break
    ratio = best[0] / best[1]
    size = path.stat().st_size / 1e6
    print(f"{path.name[:40]:40} {size:7.2f} MB {best[0] * 1e3:9.1f} {best[1] * 1e3:8.1f} ms  {ratio:6.2f}", flush=True)
    return ratio


def _check_identical(path: Path, theirs: Sample, sample: Sample) -> None:
    assert [seconds for seconds, _ in theirs] == [seconds for seconds, _ in sample], f"{path}: other frames"
    for (_, wanted_pixels), (seconds, pixels) in zip(theirs, sample, strict=True):
        assert np.array_equal(wanted_pixels, pixels), f"{path}: other pixels at {seconds} s"


def peak_mb(path: Path) -> float:
    """The most memory that a fresh process takes to sample a clip."""
    command = [sys.executable, __file__, "--sample", str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def sample_and_tell(path: Path) -> None:
    for _ in iter_frames(path, count=COUNT, timeout_seconds=None):
        pass
    # The kernel's high-water mark of this program; getrusage's would be that of the process it was forked from.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def run_long(folder: Path, rounds: int) -> bool:
    good = True
    for name, (gop, target) in LONG.items():
        path = folder / name
        if not path.exists():
            clip = Clip("libx264", seconds=250 / 30, size=(1920, 1080), gop=gop, rate=30)
            some = render(folder / "some-seconds-of-1080p.mp4", clip)
            repeat(some, path, 36)
            some.unlink()
        ratio, peak = compare(path, rounds=rounds), peak_mb(path)
        print(f"  target {target}; peak memory {peak:.0f} MB, target {MEMORY_MB}", flush=True)
        good &= ratio >= target and peak < MEMORY_MB
    return good


def run_short(paths: list[Path], rounds: int) -> bool:
    ratios = [compare(path, rounds=rounds) for path in paths]
    below = sum(ratio < NEVER_BELOW for ratio in ratios)
    print(
        f"{len(ratios)} clips: smallest {min(ratios):.2f}, median {np.median(ratios):.2f}, largest {max(ratios):.2f}; "
        f"{below} below {NEVER_BELOW}"
    )
    return below == 0


def main() -> int:
    if sys.argv[1:2] == ["--sample"]:
        sample_and_tell(Path(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="clips of yours, instead of the rendered ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("work/benchmarks"), help="where rendered clips are kept")
    parser.add_argument("--skip-long", action="store_true", help="leave out the five minutes of 1080p")
    options = parser.parse_args()
    av.logging.set_level(None)
    print(f"{'clip':40} {'':10} everything     ours      times faster")
    if options.clips:
        return 0 if run_short(options.clips, options.rounds) else 1
    options.folder.mkdir(parents=True, exist_ok=True)
    paths = [options.folder / name for name in SHORT]
    for path in paths:
        if not path.exists():
            render(path, SHORT[path.name])
    good = run_short(paths, options.rounds)
    if not options.skip_long:
        good &= run_long(options.folder, 1)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
