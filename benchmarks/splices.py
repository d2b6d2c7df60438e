"""A foreign clip spliced into kitchen footage: how often is it found, and how often is there an alarm beside it?

    python benchmarks/splices.py [--tries 50] [--manifest work/msvd/manifest.jsonl]

Normal: films of MSVD's train clips that most people describe as work in a kitchen, a cut every ten seconds. Each try is
a new film of four kitchen clips of val and test with one clip between them of which nobody says anything of a kitchen.
It is found if an event overlaps it. All films are real files; the threshold is for the stated number of alarms an hour.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from captioner.anomalies.checkpoint import AnomalyCheckpoint
from captioner.anomalies.config import DetectorConfig, FootageConfig
from captioner.anomalies.footage import read_footage
from captioner.anomalies.learning import learn
from captioner.anomalies.scoring import Event
from captioner.anomalies.watcher import Watcher
from captioner.manifest import Clip, read_manifest
from data.shapes import write_clip

KITCHEN = re.compile(
    r"\b(cook\w*|chop\w*|cut\w*|slic\w*|peel\w*|stir\w*|fry\w*|fri(es|ed)|mix\w*|pour\w*|egg\w*|onion\w*|potato\w*"
    r"|dough|knead\w*|kitchen|pan|bowl|vegetable\w*|meat|chicken|ingredient\w*)\b"
)
WAYS = (("gru", "cnn"), ("nearest", "cnn"), ("difference", "cnn"), ("gru", "pixels"))
LOOK = FootageConfig(see="cnn")


def kitchen(clip: Clip) -> float:
    """The share of people who speak of a kitchen."""
    return float(np.mean([bool(KITCHEN.search(caption.lower())) for caption in clip.captions]))


def frames(clip: Clip) -> np.ndarray:
    """Its pictures at five a second, at most ten seconds of them."""
    return np.stack([picture.pixels for picture in read_footage(clip.path, LOOK)])[:50]


def normal_films(clips: list[Clip], folder: Path) -> list[Path]:
    """Films of seven kitchen clips each."""
    own = [frames(clip) for clip in clips if clip.split == "train" and kitchen(clip) > 0.6]
    paths = []
    for start in range(0, len(own), 7):
        paths.append(folder / f"normal-{start}.mp4")
        write_clip(paths[-1], np.concatenate(own[start : start + 7]), rate=5)
    return paths


def films(clips: list[Clip], folder: Path, tries: int) -> list[tuple[Path, tuple[float, float]]]:
    """Files, and where the foreign clip lies in each."""
    generator = np.random.default_rng(0)
    own = [clip for clip in clips if clip.split != "train" and kitchen(clip) > 0.6]
    foreign = [clip for clip in clips if clip.split == "test" and kitchen(clip) == 0]
    made = []
    for number, other in enumerate(generator.permutation(len(foreign))[:tries]):
        parts = [frames(own[i]) for i in generator.permutation(len(own))[:4]]
        place = int(generator.integers(1, 4))
        parts.insert(place, frames(foreign[other]))
        path = folder / f"{number:03}.mp4"
        write_clip(path, np.concatenate(parts), rate=5)
        begins = sum(map(len, parts[:place])) / 5
        made.append((path, (begins, begins + len(parts[place]) / 5)))
    return made


def overlaps(event: Event, span: tuple[float, float]) -> bool:
    return event.start_seconds < span[1] and event.end_seconds > span[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--manifest", type=Path, default=Path("work/msvd/manifest.jsonl"))
    parser.add_argument("--alarms-per-hour", type=float, nargs="+", default=[1.0, 6.0, 20.0, 60.0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = read_manifest(arguments.manifest)
    with tempfile.TemporaryDirectory() as folder:
        normal = normal_films(clips, Path(folder))
        made = films(clips, Path(folder), arguments.tries)
        print(
            "| method | sees | alarms an hour | found | events beside it an hour |\n| --- | --- | ---: | ---: | ---: |"
        )
        for method, see in WAYS:
            learnt = learn(normal, FootageConfig(see=see), DetectorConfig(method=method))  # type: ignore[arg-type]
            checkpoint = AnomalyCheckpoint(detector=learnt.detector, tail=learnt.tail, learnt_from={}, fingerprint="")
            moments = [list(Watcher(checkpoint).moments(path)) for path, _ in made]
            for rate in arguments.alarms_per_hour:
                watcher = Watcher(checkpoint, alarms_per_hour=rate)
                found = beside = 0
                seconds = 0.0
                for (_, span), some in zip(made, moments, strict=True):
                    events = list(watcher.find(iter(some)))
                    found += any(overlaps(event, span) for event in events)
                    beside += sum(not overlaps(event, span) for event in events)
                    seconds += len(some) / 5 - (span[1] - span[0])
                print(
                    f"| {method} | {see} | {rate:g} | {found}/{len(made)} | {3600 * beside / seconds:.1f} |", flush=True
                )


if __name__ == "__main__":
    main()
