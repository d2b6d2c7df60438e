"""``python -m eval calibrate``: make a checkpoint's confidence the chance that a caption is good, and check it."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.errors import DataError, counted
from captioner.language.calibration import Calibration
from captioner.manifest import SPLITS, Clip, read_manifest
from captioner.safe.text import visible
from eval.commands.arguments import (
    add_checkpoint,
    add_device,
    add_json,
    add_overwrite,
    add_timeout,
    check_timeout,
    print_and_write,
)
from eval.report.table import check_outputs, columns
from eval.scores.goodness import GOOD, is_good
from eval.scores.reliability import (
    Reliability,
    cross_validate,
    fit,
    fit_offset,
    measure,
    unsure_below,
)
from eval.scores.statistics import Flags, Floats

if TYPE_CHECKING:
    from captioner.checkpoint.captioning import Checkpoint


@dataclass(frozen=True)
class Sample:
    """The captions of one split of one manifest."""

    name: str
    signals: Floats
    """(clips, 5), of each caption: mean log-probability of its tokens, number of words, likeliest detected noun,
    support by the word detector, and match with the clip."""
    moving: Flags
    """Which are of more than one frame."""
    good: Flags
    failed: int
    """Clips that could not be captioned; they are left out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint(parser)
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="clips with captions (python -m data ...)")
    parser.add_argument("--split", choices=SPLITS, help="split to caption (default: val; with --check: test)")
    parser.add_argument("--check", action="store_true", help="measure the present calibration and change nothing")
    parser.add_argument("--out", metavar="DIR", help="folder that keeps the captions, so an interrupted run resumes")
    add_json(parser, what="measurements")
    add_device(parser)
    add_overwrite(parser)
    add_timeout(parser)


def run(args: argparse.Namespace) -> int:
    """Caption, fit and write into the checkpoint's config.json; or, with ``--check``, only measure."""
    from captioner.checkpoint.captioning import checkpoint_folder, load_checkpoint, read_config, write_calibration

    split = args.split or ("test" if args.check else "val")
    if split == "test" and not args.check:
        raise DataError("calibrating on the test split would leave nothing to check it with; use --split val")
    check_timeout(args)
    check_outputs([args.json], overwrite=args.overwrite)
    clips = {name: _clips(name, split) for name in args.manifests}
    folder = checkpoint_folder(args.checkpoint)
    weights = read_config(folder)["files"]["model.safetensors"]
    checkpoint = load_checkpoint(folder)
    calibration = checkpoint.calibration
    if args.check and calibration is None:
        raise DataError(f"{folder} is not calibrated; run `python -m eval calibrate {args.checkpoint} ...` first")
    with tempfile.TemporaryDirectory() as temporary:
        # The signal is the same whatever the calibration: captions kept in --out serve the fit and every check.
        plain = dataclasses.replace(checkpoint, calibration=None, fingerprint=weights[:12])
        samples = _samples(plain, clips, args, split=split, out=Path(args.out or temporary))
    every = _together(samples)
    if calibration is None or not args.check:
        calibration = calibrate(every, weights=weights, fitted_on=[_label(name, split) for name in args.manifests])
        least = unsure_below(_confidences(every, calibration), every.good)
        write_calibration(folder, calibration, min_confidence=least)
    groups = [*samples, every] if len(samples) > 1 else samples
    measured = {sample.name: measure(_confidences(sample, calibration), sample.good) for sample in groups}
    heading = f"{folder} on {split}; unsure below {read_config(folder)['search']['min_confidence']:.2f}"
    _report(measured, calibration, args, heading=heading, fitted=not args.check)
    return 1 if every.failed else 0


def _together(samples: Sequence[Sample]) -> Sample:
    """All captions, every clip counting the same."""
    return Sample(
        name="all",
        signals=np.concatenate([s.signals for s in samples]),
        moving=np.concatenate([s.moving for s in samples]),
        good=np.concatenate([s.good for s in samples]),
        failed=sum(s.failed for s in samples),
    )


def calibrate(sample: Sample, *, weights: str, fitted_on: Sequence[str]) -> Calibration:
    """The calibration that fits the captions of a sample."""
    signals, good, moving = sample.signals, sample.good, sample.moving
    intercept, *slopes = fit(signals, good)
    share = float(good.mean())
    return Calibration(
        intercept=intercept,
        slope=slopes[0],
        moving=fit_offset(intercept + signals[moving] @ slopes, good[moving]),
        words=slopes[1],
        seen=slopes[2],
        support=slopes[3],
        match=slopes[4],
        good=GOOD,
        fitted_on=tuple(fitted_on),
        clips=len(good),
        good_share=share,
        log_loss=cross_validate(signals, good),
        constant_log_loss=-share * math.log(share) - (1 - share) * math.log(1 - share),
        weights=weights,
    )


def _clips(manifest: str, split: str) -> list[Clip]:
    clips = [clip for clip in read_manifest(manifest, split=split) if clip.captions and clip.path is not None]
    if not clips:
        raise DataError(f"{manifest} has no clip with captions and a file in the split {split!r}")
    return clips


def _samples(
    checkpoint: Checkpoint, clips: Mapping[str, Sequence[Clip]], args: argparse.Namespace, *, split: str, out: Path
) -> list[Sample]:
    from captioner.caption.captioner import Captioner
    from eval.inputs.captioning import caption_clips, print_failures

    captioner = Captioner(checkpoint, device=args.device)
    samples = []
    for number, (manifest, group) in enumerate(clips.items(), start=1):
        search = dataclasses.replace(captioner.search, min_confidence=0.0)
        folder = out / f"{number}-{Path(manifest).absolute().parent.name}-{split}"
        print(f"eval: captioning {counted(len(group), 'clip')} of {visible(manifest)}", file=sys.stderr)
        rows = caption_clips(captioner, group, search=search, out=folder, timeout_seconds=args.timeout)
        print_failures(rows)
        samples.append(_sample(manifest, group, rows))
    return samples


def _sample(manifest: str, clips: Sequence[Clip], rows: Mapping[str, Mapping[str, Any]]) -> Sample:
    said = [clip for clip in clips if "caption" in rows[clip.id]]
    if not said:
        raise DataError(f"no clip of {manifest} could be captioned; see above")
    # Uncalibrated, the confidence is exp(mean log-probability), to four decimals.
    return Sample(
        name=manifest,
        signals=np.array([_signals(rows[clip.id]) for clip in said]),
        moving=np.array([len(rows[clip.id]["times_seconds"]) > 1 for clip in said], dtype=np.bool_),
        good=np.array([is_good(rows[clip.id]["caption"], clip.captions) for clip in said], dtype=np.bool_),
        failed=len(clips) - len(said),
    )


def _signals(row: Mapping[str, Any]) -> tuple[float, ...]:
    seen = max((sight["probability"] for sight in row.get("evidence", ())), default=0.0)
    said = row.get("support", 0.0), row.get("match", 0.0)
    return math.log(max(row["confidence"], 5e-5)), float(len(row["words"])), seen, *said


def _confidences(sample: Sample, calibration: Calibration) -> Floats:
    found = [
        calibration.confidence(mean, moving=bool(moving), words=int(words), seen=seen, support=support, match=match)
        for (mean, words, seen, support, match), moving in zip(sample.signals.tolist(), sample.moving, strict=True)
    ]
    return np.array(found)


def _label(manifest: str, split: str) -> str:
    file = Path(manifest).absolute()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return f"{file.parent.name}/{file.name} {split} sha256:{digest}"


def _report(
    measured: Mapping[str, Reliability],
    calibration: Calibration,
    args: argparse.Namespace,
    *,
    heading: str,
    fitted: bool,
) -> None:
    parts = [heading, f"good: {calibration.good}"]
    for name, reliability in measured.items():
        parts += ["", visible(name), reliability_table(reliability)]
    if fitted:
        parts += [
            "",
            f"fitted: confidence = logistic({calibration.intercept:.3f} + {calibration.slope:.3f} * x "
            f"{calibration.words:+.3f} a word {calibration.seen:+.3f} * s {calibration.support:+.3f} * d "
            f"{calibration.match:+.3f} * m "
            f"{calibration.moving:+.3f} for clips), x the mean log-probability of a token, s the probability of the "
            "likeliest noun seen, d the mean one of the words by the detector, m the match; cross-validated log-loss "
            f"{calibration.log_loss:.3f}, of a constant {calibration.constant_log_loss:.3f}",
            "the tables above show the clips it was fitted to; --check measures others",
        ]
    values = {
        "calibration": dataclasses.asdict(calibration),
        "measured": {name: dataclasses.asdict(reliability) for name, reliability in measured.items()},
    }
    print_and_write("\n".join(parts), values, args)


def reliability_table(reliability: Reliability) -> str:
    """The figures of a :class:`~eval.scores.reliability.Reliability`, for a terminal."""
    r = reliability
    bins = [["confidence", "clips", "promised", "good"]]
    bins += [
        [f"{b.low:.2f} to {b.high:.2f}", str(b.clips), f"{100 * b.confidence:.0f} %", f"{100 * b.good:.0f} %"]
        for b in r.bins
    ]
    kept = [["min confidence", "kept", "good among kept"]]
    kept += [
        [f"{k.threshold:.1f}", f"{100 * k.kept:.0f} %", "" if k.good is None else f"{100 * k.good:.0f} %"]
        for k in r.kept
    ]
    ranked = "" if r.auc is None else f", AUC {r.auc:.3f}"
    return "\n".join(
        [
            f"{r.clips} captions, {100 * r.good:.1f} % good, mean confidence {100 * r.mean_confidence:.1f} %",
            f"expected calibration error ({len(r.bins)} bins of equal size) {r.ece:.3f}, 95 % interval {r.ece_low:.3f} "
            f"to {r.ece_high:.3f}; a perfect one would show {r.ece_by_chance:.3f} on so few clips",
            f"Brier {r.brier:.3f}, log-loss {r.log_loss:.3f} (a constant: {r.constant_log_loss:.3f}){ranked}",
            columns(bins),
            columns(kept),
        ]
    )
