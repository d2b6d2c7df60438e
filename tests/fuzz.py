"""Thousands of broken media files: each gives frames or a coded error, and opens nothing but itself.

    python -m tests.fuzz                        # 2,000 mutants, the nightly run
    python -m tests.fuzz --seed 7 --mutants 500

Every mutant is made of a clip, photo, song or playlist that is rendered here, by a seeded generator; it is read in a
child process with limited memory and time that lives on until a mutant kills it. Mutants that break the contract are
kept in the folder that is printed. Exit status 0 if there are none.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.broken import broken_files
from tests.clips import render_case
from tests.media import render_audio_only, render_clip, render_image
from tests.watch import Watch, listening

MEMORY_BYTES = 6 << 30  # of addresses, most of which torch takes without using them
CPU_SECONDS = 20
"""What one mutant may take of a processor."""
WALL_SECONDS = 300
"""When a child is given up, on a machine that may be busy with other things."""
CODES = {"empty", "no_video", "unsupported", "damaged", "too_large", "blocked", "timeout"}

_CLIPS = (
    "h264.mp4", "open-gop.mp4", "fragments.mp4", "fast-start.mp4", "hevc.mp4", "vp9.mp4", "prores.mov", "turned-90.mp4",
    "sound.mp4", "h263.3gp", "pyramid.mkv", "sound.mkv", "mpeg2.mkv", "ffv1.mkv", "vp9.webm", "vp8.webm", "h264.ts",
    "mpeg2.ts", "sound.ts", "mpeg2.mpg", "h264.flv", "flash.flv", "wmv.asf", "mpeg4.avi", "mjpeg.avi", "huffyuv.avi",
    "raw.avi", "animation.gif", "animation.png", "vp9.ivf", "h264.h264", "hevc.hevc", "mpeg2.m2v", "motion.mjpeg",
)  # fmt: skip
_NAMES = (
    "clip{}",
    "-x{}",
    "a:b{}",
    "img%03d{}",
    "new\nline{}",
    "ü 字{}",
    "*?[x]{}",
    " {}",
    "http:{}",
    "file,{}",
    "$(x){}",
)
_SUFFIXES = (
    ".mp4",
    ".mkv",
    ".avi",
    ".gif",
    ".png",
    ".jpg",
    ".mpg",
    ".ts",
    ".m3u8",
    ".txt",
    ".mjpeg",
    "",
    ".webp",
    ".sdp",
)


@dataclass(frozen=True)
class Mutant:
    """A file to try: its name, its bytes, and in words what was done."""

    name: str
    data: bytes
    story: str


def seeds(folder: Path, *, port: int) -> dict[str, bytes]:
    """What mutants are made of, by name: about eighty small files of every kind."""
    files = [render_case(folder, name, frames=24) for name in _CLIPS]
    files += [
        render_clip(folder / "one-frame.mp4", frames=1),
        render_clip(folder / "a-day.mp4", times=[0, 2_000_000], frames=2),
    ]
    files += [render_image(folder / f"photo{suffix}") for suffix in (".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif")]
    files += [render_audio_only(folder / f"song{suffix}", seconds=0.2) for suffix in (".mp3", ".wav", ".m4a", ".ogg")]
    found = {path.name: path.read_bytes() for path in files}
    return found | {path.name: path.read_bytes() for path in broken_files(folder, port=port)}


def mutants(originals: dict[str, bytes], *, count: int, seed: int) -> Iterator[Mutant]:
    """``count`` mutants, the same for the same seed."""
    names = sorted(originals)
    for number in range(count):
        rng = random.Random(f"{seed}.{number}")
        name = names[number % len(names)]
        data = bytearray(originals[name])
        story = [name]
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            change = rng.choice((_cut, _flip, _flip, _blank, _number, _number, _number, _move, _repeat, _splice))
            story.append(change(rng, data, originals[rng.choice(names)]))
        suffix = Path(name).suffix if rng.random() < 0.8 else rng.choice(_SUFFIXES)
        pattern = _NAMES[0] if rng.random() < 0.8 else rng.choice(_NAMES)
        yield Mutant(pattern.format(suffix), bytes(data), ", ".join(story))


def _place(rng: random.Random, data: bytearray) -> int:
    """Anywhere, but half of the time near the start or the end, where containers keep their tables."""
    near = min(len(data), 400)
    return rng.choice(
        (rng.randrange(len(data) or 1), rng.randrange(near or 1), len(data) - 1 - rng.randrange(near or 1))
    )


def _cut(rng: random.Random, data: bytearray, _: bytes) -> str:
    at = rng.randrange(len(data) + 1)
    del data[at:]
    return f"cut at {at}"


def _flip(rng: random.Random, data: bytearray, _: bytes) -> str:
    times = rng.choice((1, 3, 10, 60)) if data else 0
    for _ in range(times):
        data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return f"{times} bits flipped"


def _blank(rng: random.Random, data: bytearray, _: bytes) -> str:
    at, length = rng.randrange(len(data) + 1), rng.choice((1, 4, 100, 2000))
    length = min(length, len(data) - at)
    data[at : at + length] = rng.choice((b"\0", b"\xff")) * length
    return f"{length} bytes blanked at {at}"


def _number(rng: random.Random, data: bytearray, _: bytes) -> str:
    at = max(0, _place(rng, data))
    value = rng.choice(
        (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\0", b"\0\0\0\1")
    )
    data[at : at + 4] = value[: len(data) - at]
    return f"{value.hex()} at {at}"


def _move(rng: random.Random, data: bytearray, _: bytes) -> str:
    at, length = rng.randrange(len(data) + 1), rng.randrange(1, 500)
    piece = data[at : at + length]
    del data[at : at + length]
    to = rng.randrange(len(data) + 1)
    data[to:to] = piece
    return f"{len(piece)} bytes moved from {at} to {to}"


def _repeat(rng: random.Random, data: bytearray, _: bytes) -> str:
    at, length, times = rng.randrange(len(data) + 1), rng.randrange(1, 300), rng.choice((2, 50))
    data[at:at] = data[at : at + length] * times
    return f"{length} bytes at {at} {times} times more"


def _splice(rng: random.Random, data: bytearray, other: bytes) -> str:
    at, start = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    data[at:] = other[start:]
    return f"another file's from {at}"


class Child:
    """A process that reads one file after another."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz", "--child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def read(self, path: Path) -> dict[str, object]:
        """What came of it; the child is dead if that is ``died`` or ``hangs``."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(os.fspath(path)).encode() + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], WALL_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        if line:
            return json.loads(line)
        self._process.kill()
        return {"outcome": "hangs" if not ready else "died", "status": self._process.wait()}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def serve() -> None:
    """The child: a path a line on stdin, what came of it on stdout."""
    import resource

    import av

    from captioner.errors import CaptionerError, VideoError
    from captioner.video.config import VideoConfig
    from captioner.video.frames import probe, sample_frames

    av.logging.set_level(None)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for line in sys.stdin:
        path = json.loads(line)
        started = time.process_time()
        result: dict[str, object] = {}
        try:
            for read in (lambda p: sample_frames(p, VideoConfig(frames=8, size=32)), probe):
                try:
                    got = read(path)
                    result.setdefault("outcome", "frames" if not getattr(got, "lost", 0) else "frames, some lost")
                except VideoError as error:
                    result.setdefault("outcome", error.code)
                    assert str(error) and "\n" not in str(error)
                    assert error.code in CODES, error
                except CaptionerError as error:
                    raise AssertionError(f"not a VideoError: {error!r}") from error
        except BaseException as error:
            result["outcome"] = f"raised {error!r}"
        result["cpu_seconds"] = time.process_time() - started
        print(json.dumps(result), flush=True)


def run(folder: Path, *, count: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """Try that many mutants; how often each outcome came, and what broke the contract."""
    outcomes: collections.Counter[str] = collections.Counter()
    findings: list[str] = []
    (folder / "seeds").mkdir(parents=True)
    (folder / "arena").mkdir()
    with listening() as (port, visitors):
        originals = seeds(folder / "seeds", port=port)
        (folder / "arena" / "img001.png").write_bytes(originals["photo.png"])
        arena, decoys = Watch(folder / "arena"), Watch(folder / "seeds" / "decoy")
        child = Child()
        for number, mutant in enumerate(mutants(originals, count=count, seed=seed)):
            path = folder / "arena" / mutant.name
            path.write_bytes(mutant.data)
            arena.opened()
            result = child.read(path)
            outcome = str(result["outcome"])
            faults = [] if outcome in CODES | {"frames", "frames, some lost"} else [outcome]
            if outcome in ("died", "hangs"):
                child.close()
                child = Child()
            if float(str(result.get("cpu_seconds", 0))) > CPU_SECONDS:
                faults.append(f"took {result['cpu_seconds']} seconds")
            if others := (arena.opened() - {mutant.name}) | decoys.opened():
                faults.append(f"opened {others}")
            if visitors:
                faults.append(f"connected to {visitors}")
                visitors.clear()
            outcomes[outcome if not faults else "broke the contract"] += 1
            if faults:
                kept = folder / f"finding-{seed}-{number}{Path(mutant.name).suffix}"
                kept.write_bytes(mutant.data)
                findings.append(f"{kept}: {'; '.join(faults)} ({mutant.story}; named {mutant.name!r})")
            path.unlink()
        child.close()
        arena.close()
        decoys.close()
    return outcomes, findings


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve()
        return 0
    folder = Path(tempfile.mkdtemp(prefix="captioner-fuzz-"))
    outcomes, findings = run(folder, count=options.mutants, seed=options.seed)
    for outcome, number in outcomes.most_common():
        print(f"{number:6} {outcome}")
    for finding in findings:
        print(finding)
    print(f"{options.mutants} mutants of seed {options.seed}, {len(findings)} broke the contract; {folder}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
