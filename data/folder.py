"""A person's own clips: a folder of videos or photos, with captions beside them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from captioner.errors import DataError, VideoError, counted
from captioner.manifest import SPLITS
from data.join import Join, file_digest, join
from data.sources import (
    clips_below,
    first_existing,
    name_inside,
    numbered_lines,
    progress,
    read_table,
    require_folder,
    squeeze,
    walk,
)

TABLES = ("captions.csv", "captions.tsv")
SUBFOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}


def folder(source: str | Path, *, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), check: bool = True) -> Join:
    """Join a folder of clips (videos and photos, at any depth) with their captions; ids are file names inside it.

    Captions come from ``captions.csv`` or ``.tsv``: columns ``file`` and ``caption``, one row a caption. Without a
    table they come from a ``.txt`` file beside each clip: ``a.txt`` for ``a.mp4``, one caption a line.

    Subfolders ``train``, ``val`` and ``test`` are the splits. Without them the SHA-256 of a clip decides, so copies
    stay together, and adding or renaming clips moves no other clip. Very small sets are the exception: val gets at
    least two clips, and test one. ``fractions`` are the shares of train, val and test, met on average. ``check``
    decodes a frame of each clip, and leaves out those that have none.
    """
    root = require_folder(source)
    files = clips_below(root)
    table = first_existing(root, TABLES)
    captions = _read_table(table) if table else _read_sidecars(root, list(files))
    notes = _leave_out_broken(files, captions) if check else []
    splits = _splits_by_folder(files)
    if not splits:
        usable = [name for name in files if captions.get(name)]
        places = {name: _place(files[name]) for name in progress(usable, what="clips hashed")}
        splits = _split_by_content(places, fractions)
        notes += [
            f"no clip fell into {split}: for so few clips, put them into subfolders train, val and test instead"
            for split, fraction in zip(SPLITS, fractions, strict=True)
            if fraction and usable and split not in splits.values()
        ]
    return join(captions, splits, files, notes=notes)


def _leave_out_broken(files: dict[str, Path], captions: dict[str, list[str]]) -> list[str]:
    """Take the clips of which not one frame can be decoded out of both; returns a line for each."""
    from captioner.video.frames import probe

    broken = {}
    for name in progress([name for name in files if captions.get(name)], what="clips looked at"):
        try:
            probe(files[name])
        except VideoError as error:
            broken[name] = f"left out: {error} [{error.code}]"
    for name in broken:
        del files[name], captions[name]
    if broken and not any(captions.get(name) for name in files):
        raise DataError(
            f"none of {counted(len(broken), 'clip')} with captions can be decoded; {next(iter(broken.values()))}"
        )
    return list(broken.values())


def _read_table(path: Path) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {}
    for _, row in read_table(path, needs=("file", "caption"), delimiter="\t" if path.suffix == ".tsv" else ","):
        if row["file"] and (caption := squeeze(row["caption"])):
            captions.setdefault(name_inside(row["file"]), []).append(caption)
    return captions


def _read_sidecars(root: Path, names: list[str]) -> dict[str, list[str]]:
    """Captions by clip; a ``.txt`` without a clip is kept under its own name, to be reported."""
    clips: dict[str, str] = {}
    for name in names:
        sidecar = PurePosixPath(name).with_suffix(".txt").as_posix()
        if sidecar in clips and (root / sidecar).exists():
            raise DataError(
                f"{root / sidecar} could belong to {clips[sidecar]} or to {name}; keep one of the two clips"
            )
        clips[sidecar] = name
    captions = {}
    for path in walk(root, suffixes=frozenset({".txt"})):
        sidecar = path.relative_to(root).as_posix()
        captions[clips.get(sidecar, sidecar)] = [squeeze(line) for _, line in numbered_lines(path)]
    if not captions:
        raise DataError(
            f"{root} holds no captions: put them into captions.csv (columns file,caption) "
            "or into a .txt file beside each clip"
        )
    return captions


def _splits_by_folder(files: dict[str, Path]) -> dict[str, str]:
    """The split of every clip by its top folder; empty when no clip lies in a folder named for a split."""
    tops = {name: PurePosixPath(name).parts[0] for name in files}
    splits = {name: SUBFOLDERS[top] for name, top in tops.items() if top in SUBFOLDERS}
    if splits and (outside := [name for name in files if name not in splits]):
        raise DataError(
            f"{counted(len(splits), 'clip lies', 'clips lie')} in subfolders named for a split, but "
            f"{counted(len(outside), 'does', 'do')} not ({outside[0]}); "
            "move all clips into train, val and test, or none"
        )
    return splits


def _place(path: Path) -> float:
    """Where a clip stands by its content: from 0 up to 1, as good as at random."""
    return int(file_digest(path)[:15], 16) / 16**15


def _split_by_content(places: dict[str, float], fractions: tuple[float, float, float]) -> dict[str, str]:
    """The split of each clip by its place. Where chance leaves val with fewer than two clips, or test with none, those
    of train that come nearest fill them up, as long as train keeps the most: CIDEr needs two clips to validate on.
    """
    train, val, test = fractions
    order = sorted(set(places.values()))  # copies of a file stand at one place
    ends = [sum(place < end for place in order) for end in (train, train + val)]
    if test and len(order) - ends[1] < 1:
        ends[1] = min(ends[1], len(order) - 1)
    if val and ends[1] - ends[0] < 2:
        ends[0] = min(ends[0], ends[1] - 2)
    if ends[0] < max(ends[1] - ends[0], len(order) - ends[1]):  # too few for three parts
        ends = [sum(place < end for place in order) for end in (train, train + val)]
    split = {place: SPLITS[sum(rank >= end for end in ends)] for rank, place in enumerate(order)}
    return {name: split[place] for name, place in places.items()}
