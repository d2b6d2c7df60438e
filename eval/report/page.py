"""The report: one HTML file that needs nothing beside it, and a short Markdown for a pull request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.config import to_dict
from captioner.errors import counted
from captioner.io.extras import import_extra
from captioner.language.config import SearchConfig
from captioner.manifest import Clip
from captioner.video.config import VideoConfig
from eval.inputs.references import References
from eval.report import plots
from eval.report.alarms import alarms
from eval.report.table import coverage_line, diversity_lines, write_text
from eval.report.views import ClipView, seen
from eval.scores.evaluation import ClipScore, Evaluation
from eval.scores.goodness import GOOD, is_good
from eval.scores.human import HumanLine, leave_one_out
from eval.scores.reliability import confidence_of
from eval.scores.slices import slicings

if TYPE_CHECKING:
    from captioner.checkpoint.captioning import Checkpoint
    from captioner.language.calibration import Calibration
    from captioner.outputs.svg import Svg

TEMPLATES = Path(__file__).parent / "templates"
REFERENCES_SHOWN = 6
FAILURES_SHOWN = 20
SURE_SHOWN = 3
LISTED = 1000
HISTOGRAMS = ("CIDEr", "ROUGE-L")

_MARKS = frozenset("&<>@#*_`[]|~\\!")
"""What Markdown (or the place that shows it) could take for more than text; written as entities."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a report is about."""

    evaluation: Evaluation
    references: References
    clips: Sequence[Clip]
    """The evaluated clips with their files; empty where the references name none."""
    rows: Mapping[str, Mapping[str, Any]]
    """The row of each clip in predictions.jsonl."""
    checkpoint: Checkpoint | None = None
    """What made the captions; None for captions made elsewhere."""
    search: SearchConfig | None = None
    """Settings of the search, where they are not the checkpoint's own."""


def require_jinja() -> Any:
    """The library of the templates; raises CaptionerError where it is not installed."""
    return import_extra("jinja2", extra="eval", what="the report")


REPORTS = ("report.html", "report.md")


def write_report(
    subject: Subject,
    out: Path,
    *,
    train: Sequence[Clip] | None = None,
    images: bool = True,
    show: int = 6,
    overwrite: bool = False,
) -> list[Path]:
    """Write ``out/report.html`` and ``out/report.md``; returns their paths.

    ``train``: the clips learned from, to look for leaks. ``images=False`` leaves the frames out. ``show``: how many
    best and how many worst clips are shown.
    """
    evaluation, rows = subject.evaluation, subject.rows
    ranked = sorted(evaluation.clips, key=lambda c: (-c.scores["CIDEr"], -c.scores["ROUGE-L"], c.id))
    best = ranked[: min(show, (len(ranked) + 1) // 2)]
    worst = ranked[len(best) :][::-1][:show]  # no clip twice
    several = any(len(group) > 1 for group in subject.references.captions.values())
    human = leave_one_out(subject.references) if several else None
    confidence = confidence_of(evaluation, rows)
    values: dict[str, Any] = {
        "evaluation": evaluation,
        "human": human,
        "coverage": coverage_line(evaluation),
        "alarms": alarms(evaluation, subject.clips, train=train),
        "confidence": confidence,
    }
    surest = _surest_mistakes(subject, but=[*best, *worst]) if confidence and show else []
    top = _top(evaluation, human)
    page = {
        "top": top,
        "charts": _charts(evaluation, human, top=top),
        "diversity": diversity_lines(evaluation).split("\n"),
        "slicings": slicings(evaluation),
        "slice_metrics": [name for name in ("CIDEr", "BLEU-4", "ROUGE-L", "METEOR") if name in evaluation.scores],
        "failures": list(evaluation.coverage.failed.items())[:FAILURES_SHOWN],
        "failures_left": max(0, len(evaluation.coverage.failed) - FAILURES_SHOWN),
        "good": GOOD,
        "card": model_card(subject.checkpoint, search=subject.search) if subject.checkpoint else {},
        "references_shown": REFERENCES_SHOWN,
        "histograms": [
            plots.histogram([100 * clip.scores[name] for clip in evaluation.clips], unit=f"{name} of a clip")
            for name in HISTOGRAMS
        ],
        "reliability": confidence and plots.reliability(confidence, what="captions"),
        "best": _views(subject, images, best),
        "worst": _views(subject, images, worst),
        "surest": _views(subject, images, surest),
        "listed": [(clip, rows.get(clip.id, {}).get("confidence")) for clip in ranked[:LISTED]],
    }
    texts = (
        environment(html=True).get_template("report.html.j2").render(values | page),
        environment(html=False).get_template("report.md.j2").render(values | {"best": best, "worst": worst}),
    )
    for name, text in zip(REPORTS, texts, strict=True):
        write_text(out / name, text, overwrite=overwrite, make_folder=True)
    return [out / name for name in REPORTS]


def _views(subject: Subject, images: bool, some: Sequence[ClipScore]) -> list[ClipView]:
    sources = {clip.id: clip for clip in subject.clips}
    video = subject.checkpoint.video if subject.checkpoint else VideoConfig()
    views = []
    for clip in some:
        row = subject.rows.get(clip.id, {})
        looked = seen(row, source=sources.get(clip.id), video=video, images=images)
        references = tuple(Counter(clip.references).most_common())
        views.append(ClipView(clip=clip, confidence=row.get("confidence"), seen=looked, references=references))
    return views


def environment(*, html: bool) -> Any:
    """The templates of the harness, everything in them escaped."""
    jinja2 = require_jinja()
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Markdown has no autoescape of its own: every value goes through markdown() instead.
        finalize=None if html else markdown,
    )
    made.filters |= {"points": lambda score: f"{100 * score:.1f}", "counted": counted}
    return made


def markdown(value: Any) -> Any:
    """Text that Markdown shows literally: no formatting, no HTML, no table cells, no @mentions."""
    if not isinstance(value, str):
        return value
    return "".join(f"&#{ord(c)};" if c in _MARKS else c for c in " ".join(value.split()))


def _top(evaluation: Evaluation, human: HumanLine | None) -> float:
    """A round number above all scores, in points: the end of the charts' scale."""
    people = [] if human is None else list(human.scores.values())
    return plots.round_ticks(100 * max([s.high for s in evaluation.scores.values()] + people))[-1]


def _charts(evaluation: Evaluation, human: HumanLine | None, *, top: float) -> dict[str, Svg]:
    """Each metric's score, its interval and people's score on one line."""
    people = {} if human is None else {name: 100 * score for name, score in human.scores.items()}
    return {
        name: plots.interval(100 * s.score, 100 * s.low, 100 * s.high, top=top, other=people.get(name))
        for name, s in evaluation.scores.items()
    }


def _surest_mistakes(subject: Subject, *, but: Sequence[ClipScore]) -> list[ClipScore]:
    """Captions that are not good, the most confident first; without the clips ``but``, which are shown elsewhere."""
    wrong = [
        clip for clip in subject.evaluation.clips if clip not in but and not is_good(clip.caption, clip.references)
    ]
    said = [clip for clip in wrong if "confidence" in subject.rows.get(clip.id, {})]
    return sorted(said, key=lambda clip: (-subject.rows[clip.id]["confidence"], clip.id))[:SURE_SHOWN]


def model_card(checkpoint: Checkpoint, *, search: SearchConfig | None = None) -> dict[str, dict[str, str]]:
    """Sections of names and values: what the checkpoint is, how it chooses frames and sentences, what trained it."""
    model = checkpoint.model
    numbers = {
        "CNN": str(model.encoder.cnn_config().get("model_type")),
        "CNN weights": f"{sum(p.numel() for p in model.encoder.parameters()):,}",
        "Decoder weights": f"{sum(p.numel() for p in model.decoder.parameters()):,}",
        "Vocabulary": f"{len(checkpoint.tokenizer):,} pieces",
        "Fingerprint": checkpoint.fingerprint,
    }
    decoder = {name: _plain(value) for name, value in to_dict(model.decoder.config).items()}
    return {
        "Model": numbers,
        "Decoder": decoder,
        "Frames": {name: _plain(value) for name, value in to_dict(checkpoint.video).items()},
        "Search": {name: _plain(value) for name, value in to_dict(search or checkpoint.search).items()},
        "Confidence": _calibration(checkpoint.calibration),
        "Trained on": {name: _plain(value) for name, value in _flat(checkpoint.trained_on).items()},
    }


def _calibration(calibration: Calibration | None) -> dict[str, str]:
    if calibration is None:
        return {"calibrated": "no: it ranks captions, but is not a probability"}
    return {
        "is the probability that": calibration.good,
        "fitted on": f"{calibration.clips:,} clips of {', '.join(calibration.fitted_on)}",
        "of which good": f"{100 * calibration.good_share:.1f} %",
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)
