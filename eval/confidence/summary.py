"""Reliability of the confidences in one evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.confidence.reliability import Reliability, measure
from eval.scores.evaluation import Evaluation
from eval.scores.goodness import is_good

FEWEST = 30
"""Captions below which a reliability curve would say nothing."""


def confidence_of(evaluation: Evaluation, rows: Mapping[str, Mapping[str, Any]]) -> Reliability | None:
    """How reliable the confidence in ``rows`` (by clip id) is.

    None where it is not calibrated, and so promises nothing, or where there are too few captions.
    """
    clips = [clip for clip in evaluation.clips if "confidence" in rows.get(clip.id, {})]
    if len(clips) < FEWEST or not all(rows[clip.id].get("calibrated") for clip in clips):
        return None
    confidence = np.array([float(rows[clip.id]["confidence"]) for clip in clips])
    good = np.array([is_good(clip.caption, clip.references) for clip in clips], dtype=np.bool_)
    return measure(confidence, good)
