"""VATEX (Wang et al., 2019): ten-second Kinetics clips with ten English captions each."""

from __future__ import annotations

import re
from pathlib import Path

from captioner.errors import DataError
from captioner.safe.json_text import read_json
from data.join import Join, assign, join, parse_moment
from data.sources import find_videos, require_folder, squeeze


def vatex(source: str | Path, *, videos: str | Path | None = None, text_only: bool = False) -> Join:
    """Join a VATEX folder: JSON lists of ``{"videoID": ..., "enCap": [...]}``, one or more for each split.

    A list's split is told by its name: ``train``, ``val`` or ``test`` in it, as in ``vatex_training_v1.0.json``.
    Videos are ``<videoID>.mp4`` in ``videos/`` unless ``videos`` names a folder. Entries without captions (the
    private test) are kept out; Chinese captions are not read.
    """
    folder = require_folder(source)
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    notes = []
    for path in sorted(folder.glob("*.json")):
        match = re.search("train|val|test", path.name.lower())
        if match is None:
            notes.append(f"{path.name} was not read: its name has none of train, val, test")
            continue
        for name, sentences in _read_list(path):
            assign(splits, name, match[0])
            captions.setdefault(name, []).extend(sentences)
    if not splits:
        raise DataError(f"{folder} holds no VATEX list such as vatex_training_v1.0.json")
    files = find_videos(folder, ("videos",), videos=videos, text_only=text_only)
    moments = {name: moment for name in splits if (moment := parse_moment(name))}
    return join(captions, splits, files, moments=moments, notes=notes)


def _read_list(path: Path) -> list[tuple[str, list[str]]]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError(f"{path} is not a VATEX list of objects with videoID and enCap")
    pairs = []
    for number, entry in enumerate(entries, start=1):
        name = entry.get("videoID") if isinstance(entry, dict) else None
        sentences = entry.get("enCap", []) if isinstance(entry, dict) else None
        if not (isinstance(name, str) and name and isinstance(sentences, list)):
            raise DataError(f"{path}, entry {number}: expected an object with videoID and a list enCap")
        if not all(isinstance(sentence, str) for sentence in sentences):
            raise DataError(f"{path}, entry {number} ({name}): enCap must be a list of strings")
        pairs.append((name, [text for sentence in sentences if (text := squeeze(sentence))]))
    return pairs
