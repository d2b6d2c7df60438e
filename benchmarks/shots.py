"""How well are the shots of real clips found, and what does it cost beside decoding them?

    python benchmarks/shots.py ../shared/data/msvd                    # the clips nothing was chosen on
    python benchmarks/shots.py ../shared/data/msvd --choose           # what the thresholds were chosen on
    python benchmarks/shots.py ../shared/data/msvd --speed            # only how long it takes
    python benchmarks/shots.py ../shared/data/msvd --scenedetect      # PySceneDetect on the same frames, if installed

Pieces of MSVD's train and val clips, 3 to 10 s each, are joined frame by frame: most by a hard cut, the others by a
dissolve of 0.3 to 1.5 s. The clips have cuts of their own as well. ``shots.csv`` lists those that were seen by looking
at every place where the picture changes much; a place that was not clear to the eye ("unsure") counts neither way, and
a clip with many such is left out. A boundary is found if a detection lies within 0.1 s of it (of the dissolve). The
thresholds were chosen on 200 train clips; the figures are for the other train clips and all of val.

Seconds are of processor time, alternating between the two runs clip by clip, so that other work on the machine
matters less. One thread.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from captioner.video.container import Deadline
from captioner.video.film import Film
from captioner.video.selection import Selection
from captioner.video.shots import ShotConfig, ShotDetector

SIZE = (160, 120)
TOLERANCE_SECONDS = 0.1
KINDS = ("cut", "dissolve", "inner")
CHOICES = (
    ShotConfig(),
    ShotConfig(cut=10.0),
    ShotConfig(cut=15.0),
    ShotConfig(dissolve=1500),
    ShotConfig(dissolve=6000),
)


@dataclass(frozen=True)
class Boundary:
    start: float
    end: float
    kind: str
    """``cut`` or ``dissolve`` between clips, ``inner`` in a clip, ``unsure``."""


@dataclass(frozen=True)
class Source:
    clip: str
    path: Path
    cuts: tuple[tuple[float, str], ...]
    """Places in the clip: seconds, and ``cut`` or ``unsure``."""
    clear: bool
    """Not one of the clips that are left out."""


def sources(data: Path) -> tuple[list[Source], list[Source]]:
    """The clips to choose on and those to report on."""
    labels: dict[str, list[tuple[str, str]]] = {}
    with (Path(__file__).parent / "shots.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            labels.setdefault(row["clip"], []).append((row["seconds"], row["kind"]))
    splits: dict[str, list[Source]] = {"train": [], "val": [], "test": []}
    with (data / "clips.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seen = labels.get(row["video_id"], [])
            cuts = tuple((float(seconds), kind) for seconds, kind in seen if seconds)
            path = data / "clips" / f"{row['youtube_id']}.mp4"
            clip = Source(row["video_id"], path, cuts, clear=len(cuts) == len(seen))
            splits[row["split"]].append(clip)
    train = sorted(splits["train"], key=lambda source: source.clip)
    random.Random(0).shuffle(train)
    choose, report = train[:200], train[200:] + splits["val"]
    return [source for source in choose if source.clear], [source for source in report if source.clear]


def read(path: Path) -> Film:
    return Film(path, Selection(1), Deadline(path, None))


def frames(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """All frames (T, 120, 160, 3) and their times."""
    film = read(source.path)
    pictures, times = [], []
    for seconds, frame in film.read(film.start):
        small = frame.reformat(width=SIZE[0], height=SIZE[1], format="rgb24", interpolation="AREA", threads=1)
        pictures.append(small.to_ndarray())
        times.append(float(seconds))
    return np.stack(pictures), np.array(times)


def joined(clips: list[Source], seed: int, truth: list[Boundary]) -> Iterator[tuple[float, np.ndarray]]:
    """The frames of one long film made of pieces of the clips; fills ``truth`` as it goes."""
    rng = random.Random(seed)
    order = list(clips)
    rng.shuffle(order)
    now, held, held_times = 0.0, np.empty((0, SIZE[1], SIZE[0], 3), np.uint8), np.empty(0)
    for source in order:
        pictures, times = frames(source)
        length = rng.uniform(3, 10)
        begin = rng.uniform(0, max(0.0, times[-1] - length))
        kept = (times >= begin) & (times < begin + length)
        pictures, times = pictures[kept], times[kept]
        if len(times) < 12:
            continue
        step = float(np.median(np.diff(times)))
        count = min(int(rng.uniform(0.3, 1.5) / step), len(times) // 3, len(held) // 3) if rng.random() < 0.3 else 0
        origin = times[count if count >= 4 else 0]
        if count >= 4:
            share = ((np.arange(count) + 1) / (count + 1))[:, None, None, None]
            held[-count:] = np.round(held[-count:] * (1 - share) + pictures[:count] * share)
            truth.append(Boundary(held_times[-count], now, "dissolve"))
            pictures, times = pictures[count:], times[count:]
        elif len(held):
            truth.append(Boundary(now, now, "cut"))
        for seconds, kind in source.cuts:
            if origin < seconds <= times[-1]:
                at = now + seconds - origin
                truth.append(Boundary(at, at, "inner" if kind == "cut" else "unsure"))
        yield from zip(held_times, held, strict=True)
        held, held_times = pictures.copy(), now + times - origin
        now = float(held_times[-1]) + step
    yield from zip(held_times, held, strict=True)


class Ours:
    def __init__(self, config: ShotConfig) -> None:
        self.detector, self.found = ShotDetector(config), list[Fraction]()

    def push(self, seconds: float, pixels: np.ndarray) -> None:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self.found += self.detector.push(Fraction(seconds), frame)

    def finish(self) -> list[float]:
        return [float(seconds) for seconds in self.found + self.detector.finish()]


class SceneDetect:
    """PySceneDetect's AdaptiveDetector with its own settings, or other thresholds."""

    def __init__(self, threshold: float, least: float) -> None:
        from scenedetect.detectors import AdaptiveDetector

        self.detector: Any = AdaptiveDetector(adaptive_threshold=threshold, min_content_val=least, min_scene_len=15)
        self.times: list[float] = []
        self.cuts: list[Any] = []

    def push(self, seconds: float, pixels: np.ndarray) -> None:
        from scenedetect import FrameTimecode

        code = FrameTimecode(len(self.times), fps=25.0)
        self.times.append(seconds)
        self.cuts += self.detector.process_frame(code, np.ascontiguousarray(pixels[:, :, ::-1]))

    def finish(self) -> list[float]:
        return [self.times[cut.frame_num] for cut in self.cuts]


def score(found: list[float], truth: list[Boundary]) -> str:
    used: set[int] = set()
    wrong = 0
    for moment in found:
        near = [
            i
            for i, b in enumerate(truth)
            if i not in used and b.start - TOLERANCE_SECONDS <= moment <= b.end + TOLERANCE_SECONDS
        ]
        near.sort(key=lambda i: (truth[i].kind == "unsure", abs(moment - truth[i].start)))
        if near:
            used.add(near[0])
        elif not any(b.kind == "unsure" and abs(moment - b.start) < 0.4 for b in truth):
            wrong += 1
    hits = {kind: sum(truth[i].kind == kind for i in used) for kind in KINDS}
    totals = {kind: sum(b.kind == kind for b in truth) for kind in KINDS}
    right = sum(hits.values())
    precision, recall = right / max(1, right + wrong), right / max(1, sum(totals.values()))
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    kinds = ", ".join(f"{kind} {hits[kind]}/{totals[kind]}" for kind in KINDS)
    return f"precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f} ({kinds}; {wrong} wrong)"


def measure(clips: list[Source], seed: int, runs: dict[str, Callable[[], Any]]) -> None:
    detectors = {name: make() for name, make in runs.items()}
    truth: list[Boundary] = []
    count, seconds = 0, 0.0
    for seconds, pixels in joined(clips, seed, truth):
        count += 1
        for detector in detectors.values():
            detector.push(seconds, pixels)
    print(f"{len(clips)} clips, {count} frames, {seconds / 60:.1f} minutes")
    for name, detector in detectors.items():
        print(f"  {name:34} {score(detector.finish(), truth)}")


def speed(clips: list[Source]) -> None:
    """What finding shots adds to decoding."""
    spent, length, count = {"decoding": 0.0, "finding shots too": 0.0}, 0.0, 0
    for source, name in itertools.product(clips, spent):
        film, detector = read(source.path), ShotDetector()
        started = time.process_time()
        for seconds, frame in film.read(film.start):
            if name != "decoding":
                detector.push(seconds, frame)
                count += 1
        spent[name] += time.process_time() - started
        length += float(film.over) / 2
    print(f"{len(clips)} clips of at most 320 x 240 or so, {count} frames, {length:.0f} s of video")
    for name, took in spent.items():
        print(f"  {name:18} {took:6.2f} s, {length / took:5.0f} times as fast as it plays")
    print(f"  finding shots takes {spent['finding shots too'] / spent['decoding'] - 1:.2f} of the time of decoding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder msvd of the development data")
    parser.add_argument("--choose", action="store_true", help="several settings on the clips that were chosen on")
    parser.add_argument("--scenedetect", action="store_true", help="PySceneDetect too (pip install scenedetect)")
    parser.add_argument("--speed", action="store_true", help="only how long it takes")
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    choose, report = sources(options.data)
    if options.speed:
        speed(report[:60])
        return
    runs: dict[str, Callable[[], Any]] = {"ours": lambda: Ours(ShotConfig())}
    if options.choose:
        runs = {f"cut {c.cut:g}, dissolve {c.dissolve:g}": lambda c=c: Ours(c) for c in CHOICES}  # type: ignore[misc]
    if options.scenedetect:
        for threshold, least in ((3.0, 15.0), (2.0, 15.0), (3.0, 8.0)):
            name = f"AdaptiveDetector {threshold:g}, {least:g}"
            runs[name] = lambda t=threshold, m=least: SceneDetect(t, m)  # type: ignore[misc]
    measure(choose if options.choose else report, 1 if options.choose else options.seed, runs)
    if not options.choose:
        speed(report[:60])


if __name__ == "__main__":
    main()
