"""MSVD (YouTube2Text; Chen and Dolan, 2011): short YouTube clips, about 40 captions each."""

from __future__ import annotations

import re
from pathlib import Path

from captioner.errors import DataError
from data.join import Join, assign, join, parse_moment
from data.sources import find_videos, numbered_lines, read_table, require_folder, squeeze

SENTENCES = {split: f"sents_{split}_lc_nopunc.txt" for split in ("train", "val", "test")}
DESCRIPTIONS = "AllVideoDescriptions.txt"
CLIP_FOLDERS = ("clips", "YouTubeClips")
LAST_TRAIN, LAST_VAL = 1200, 1300
"""The standard split by number (Venugopalan et al., 2015): vid1-1200 train, -1300 val, the rest test."""


def msvd(source: str | Path, *, videos: str | Path | None = None, text_only: bool = False) -> Join:
    """Join an MSVD folder: ``youtube_mapping.txt``, captions, and clips named ``<youtube id>_<start>_<end>``.

    Captions are the three ``sents_*_lc_nopunc.txt`` (``vidN<TAB>sentence``) or, without them,
    ``AllVideoDescriptions.txt`` (``<youtube id>_<start>_<end> sentence``). Clips are looked for in ``clips/`` or
    ``YouTubeClips/`` unless ``videos`` names a folder. A ``clips.csv`` beside them must agree. Ids are ``vidN``.
    """
    folder = require_folder(source)
    youtube_ids = _read_mapping(folder / "youtube_mapping.txt")
    video_ids = {youtube: video for video, youtube in youtube_ids.items()}
    if any((folder / name).exists() for name in SENTENCES.values()):
        captions, splits = _read_sentences(folder)
    elif (folder / DESCRIPTIONS).exists():
        captions, splits = _read_descriptions(folder / DESCRIPTIONS, video_ids)
    else:
        raise DataError(f"{folder} holds neither {', '.join(SENTENCES.values())} nor {DESCRIPTIONS}")
    found = find_videos(folder, CLIP_FOLDERS, videos=videos, text_only=text_only)
    # A clip that the mapping does not know keeps its own name: it will be reported as without captions.
    files = {video_ids.get(stem, stem): path for stem, path in found.items()}
    if (folder / "clips.csv").exists():
        _check_table(folder / "clips.csv", splits)
    moments = {video: moment for video, name in youtube_ids.items() if (moment := parse_moment(name))}
    return join(captions, splits, files, moments=moments)


def _read_mapping(path: Path) -> dict[str, str]:
    """vidN -> YouTube name."""
    mapping: dict[str, str] = {}
    for number, line in numbered_lines(path):
        words = line.split()
        if len(words) != 2:
            raise DataError(f"{path}, line {number}: expected '<youtube id>_<start>_<end> vidN', not {line!r}")
        youtube, video = words
        if video in mapping:
            raise DataError(f"{path}, line {number}: {video} appears twice")
        mapping[video] = youtube
    if not mapping:
        raise DataError(f"{path} is empty")
    return mapping


def _read_sentences(folder: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for split, name in SENTENCES.items():
        if not (folder / name).exists():
            continue
        for number, line in numbered_lines(folder / name):
            video, tab, sentence = line.partition("\t")
            if not (tab and video.strip() and sentence.strip()):
                raise DataError(f"{folder / name}, line {number}: expected 'vidN<TAB>sentence', not {line!r}")
            assign(splits, video, split)
            captions.setdefault(video, []).append(squeeze(sentence))
    return captions, splits


def _read_descriptions(path: Path, video_ids: dict[str, str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for number, line in numbered_lines(path):
        if line.startswith("#"):
            continue
        youtube, _, sentence = line.partition(" ")
        if not (parse_moment(youtube) and sentence.strip()):
            raise DataError(f"{path}, line {number}: expected '<youtube id>_<start>_<end> sentence', not {line!r}")
        video = video_ids.get(youtube, youtube)
        captions.setdefault(video, []).append(squeeze(sentence))
        if match := re.fullmatch(r"vid(\d+)", video):
            position = int(match[1])
            splits[video] = "train" if position <= LAST_TRAIN else "val" if position <= LAST_VAL else "test"
    return captions, splits


def _check_table(path: Path, splits: dict[str, str]) -> None:
    """``clips.csv`` (``video_id,split``, and more) must put every clip where the sentence files put it."""
    for _, row in read_table(path, needs=("video_id", "split"), delimiter=","):
        if splits.get(row["video_id"]) != row["split"]:
            where = splits.get(row["video_id"], "nowhere")
            raise DataError(f"{path} puts {row['video_id']} into {row['split']}, the captions put it into {where}")
