"""What does sharing the features of equal frames save, and how often does it change a caption?

    python benchmarks/stills.py clips/*.mp4                # clips as they are
    python benchmarks/stills.py --photos photos/*.jpg      # each photo as three seconds of H.264 with a sensor's noise

Prints a line for each threshold of ``captioner/vision/choice.py``: equal captions, frames that the CNN saw, and the
processor time of encoding. At the threshold -1 no frames are equal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import torch

from captioner import Captioner
from captioner.caption.clips import EncodedClip
from captioner.video.frames import Frames, iter_frames, sample_frames
from captioner.video.scaling import scale
from captioner.vision import choice

SIZE, RATE, COUNT, BATCH = (480, 640), 12, 34, 16


def filmed(photo: str, path: Path, *, noise: float, crf: int) -> Path:
    """A film of a photo that stands still."""
    picture = scale(next(iter_frames(photo, count=1)).pixels, *SIZE).astype(np.float32)
    grains = np.random.default_rng(0).normal(0, noise, (7, *picture.shape)).astype(np.float32)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": str(crf), "preset": "veryfast", "g": str(RATE)})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(COUNT):
            grain = np.roll(grains[number % 7], 37 * number, axis=0)
            pixels = (picture + grain).clip(0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def read(captioner: Captioner, paths: Sequence[str], *, photos: bool) -> Iterator[Frames]:
    if not photos:
        yield from (sample_frames(path, captioner.video) for path in paths)
        return
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(paths):
            noise, crf = ((0.0, 23), (2.0, 23), (5.0, 28))[number % 3]
            film = filmed(path, Path(folder) / f"{number}.mp4", noise=noise, crf=crf)
            yield sample_frames(film, captioner.video)


def caption(captioner: Captioner, clips: Sequence[Frames], threshold: float) -> tuple[list[str], float, float]:
    """The captions, the share of the frames that the CNN saw, and the seconds a clip that encoding took."""
    choice.NOISE = threshold
    began = time.process_time()
    features = [captioner.encode(clip) for clip in clips]
    took = time.process_time() - began
    seen = sum(len(choice.distinct_frames(clip.pixels)[0]) for clip in clips)
    texts = []
    for start in range(0, len(clips), BATCH):
        part = slice(start, start + BATCH)
        batch = list(map(EncodedClip, clips[part], features[part]))
        found = captioner.caption_encoded(batch, shape=(BATCH, captioner.video.frames))
        texts += [one.text for one in found]
    return texts, seen / sum(len(clip.pixels) for clip in clips), took / len(clips)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--photos", action="store_true", help="the paths are photos")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[choice.NOISE])
    options = parser.parse_args()
    torch.set_num_threads(1)
    captioner = Captioner.load()
    clips = list(read(captioner, options.paths, photos=options.photos))
    captioner.encode(clips[0])
    expected, _, usual = caption(captioner, clips, -1.0)
    for threshold in options.thresholds:
        texts, seen, took = caption(captioner, clips, threshold)
        same = sum(a == b for a, b in zip(expected, texts, strict=True))
        print(
            f"threshold {threshold:g}: {same} of {len(clips)} captions equal, the CNN saw {100 * seen:.0f} % of the "
            f"frames, {1000 * usual:.0f} -> {1000 * took:.0f} ms a clip to encode"
        )


if __name__ == "__main__":
    main()
