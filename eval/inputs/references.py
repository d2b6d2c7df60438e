"""Reads references: manifests, coco annotations, MSR-VTT and VATEX JSON, MSVD text, tables, folders."""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from captioner.errors import DataError
from captioner.manifest import Clip, read_manifest
from captioner.safe.json_text import parse_json
from captioner.safe.text import first_line_of, read_text, split_lines
from data.msrvtt import CATEGORIES, read_categories
from data.sources import PHOTO_SUFFIXES, VIDEO_SUFFIXES, numbered_lines, squeeze, texts_in_zip, walk
from eval.inputs.rows import captions_of, document_of, is_header, read_rows, short

DEFAULT_SPLIT = "test"


@dataclass(frozen=True)
class References:
    """The captions of each clip by people; white space in them is already collapsed."""

    source: str
    split: str
    """Empty where the file knows no splits."""
    captions: dict[str, tuple[str, ...]]
    """Clips with at least one caption, in the file's order."""
    categories: dict[str, str]
    without_captions: tuple[str, ...]
    """Clips that the file lists without any caption: they cannot be scored."""
    names: dict[str, str]
    """Other names of the clips: path, file name and stem, where they are unique."""

    def clip_id(self, name: str) -> str | None:
        """The clip that ``name`` (an id or a path) means, or None."""
        if name in self.captions:
            return name
        path = PurePath(name)
        if found := next((self.names[n] for n in (name, path.name, path.stem) if n in self.names), None):
            return found
        is_media = path.suffix.lower() in VIDEO_SUFFIXES | PHOTO_SUFFIXES
        return path.stem if is_media and path.stem in self.captions else None

    def digest(self) -> str:
        """Eight hex digits that change with any clip or caption."""
        text = json.dumps([[clip, *captions] for clip, captions in sorted(self.captions.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def read_references(path: str | Path, *, split: str | None = None) -> References:
    """The references in a file; ``split`` chooses one of its splits ("test" unless there is only one).

    The formats are: a manifest, coco annotations, MSR-VTT's JSON or its zip, VATEX's list, and an object from ids to
    captions (pycocoevalcap). Text may have ``clip<TAB>caption`` lines (MSVD), a table one row a caption, and a folder
    ``.txt`` files with one caption a line. Raises DataError on any other file, and on one without such a split or
    without captions.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    if zipfile.is_zipfile(path):
        return _msrvtt(*_unzip(path), path=path, split=split)
    text = read_text(path)
    if "\t" in (first := first_line_of(text)) and not text.lstrip().startswith("{"):
        return _rows(path) if is_header(first.split("\t")) else _tabbed(text, path)
    if not text.lstrip().startswith("{"):
        return _rows(path) if text.strip() else _manifest(path, split)
    document = document_of(text)
    if document is None or "id" in document:
        return _manifest(path, split)
    if "annotations" in document:
        return _coco(document, path)
    if "sentences" in document:
        return _msrvtt(document, {}, path=path, split=split)
    if by_id := _by_id(document):
        return _references(path, "", by_id, {}, names={})
    raise DataError(
        f"{path} holds no references: expected a manifest (one object a line), coco annotations ('annotations') or "
        f"MSR-VTT's JSON ('sentences', 'videos'); it has the keys {', '.join(map(repr, list(document)[:5]))}"
    )


def _by_id(document: dict[str, Any]) -> dict[str, list[str]]:
    """``{id: [captions]}`` or ``{id: [{"caption": ...}]}``; empty where the document is neither."""
    captions: dict[str, list[str]] = {}
    for clip, value in document.items():
        if (found := captions_of(value)) is None:
            return {}
        captions[clip] = found
    return captions


def _rows(path: Path) -> References:
    """VATEX's list (``videoID``, ``enCap``), a list of objects, or a table with a row a caption."""
    captions: dict[str, list[Any]] = {}
    for where, row in read_rows(path).found:
        if "id" not in row or "caption" not in row:
            raise DataError(f"{where}: expected a clip's id and its caption, not {short(list(row)[:5])}")
        said = row["caption"]
        captions.setdefault(str(row["id"]), []).extend(said if isinstance(said, list) else [said])
    return _references(path, "", captions, {}, names={})


def _folder(path: Path) -> References:
    files = walk(path, suffixes=frozenset({".txt"}))
    if not files:
        raise DataError(f"{path} is a folder without .txt files; references are a file a clip, a caption a line")
    captions = {file.stem: [line for _, line in numbered_lines(file)] for file in files}
    if len(captions) < len(files):
        raise DataError(f"{path}: two files in it have the same name; ids must differ")
    return _references(path, "", captions, {}, names={})


def _manifest(path: Path, split: str | None) -> References:
    clips = read_manifest(path)
    chosen = _choose_split({clip.split for clip in clips}, split, path)
    clips = [clip for clip in clips if clip.split == chosen]
    captions = {clip.id: clip.captions for clip in clips}
    categories = {clip.id: clip.category for clip in clips if clip.category is not None}
    return _references(path, chosen, captions, categories, names=_names(clips))


def _names(clips: Iterable[Clip]) -> dict[str, str]:
    """Paths, file names and stems that mean exactly one clip."""
    names: dict[str, set[str]] = {}
    for clip in clips:
        if clip.path is not None and clip.start_seconds is None and clip.end_seconds is None:
            for name in (str(clip.path), str(clip.path.absolute()), clip.path.name, clip.path.stem):
                names.setdefault(name, set()).add(clip.id)
    return {name: min(ids) for name, ids in names.items() if len(ids) == 1}


def _coco(document: dict[str, Any], path: Path) -> References:
    captions: dict[str, list[str]] = {}
    files: dict[str, set[str]] = {}
    try:
        for image in document.get("images", []):
            captions[str(image["id"])] = []
            if "file_name" in image:
                for name in (image["file_name"], PurePath(image["file_name"]).stem):
                    files.setdefault(name, set()).add(str(image["id"]))
        for annotation in document["annotations"]:
            captions.setdefault(str(annotation["image_id"]), []).append(annotation["caption"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not coco annotations ('images' with id, 'annotations' with image_id and caption): "
            f"{type(error).__name__} {error}"
        ) from error
    names = {name: min(ids) for name, ids in files.items() if len(ids) == 1}
    return _references(path, "", captions, {}, names=names)


def _msrvtt(document: dict[str, Any], names: dict[str, str], *, path: Path, split: str | None) -> References:
    captions: dict[str, list[str]] = {}
    categories: dict[str, str] = {}
    try:
        splits = {str(video["video_id"]): str(video.get("split", "")) for video in document.get("videos", [])}
        splits = {clip: {"validate": "val"}.get(name, name) for clip, name in splits.items()}
        chosen = _choose_split(set(splits.values()), split, path) if splits else ""
        for video in document.get("videos", []):
            clip = str(video["video_id"])
            if splits[clip] == chosen:
                captions[clip] = []
                if "category" in video:
                    categories[clip] = names.get(str(video["category"]), str(video["category"]))
        for sentence in document["sentences"]:
            clip = str(sentence["video_id"])
            if splits.get(clip, chosen) == chosen:
                captions.setdefault(clip, []).append(sentence["caption"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not MSR-VTT's layout of 2016 ('videos' with video_id and split, 'sentences' with video_id "
            f"and caption): {type(error).__name__} {error}"
        ) from error
    return _references(path, chosen, captions, categories, names={})


def _tabbed(text: str, path: Path) -> References:
    captions: dict[str, list[str]] = {}
    for number, line in enumerate(split_lines(text), start=1):
        clip, tab, caption = line.partition("\t")
        if tab and clip.strip():
            captions.setdefault(clip.strip(), []).append(caption)
        elif line.strip():
            raise DataError(f"{path}, line {number}: expected a clip, a tab and a caption")
    return _references(path, "", captions, {}, names={})


def _unzip(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The one file of captions in a zip, and the names of the categories where it lists them."""
    document: dict[str, Any] | None = None
    names: dict[str, str] = {}
    for name, text in texts_in_zip(path, lambda name: name == CATEGORIES or name.endswith(".json")):
        if name == CATEGORIES:
            names = read_categories(text)
            continue
        value = parse_json(text, name=f"{path}: {name}")
        if isinstance(value, dict) and "sentences" in value:
            if document is not None:
                raise DataError(f"{path} holds more than one file of captions; unpack it and name one")
            document = value
    if document is None:
        raise DataError(f"{path} holds no JSON file with 'sentences' (MSR-VTT's layout)")
    return document, names


def _choose_split(there: set[str], wanted: str | None, path: Path) -> str:
    chosen = wanted or (DEFAULT_SPLIT if DEFAULT_SPLIT in there else min(there) if len(there) == 1 else DEFAULT_SPLIT)
    if chosen not in there:
        hint = "" if wanted else "; choose one with --split"
        raise DataError(f"{path} has no clip in the split {chosen!r}; it has: {', '.join(sorted(there))}{hint}")
    return chosen


def _references(
    path: Path, split: str, captions: dict[str, Any], categories: dict[str, str], *, names: dict[str, str]
) -> References:
    for clip, group in captions.items():
        if not all(isinstance(caption, str) for caption in group):
            raise DataError(f"{path}: the captions of {clip!r} must be text")
    described = {clip: tuple(squeeze(caption) for caption in group) for clip, group in captions.items() if group}
    if not described:
        raise DataError(f"{path} has no reference captions" + (f" in the split {split!r}" if split else ""))
    return References(
        source=str(path),
        split=split,
        captions=described,
        categories={clip: name for clip, name in categories.items() if clip in described},
        without_captions=tuple(clip for clip in captions if clip not in described),
        names={name: clip for name, clip in names.items() if clip in described},
    )


def add_reference_arguments(parser: argparse.ArgumentParser, *, positional: bool = True) -> None:
    """REFERENCES and the split of them."""
    if positional:
        parser.add_argument("references", metavar="REFERENCES", help="a manifest, coco annotations, MSR-VTT, ...")
    parser.add_argument("--split", help="clips of REFERENCES to score on (default: test, or the only one there is)")
