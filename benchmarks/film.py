"""Does a long film take more memory than a short one, and when does its first caption come?

    python benchmarks/film.py                  # 24 minutes, by shots, MP4 and MPEG-TS
    python benchmarks/film.py --frames-only    # without the model
    python benchmarks/film.py --minutes 120 --segments 30

A film of rendered shots of 10 to 30 s (320 x 240, 12 frames a second) is captioned with the package's checkpoint in a
process of its own. Printed are the memory of that process (resident, above what it has after the first minute of film)
along the film, the time to the first caption, and all of it in processor time, as multiples of real time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

RATE, SIZE = 12, (320, 240)


def shots(minutes: float) -> Iterator[np.ndarray]:
    """The frames: in each shot a blurred pattern of its own drifts past."""
    rng, left = np.random.default_rng(0), int(minutes * 60 * RATE)
    while left > 0:
        coarse = rng.integers(0, 256, (9, 40, 3), dtype=np.uint8)
        picture = coarse.repeat(SIZE[1] // 9 + 1, axis=0).repeat(32, axis=1)[: SIZE[1]]
        length = min(left, int(rng.integers(10 * RATE, 30 * RATE)))
        for i in range(length):
            yield picture[:, i : i + SIZE[0]]
        left -= length


def render(path: Path, minutes: float) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 120
        stream.thread_count = 1
        for pixels in shots(minutes):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        out.mux(stream.encode(None))


def ends(path: str, segments: str, *, frames_only: bool) -> Iterator[float]:
    """Where each caption, or each segment's frames, end, as they come; loads what is needed before the first."""
    from captioner.caption.merging import merge_captions
    from captioner.caption.segments import parse_segments, segment_frames

    if frames_only:
        yield 0.0
        yield from (span.end_seconds or 0.0 for span, _ in segment_frames(path, segments=parse_segments(segments)))
        return
    from captioner import Captioner

    captioner = Captioner.load()
    yield 0.0
    captions = merge_captions(captioner.caption_segments(path, segments=parse_segments(segments)))
    yield from (caption.end_seconds or 0.0 for caption in captions)


def child(path: str, segments: str, *, frames_only: bool) -> None:
    """One line of JSON a caption."""
    found = ends(path, segments, frames_only=frames_only)
    next(found)
    began_cpu = time.process_time()
    for end in found:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(
            json.dumps(
                {
                    "end": end,
                    "bytes": pages * 4096,
                    "cpu": time.process_time() - began_cpu,
                }
            ),
            flush=True,
        )


def measure(path: Path, segments: str, *, frames_only: bool) -> None:
    command = [sys.executable, __file__, "--child", str(path), "--segments", segments]
    if frames_only:
        command.append("--frames-only")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    settled = next(row for row in rows if row["end"] > 60)
    length = rows[-1]["end"]
    curve = []
    for tenth in range(1, 11):
        reached = [row["bytes"] for row in rows if settled["end"] <= row["end"] <= length * tenth / 10 + 0.1]
        curve.append(f"{(max(reached, default=settled['bytes']) - settled['bytes']) / 2**20:+.0f}")
    print(f"{path.name}, {path.stat().st_size / 2**20:.0f} MB, --segments {segments}: {len(rows)} results")
    print(f"  most memory by tenths of the film: {settled['bytes'] / 2**20:.0f} MB and {' '.join(curve)}")
    first, last = rows[0], rows[-1]
    print(f"  first after {first['cpu']:.2f} of {last['cpu']:.1f} s of processor time", end="")
    print(f" ({length / last['cpu']:.0f} times as fast as it plays)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=24)
    parser.add_argument("--segments", default="shots")
    parser.add_argument("--frames-only", action="store_true", help="find and sample the segments, without a model")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.segments, frames_only=options.frames_only)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("film.mp4", "film.ts"):
            path = Path(folder) / name
            render(path, options.minutes)
            measure(path, options.segments, frames_only=options.frames_only)


if __name__ == "__main__":
    main()
