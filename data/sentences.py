"""Labels become captions: a CNN that detects words sees who does what the label says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch

from captioner.errors import DataError, VideoError
from captioner.manifest import Clip, read_manifest
from captioner.training.tuned import load_words
from captioner.video.frames import sample_frames
from data.join import Join

_SUBJECTS = {"man": "a man", "woman": "a woman", "boy": "a boy", "girl": "a girl", "babi": "a baby"}
"""By the stem that the CNN knows."""
_UNSURE = 0.2
"""Nobody is as likely as this: it is "someone"."""


def sentences(manifest: str | Path, cnn: str | Path) -> Join:
    """The labelled clips of a manifest, each captioned "a woman is riding a horse" with its first label.

    ``cnn`` is the folder of a CNN that was trained on words (``task.kind = "words"``); the likeliest of man, woman,
    boy, girl and baby in a clip's frames is the subject. Raises DataError when no clip has a label that fits.
    """
    model, words, video = load_words(Path(cnn))
    columns = {stem: words.index(stem) for stem in _SUBJECTS if stem in words}
    if not columns:
        raise DataError(f"{cnn} knows none of the words {', '.join(_SUBJECTS)}")
    encode, clips, lost = model.encoder.fast(), read_manifest(manifest), list[str]()
    told: list[Clip] = []
    subjects = Counter[str]()
    for clip in clips:
        if not clip.labels or clip.path is None:
            continue
        try:
            frames = sample_frames(
                clip.path, video, start_seconds=clip.start_seconds, end_seconds=clip.end_seconds
            ).pixels
        except VideoError as error:
            lost.append(f"left out: {clip.path}: {error} [{error.code}]")
            continue
        with torch.inference_mode():
            chances = model.words(encode(torch.from_numpy(frames)).mean(dim=(0, 1))).sigmoid()
        subject = _subject({stem: float(chances[column]) for stem, column in columns.items()})
        subjects[subject] += 1
        told.append(replace(clip, captions=(f"{subject} is {clip.labels[0]}",), labels=()))
    if not told:
        raise DataError(f"{manifest} holds no labelled clip that can be decoded")
    return Join(clips=tuple(told), notes=(*lost, _told(subjects)))


def _subject(chances: dict[str, float]) -> str:
    stem = max(chances, key=chances.__getitem__)
    return _SUBJECTS[stem] if chances[stem] >= _UNSURE else "someone"


def _told(subjects: Counter[str]) -> str:
    return "subjects: " + ", ".join(f"{subject} {count}" for subject, count in subjects.most_common())
