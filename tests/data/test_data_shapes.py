"""Rendered shapes: one true caption a clip, pixels that show it, splits that hold combinations back."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from captioner.errors import CaptionerError, DataError
from captioner.manifest import read_manifest
from data.join import file_digest
from data.shapes import COLOURS, FRAMES, MOTIONS, SHAPES, Scene, draw, look, render, scenes, shapes

ROOT = Path(__file__).resolve().parents[2]


def decode(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def mask(frames: NDArray[np.uint8], scene: Scene) -> NDArray[np.bool_]:
    """Pixels (T, H, W) nearer to the scene's colour than to the (darkest) background."""
    difference = frames.astype(float) - np.array(COLOURS[scene.colour])
    return np.linalg.norm(difference, axis=-1) < np.linalg.norm(frames.astype(float) - 35.0, axis=-1)


def blobs(shown: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The connected parts of a mask (H, W), as pixel lists (n, 2), by plain flood fill."""
    left = set(map(tuple, np.argwhere(shown)))
    parts = []
    while left:
        edge = [left.pop()]
        part = list(edge)
        while edge:
            y, x = edge.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
            part += near
        parts.append(np.array(part))
    return parts


def test_captions_read_as_english() -> None:
    def caption(shape: str, colour: str, motion: str, count: int) -> str:
        return Scene(shape=shape, colour=colour, motion=motion, count=count).caption

    assert caption("circle", "red", "moves left", 2) == "two red circles move left"
    assert caption("square", "blue", "spins", 1) == "a blue square spins"
    assert caption("triangle", "green", "grows", 1) == "a green triangle grows"
    assert caption("cross", "white", "shrinks", 3) == "three white crosses shrink"


def test_every_scene_has_its_own_caption_and_training_sees_every_pair_of_words() -> None:
    by_split = scenes()
    everything = [scene for split in by_split.values() for scene in split]
    assert {split: len(chosen) for split, chosen in by_split.items()} == {"val": 15, "test": 15, "train": 255}
    assert len({scene.caption for scene in everything}) == len(everything) == 4 * 5 * 5 * 3 - 15

    def pairs(chosen: object) -> set[tuple[object, ...]]:
        values = [(s.shape, s.colour, s.motion, s.count) for s in chosen]  # type: ignore[attr-defined]
        return {pair for value in values for pair in combinations(enumerate(value), 2)}

    assert pairs(by_split["train"]) == pairs(everything)


@pytest.mark.parametrize("size", [64, 112])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_the_pixels_show_what_the_caption_says(shape: str, motion: str, size: int) -> None:
    for number, colour in enumerate(COLOURS):
        count = (3, 2, 3, 1, 3)[number]
        scene = Scene(shape=shape, colour=colour, motion=motion, count=count)
        frames = draw(scene, look(scene, np.random.default_rng(number), size=size))
        assert frames.shape == (FRAMES, size, size, 3) and frames.dtype == np.uint8
        shown = mask(frames, scene)
        border = np.concatenate([shown[:, 0], shown[:, -1], shown[:, :, 0], shown[:, :, -1]], axis=1)
        assert not border.any(), f"{scene.caption}: a shape leaves the frame"
        for index in (0, FRAMES // 2, FRAMES - 1):
            assert len(blobs(shown[index])) == count, f"{scene.caption}: shapes touch in frame {index}"

        areas = shown.sum(axis=(1, 2))
        across = [np.argwhere(one)[:, 1].mean() / size for one in shown]
        moved, growth = across[-1] - across[0], areas[-1] / areas[0]
        assert {"moves left": moved < -0.3, "moves right": moved > 0.3}.get(motion, abs(moved) < 0.05), scene.caption
        assert {"grows": growth > 3, "shrinks": growth < 1 / 3}.get(motion, 0.8 < growth < 1.25), scene.caption
        middle = shown[FRAMES // 3]
        changed = (middle ^ shown[0]).sum() / areas[0]
        if motion == "spins" and shape != "circle":
            assert changed > 0.08, f"{scene.caption}: nothing turns"


def test_a_rendered_set(tmp_path: Path) -> None:
    manifest = render(tmp_path / "set", train=6, val=4, test=4, seed=5, size=64)
    assert manifest == tmp_path / "set" / "manifest.jsonl"
    clips = read_manifest(manifest)
    assert [clip.split for clip in clips] == ["train"] * 6 + ["val"] * 4 + ["test"] * 4
    by_split = {split: {scene.caption for scene in chosen} for split, chosen in scenes().items()}
    for clip in clips:
        (caption,) = clip.captions
        assert caption in by_split["train" if clip.category == "seen" else clip.split]
        assert clip.path is not None and clip.path.is_relative_to(tmp_path / "set")
        assert decode(clip.path).shape == (FRAMES, 64, 64, 3)
    assert [clip.category for clip in clips[6:10]] == ["seen", "unseen", "seen", "unseen"]


def test_encoding_keeps_the_picture(tmp_path: Path) -> None:
    (clip,) = read_manifest(render(tmp_path, train=1, val=0, test=0, seed=3, size=64))
    scene = next(s for s in scenes()["train"] if (s.caption,) == clip.captions)
    drawn = draw(scene, look(scene, np.random.default_rng([3, 0, 0]), size=64))
    assert clip.path is not None
    difference = decode(clip.path).astype(float) - drawn
    assert np.abs(difference).mean() < 4
    with av.open(str(clip.path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate, stream.frames) == ("h264", 12, FRAMES)


def test_the_seed_decides_everything_and_more_clips_change_no_other(tmp_path: Path) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (folder / "clips").iterdir()}

    render(tmp_path / "a", train=3, val=2, test=0, seed=1, size=48)
    render(tmp_path / "b", train=3, val=2, test=0, seed=1, size=48)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first = (tmp_path / "a" / "manifest.jsonl").read_bytes()
    assert (tmp_path / "b" / "manifest.jsonl").read_bytes() == first
    render(tmp_path / "b", train=4, val=2, test=0, seed=1, size=48)
    assert contents(tmp_path / "a").items() <= contents(tmp_path / "b").items()
    with pytest.raises(CaptionerError, match=r"train-00000\.mp4 exists; --overwrite replaces it"):
        shapes(tmp_path / "a", train=3, val=2, test=0, seed=2, size=48)
    shapes(tmp_path / "a", train=3, val=2, test=0, seed=2, size=48, overwrite=True)
    assert not set(contents(tmp_path / "a").values()) & set(contents(tmp_path / "b").values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0, "val": 0, "test": 0}, "ask for at least one"),
        ({"val": -1}, "-1 val"),
        ({"seed": -3}, "seed -3 is negative"),
        ({"size": 65}, "size 65"),
        ({"size": 16}, "size 16"),
    ],
)
def test_what_cannot_be_rendered(tmp_path: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        render(tmp_path, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "clips").exists()


def test_the_bytes_do_not_depend_on_what_memory_held_before(tmp_path: Path) -> None:
    # x264's slower presets read memory they never wrote; glibc fills fresh memory with what this variable says.
    code = "import sys; from data.shapes import render; render(sys.argv[1], train=4, val=0, test=0, size=48)"
    digests = set()
    for filler in ("0", "85"):
        out = tmp_path / filler
        environment = os.environ | {"MALLOC_PERTURB_": filler}
        subprocess.run([sys.executable, "-c", code, str(out)], env=environment, cwd=ROOT, check=True, timeout=60)
        digests.add(tuple(sorted(file_digest(path) for path in (out / "clips").iterdir())))
    assert len(digests) == 1
