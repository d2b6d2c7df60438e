"""``python -m eval score``: scores a file of captions, with intervals and coverage."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from captioner.errors import DataError, counted
from captioner.manifest import read_manifest
from captioner.metrics.characters import TOKENIZERS
from eval.commands.arguments import MANY, add_overwrite, check_numbers
from eval.inputs.predictions import listed, read_details, read_predictions
from eval.inputs.references import References, add_reference_arguments, read_references
from eval.report.table import clip_csv, score_table, write_text
from eval.scores.diversity import training_captions
from eval.scores.evaluation import Evaluation
from eval.scores.scorer import RESAMPLES, SEED, PreparedReferences, evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("predictions", metavar="PREDICTIONS", help="JSON Lines of captioner, coco results JSON, or CSV")
    add_reference_arguments(parser)
    add_scoring_arguments(parser)
    parser.add_argument("--name", default="", help="name of the system (default: the file's name)")
    parser.add_argument("--json", metavar="FILE", help="write report.json (- for stdout)")
    parser.add_argument("--report", metavar="DIR", help="write report.html and report.md into DIR")
    parser.add_argument("--no-images", action="store_true", help="leave the frames out of the report")
    parser.add_argument("--csv", metavar="FILE", help="write one row a clip (- for stdout)")
    add_overwrite(parser)


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command that scores has in common."""
    parser.add_argument(
        "--missing",
        choices=["skip", "empty"],
        default="skip",
        help="clips without a caption: skip them, for a partial score (default), or count an empty caption, "
        "for a whole and lower score",
    )
    parser.add_argument(
        "--duplicates",
        choices=["first", "last", "error"],
        default="first",
        help="which caption counts if a clip has two (default: %(default)s)",
    )
    parser.add_argument(
        "--tokenize",
        choices=list(TOKENIZERS),
        default="ptb",
        help="ptb: words, as in coco-caption (default); char: each character of a script without spaces (Chinese, "
        "Japanese, Thai) is a word, as in sacrebleu's zh",
    )
    parser.add_argument("--train", metavar="MANIFEST", help="training captions, to find copied captions and leaks")
    parser.add_argument("--meteor", action="store_true", help="add METEOR 1.5 (needs Java and captioner[meteor])")
    parser.add_argument("--nltk", action="store_true", help="add nltk's corpus BLEU-4")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="bootstrap resamples (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the resamples (default: %(default)s)")


def prepare_references(references: References, args: argparse.Namespace) -> PreparedReferences:
    """The references under the options of :func:`add_scoring_arguments`."""
    return PreparedReferences.of(references, tokenizer=TOKENIZERS[args.tokenize])


def check_arguments(args: argparse.Namespace) -> None:
    """Raises DataError on numbers that make no sense."""
    check_numbers(args, {"resamples": MANY, "seed": (0, math.inf)})


def score_file(path: str, prepared: PreparedReferences, args: argparse.Namespace, *, name: str = "") -> Evaluation:
    """The evaluation of one file of predictions under the options of :func:`add_scoring_arguments`."""
    training = None
    if args.train:
        clips = read_manifest(args.train, split="train")
        said = [caption for clip in clips for caption in clip.captions]
        training = training_captions(said, tokenize=prepared.tokenizer.tokenize)
    predictions = read_predictions(path, duplicates=args.duplicates)
    if not path.endswith(".jsonl"):
        print(f"eval: {path}: taken for {predictions.taken_for}", file=sys.stderr)
    if predictions.duplicates:
        which = f"the {args.duplicates} counts"
        have = counted(len(predictions.duplicates), "clip has", "clips have")
        print(f"eval: {have} two captions, {which}: {listed(predictions.duplicates)}", file=sys.stderr)
    return evaluate(
        predictions,
        prepared,
        name=name,
        missing=args.missing,
        resamples=args.resamples,
        seed=args.seed,
        training=training,
        with_meteor=args.meteor,
        with_nltk=args.nltk,
    )


def run(args: argparse.Namespace) -> int:
    """Score, print and write. Exit 0 whatever the score is; ``gate`` judges."""
    check_arguments(args)
    if args.report:
        from eval.report.page import require_jinja

        require_jinja()
    references = read_references(args.references, split=args.split)
    evaluation = score_file(args.predictions, prepare_references(references, args), args, name=args.name)
    if args.json:
        write_text(args.json, evaluation.to_json(), overwrite=args.overwrite)
    if args.csv:
        write_text(args.csv, clip_csv(evaluation), overwrite=args.overwrite)
    table = score_table(evaluation)
    out = sys.stderr if "-" in (args.json, args.csv) else sys.stdout
    print(table, file=out)
    for path in _report(evaluation, references, args) if args.report else ():
        print(path, file=out)
    return 0


def _report(evaluation: Evaluation, references: References, args: argparse.Namespace) -> list[Path]:
    """The report on captions made elsewhere: with frames where the references are a manifest that names files."""
    from eval.report.page import Subject, write_report

    out = Path(args.report)
    try:
        clips = [clip for clip in read_manifest(args.references) if clip.id in references.captions]
    except DataError:  # coco annotations, or MSR-VTT's: they name no files
        clips = []
    details = read_details(args.predictions)
    rows = {clip: row for name, row in details.items() if (clip := references.clip_id(name)) is not None}
    train = read_manifest(args.train, split="train") if args.train else None
    subject = Subject(evaluation=evaluation, references=references, clips=clips, rows=rows)
    return write_report(subject, out, train=train, images=not args.no_images, overwrite=args.overwrite)
