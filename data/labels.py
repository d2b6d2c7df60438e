"""Reads labelled clips and photos (class folders, UCF101, HMDB51, tables) for the recognition of actions."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from captioner.errors import DataError
from captioner.manifest import SPLITS, Clip
from data.actions import action_of, spoken
from data.folder import SUBFOLDERS
from data.join import Join, check_files, file_digest
from data.sources import clips_below, name_inside, numbered_lines, read_table, require_folder

UCF_LISTS = ("trainlist{number:02}.txt", "testlist{number:02}.txt")
HMDB_SPLITS = {"0": None, "1": "train", "2": "test"}  # 0: in neither part of this split
_UCF_NAME = re.compile(r"v_(?P<action>[^_]+)_g(?P<group>\d+)_c\d+")
_HELD_OUT = 0.1  # of each class's recordings, for val and for test where the layout has none


def labels(source: str | Path, *, number: int = 1) -> Join:
    """Clips with their labels, from a folder or a table; ids are file names inside it.

    The content decides the layout. A table has ``path,label`` and an optional ``split``; ``;`` separates several
    labels. UCF101 has ``ucfTrainTestlist``, HMDB51 has ``*_test_split1.txt``. Otherwise a folder is a class (Kinetics,
    Stanford 40, own clips), perhaps below ``train``, ``val`` and ``test``. ``number`` is that of the published split.

    Without a val split a tenth of each class's recordings is held out. UCF's groups or the file's content keep parts
    and copies of one recording in one split. Raises DataError.
    """
    path = Path(source)
    if path.is_file():
        root, found = path.resolve().parent, _table(path)
    else:
        root = require_folder(path)
        found = _ucf101(root, number) or _hmdb51(root, number) or _folders(root)
    files = clips_below(root)
    missing = [name for name in found if name not in files]
    named = {name: entry for name, entry in found.items() if name in files}
    if not named:
        raise DataError(f"{root} holds none of the {len(found)} clips that are labelled (the first: {missing[0]})")
    splits = _with_held_out(named, files)
    clips = tuple(
        Clip(id=name, path=files[name], split=splits[name], labels=actions) for name, (actions, _) in named.items()
    )
    check_files(clips)
    return Join(clips=clips, captions_without_clip=tuple(missing), notes=tuple(_notes(clips)))


Labelled = dict[str, tuple[tuple[str, ...], str | None]]
"""By name: the labels, and the split where the layout has one."""


def _table(path: Path) -> Labelled:
    found: Labelled = {}
    for line, row in read_table(path, needs=("path", "label")):
        actions = tuple(dict.fromkeys(part.strip() for part in row["label"].split(";") if part.strip()))
        split = row.get("split", "").strip().lower()
        if not row["path"] or not actions:
            raise DataError(f"{path}, line {line}: a row needs a path and a label")
        if split and split not in SUBFOLDERS:
            raise DataError(f"{path}, line {line}: the split {split!r} is not train, val or test")
        found[name_inside(row["path"])] = (actions, SUBFOLDERS[split] if split else None)
    if not found:
        raise DataError(f"{path} holds no rows")
    return found


def _ucf101(root: Path, number: int) -> Labelled:
    lists = [folder for folder in (root, root / "ucfTrainTestlist") if (folder / "classInd.txt").exists()]
    if not lists:
        return {}
    by_name = {PurePosixPath(name).name: name for name in clips_below(root)}
    found: Labelled = {}
    for split, pattern in zip(("train", "test"), UCF_LISTS, strict=True):
        file = lists[0] / pattern.format(number=number)
        for _, line in numbered_lines(file):
            published = line.split()[0]  # ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
            action, _, name = published.rpartition("/")
            found[by_name.get(name, published)] = ((spoken(action),), split)
    return found


def _hmdb51(root: Path, number: int) -> Labelled:
    files = sorted(root.rglob(f"*_test_split{number}.txt"))
    by_name = {PurePosixPath(name).name: name for name in clips_below(root)} if files else {}
    found: Labelled = {}
    for file in files:
        action = spoken(file.name.removesuffix(f"_test_split{number}.txt"))
        for line_number, line in numbered_lines(file):
            name, _, mark = line.strip().rpartition(" ")
            if mark not in HMDB_SPLITS:
                raise DataError(f"{file}, line {line_number}: expected 'NAME 0', '1' or '2', not {line!r}")
            if split := HMDB_SPLITS[mark]:
                found[by_name.get(name, name)] = ((action,), split)
    return found


def _folders(root: Path) -> Labelled:
    names = list(clips_below(root))
    parts = {name: name.split("/") for name in names}
    split_up = all(p[0] in SUBFOLDERS for p in parts.values())
    depth = 1 if split_up else 0
    for name, p in parts.items():
        if len(p) < depth + 2:
            raise DataError(f"{name} must lie in a folder named for its action")
    return {name: ((action_of(p[depth]),), SUBFOLDERS[p[0]] if split_up else None) for name, p in parts.items()}


def _with_held_out(named: Labelled, files: Mapping[str, Path]) -> dict[str, str]:
    """The split of each clip; recordings are held out of each class where the layout has no val, or nothing."""
    splits = {name: split for name, (_, split) in named.items() if split}
    if splits and len(splits) < len(named):
        name = next(name for name in named if name not in splits)
        raise DataError(f"{name} has no split, but others have; give every clip one, or none")
    if "val" in splits.values():
        return splits
    wanted = ["val"] if splits else ["val", "test"]
    by_class: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, (actions, split) in named.items():
        if split in (None, "train"):
            by_class[actions[0]][_recording(name, files[name])].append(name)
    for groups in by_class.values():
        order = sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest())
        each = max(1, round(_HELD_OUT * len(order))) if len(order) > len(wanted) else 0
        for place, group in enumerate(order):
            split = wanted[place // each] if each and place // each < len(wanted) else "train"
            splits |= dict.fromkeys(groups[group], split)
    return splits


def _recording(name: str, path: Path) -> str:
    """What stays on one side: the group of a recording in UCF101, else the file's content."""
    match = _UCF_NAME.match(PurePosixPath(name).name)
    return f"{match['action']} {match['group']}" if match else file_digest(path)


def _notes(clips: tuple[Clip, ...]) -> Iterator[str]:
    """Classes that cannot be learned, or not be measured."""
    by_split = {split: {label for c in clips if c.split == split for label in c.labels} for split in SPLITS}
    every = set[str]().union(*by_split.values())
    yield f"{len(every)} classes"
    for split in SPLITS:
        if by_split[split] and (absent := sorted(every - by_split[split])):
            more = ", ..." if len(absent) > 3 else ""
            yield f"{len(absent)} classes without a clip in {split}: {', '.join(absent[:3])}{more}"
