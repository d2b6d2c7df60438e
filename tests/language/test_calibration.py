"""A confidence that means something: the map in the checkpoint, how it is fitted, and what may not be mixed up."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from captioner import Captioner
from captioner.checkpoint.captioning import load_checkpoint, read_config, write_calibration
from captioner.errors import CheckpointError, ConfigError, DataError
from captioner.language.calibration import Calibration
from captioner.manifest import Clip, write_manifest
from captioner.metrics.content import content_words
from eval.__main__ import main
from eval.scores.goodness import is_good
from eval.scores.reliability import cross_validate, fit, fit_offset, measure
from tests.media import render_clip, render_image


def calibration(weights: str, **changes: object) -> Calibration:
    values = {
        "intercept": 2.0,
        "slope": 3.0,
        "good": "as people say",
        "fitted_on": ("a/manifest.jsonl val sha256:0",),
        "clips": 100,
        "good_share": 0.4,
        "log_loss": 0.5,
        "constant_log_loss": 0.6,
        "weights": weights,
    }
    return Calibration(**values | changes)  # type: ignore[arg-type]


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def weights_of(folder: Path) -> str:
    return str(read_config(folder)["files"]["model.safetensors"])


# --- in the checkpoint -----------------------------------------------------------------------------------------


def test_the_map_is_a_chance_that_rises_with_the_probability() -> None:
    found = [calibration("").confidence(x, moving=False, words=0, seen=0.0) for x in (-1e9, -3.0, -2 / 3, -0.1, 0.0)]
    assert found[0] == 0 and found[2] == pytest.approx(0.5) and found == sorted(found)
    assert found[-1] == pytest.approx(1 / (1 + math.exp(-2)))
    assert calibration("", intercept=900.0).confidence(0.0, moving=False, words=0, seen=0.0) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"slope": -1.0},
        {"intercept": math.nan},
        {"good_share": 0.0},
        {"good_share": 1.0},
        {"clips": 0},
        {"log_loss": math.inf},
    ],
)
def test_a_map_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"calibration.{next(iter(wrong))} is "):
        calibration("", **wrong)


def test_the_least_of_a_map_is_accepted() -> None:
    least = calibration("", slope=0.0, clips=1)
    assert least.confidence(-9.0, moving=False, words=0, seen=0.0) == least.confidence(
        0.0, moving=False, words=0, seen=0
    )


@pytest.mark.parametrize("mean", [-4.0, -0.6, -0.1])
@pytest.mark.parametrize("signals", [(False, 0, 0.0, 0.0), (True, 3, 0.25, 0.5), (False, 9, 0.9, 0.1)])
def test_the_confidence_is_the_logistic_of_a_weighted_sum(mean: float, signals: tuple[bool, int, float, float]) -> None:
    moving, words, seen, support = signals
    given = {"moving": moving, "words": words, "seen": seen, "support": support, "match": 0.4}
    mapped = calibration("", moving=0.5, words=-0.25, seen=0.75, support=1.5, match=2)
    total = 2 + 3 * mean + 0.5 * moving - 0.25 * words + 0.75 * seen + 1.5 * support + 0.8
    assert mapped.confidence(mean, **given) == pytest.approx(1 / (1 + math.exp(-total)))  # type: ignore[arg-type]
    plain = 1 / (1 + math.exp(-(2 + 3 * mean)))
    assert calibration("").confidence(mean, **given) == pytest.approx(plain)  # type: ignore[arg-type]
    assert mapped.confidence(mean, moving=moving, words=words, seen=seen) == pytest.approx(
        1 / (1 + math.exp(-(total - 1.5 * support - 0.8)))
    )


def test_a_calibrated_checkpoint_says_so(copy: Path, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    before = Captioner.load(copy)
    raw = before.caption(clip)
    assert not raw.calibrated and before.checkpoint.calibration is None

    mapped = calibration(weights_of(copy), moving=0.7)
    write_calibration(copy, mapped)
    after = Captioner.load(copy)
    caption = after.caption(clip)
    assert after.checkpoint.calibration == mapped
    assert after.checkpoint.fingerprint != before.checkpoint.fingerprint
    assert caption.text == raw.text and caption.log_prob == raw.log_prob and caption.calibrated
    assert caption.confidence == pytest.approx(
        mapped.confidence(math.log(raw.confidence), moving=True, words=len(raw.words), seen=0.0)
    )
    still = render_image(tmp_path / "still.png")
    raw, mapped_still = before.caption(still), after.caption(still)
    assert mapped_still.confidence == pytest.approx(
        mapped.confidence(math.log(raw.confidence), moving=False, words=len(raw.words), seen=0.0)
    )
    assert not list(copy.glob(".*")), "temporary files are left behind"


def test_captions_below_the_least_confidence_are_marked(copy: Path, tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    write_calibration(copy, calibration(weights_of(copy)))
    captioner = Captioner.load(copy)
    plain = captioner.caption(clip)
    above, below = plain.confidence + 1e-6, plain.confidence - 1e-6
    held = captioner.caption(clip, search=replace(captioner.search, min_confidence=above))
    kept = captioner.caption(clip, search=replace(captioner.search, min_confidence=below))
    assert not plain.abstained and held.abstained and not kept.abstained
    assert held.text == plain.text and not held.warnings


def test_a_threshold_on_an_uncalibrated_checkpoint_is_warned_of(checkpoint: Path, tmp_path: Path) -> None:
    captioner = Captioner.load(checkpoint)
    caption = captioner.caption(
        render_clip(tmp_path / "clip.mp4"), search=replace(captioner.search, min_confidence=0.99)
    )
    assert caption.abstained and "is not calibrated" in caption.warnings[-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(weights="0" * 64), "fitted to other weights"),
        (lambda c: c.update(slope=-1), "calibration.slope is -1.0"),
        (lambda c: c.update(slope="steep"), "calibration.slope is 'steep'"),
        (lambda c: c.update(slpoe=1), "no setting 'slpoe'; did you mean 'slope'"),
    ],
)
def test_a_calibration_that_does_not_belong_is_refused(copy: Path, change: Callable[..., None], said: str) -> None:
    write_calibration(copy, calibration(weights_of(copy)))
    config = json.loads((copy / "config.json").read_text())
    change(config["calibration"])
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(copy)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_foreign_calibration_is_not_written(copy: Path) -> None:
    before = (copy / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match="other weights"):
        write_calibration(copy, calibration("0" * 64))
    assert (copy / "config.json").read_bytes() == before


# --- good or not -----------------------------------------------------------------------------------------------

PEOPLE = ("A boy plays his guitar.", "someone is playing a red guitar on a stage")


@pytest.mark.parametrize(
    ("caption", "good"),
    [
        ("a boy is playing a guitar", True),
        ("the boy plays guitars", True),  # other forms of the same words
        ("a man is playing a guitar", True),  # two in three
        ("a man is playing a piano", False),
        ("a boy is riding", False),
        ("a guitar", True),
        ("is the", False),
        ("", False),
    ],
)
def test_a_caption_is_good_when_people_say_its_words(caption: str, good: bool) -> None:
    assert is_good(caption, PEOPLE) is good


def test_content_words_are_stems_of_what_carries_meaning() -> None:
    assert content_words("The dogs are RUNNING through a field.") == {"dog", "run", "field"}


# --- fitting and measuring -------------------------------------------------------------------------------------


def drawn(clips: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signals, the true chance of good at each, and what came."""
    generator = np.random.default_rng(seed)
    signal = generator.uniform(-2, 0, clips)
    chance = 1 / (1 + np.exp(-(1.5 + 2.5 * signal)))
    return signal, chance, generator.random(clips) < chance


def test_fitting_finds_the_map_that_the_data_came_from() -> None:
    signal, _, good = drawn(50_000)
    intercept, slope = fit(signal[:, None], good)
    assert intercept == pytest.approx(1.5, abs=0.1) and slope == pytest.approx(2.5, abs=0.1)
    assert cross_validate(signal[:500, None], good[:500]) < math.log(2)


def test_a_signal_that_misleads_is_not_followed() -> None:
    signal, _, good = drawn(1000)
    assert fit(-signal[:, None], good) == (pytest.approx(math.log(good.mean() / (1 - good.mean()))), 0.0)


def test_every_signal_counts_by_what_it_tells() -> None:
    generator = np.random.default_rng(1)
    n = 50_000
    signals = np.column_stack([generator.uniform(-2, 0, n), generator.integers(2, 12, n), generator.random(n)])
    good = generator.random(n) < 1 / (1 + np.exp(-(4 + 2.5 * signals[:, 0] - 0.4 * signals[:, 1] + signals[:, 2])))
    assert fit(signals, good) == pytest.approx((4, 2.5, -0.4, 1), abs=0.15)
    assert cross_validate(signals[:2000], good[:2000]) < cross_validate(signals[:2000, :1], good[:2000]) - 0.05
    misled = fit(signals * [-1, 1, 1], good)
    assert misled[1] == 0 and misled[2] < -0.2 and misled[3] > 0.5  # the others are fitted anew, alone


def test_what_was_rendered_has_no_confidence() -> None:
    given = {"moving": False, "words": 4, "seen": 0.5, "support": 0.5}
    own = calibration("").confidence(-0.5, **given)  # type: ignore[arg-type]
    assert calibration("").confidence(-0.5, **given, rendered=0.75) == pytest.approx(own / 4)  # type: ignore[arg-type]


def test_words_and_what_was_seen_change_the_confidence() -> None:
    mapped = calibration("", words=-0.3, seen=1.2)
    one = mapped.confidence(-0.5, moving=False, words=4, seen=0.5)
    assert one == pytest.approx(calibration("").confidence(-0.5 - 0.2, moving=False, words=0, seen=0.0))
    assert mapped.confidence(-0.5, moving=False, words=5, seen=0.5) < one
    assert mapped.confidence(-0.5, moving=False, words=4, seen=0.9) > one


def test_a_signal_that_tells_all_gives_a_finite_map() -> None:
    signal = np.linspace(-1, 0, 100)
    intercept, slope = fit(signal[:, None], signal > -0.3)
    assert 10 < slope < 1e4 and math.isfinite(intercept)


@pytest.mark.parametrize("good", [0, 3, 97, 100])
def test_too_little_to_learn_from_is_refused(good: int) -> None:
    with pytest.raises(DataError, match=f"{good} of 100 captions are good: too few"):
        fit(np.linspace(-1, 0, 100)[:, None], np.arange(100) < good)


def test_a_true_confidence_has_no_error_but_chance() -> None:
    _, chance, good = drawn(2000)
    found = measure(chance, good)
    assert found.ece < 2 * found.ece_by_chance < 0.06
    assert found.ece_low <= found.ece <= found.ece_high + 0.01
    assert found.log_loss < found.constant_log_loss and sum(b.clips for b in found.bins) == 2000
    boastful = measure(np.sqrt(chance), good)
    assert boastful.ece > 0.1 and boastful.auc == pytest.approx(found.auc)
    assert boastful.ece == pytest.approx(sum(b.clips / 2000 * abs(b.confidence - b.good) for b in boastful.bins))


def test_ranks_and_thresholds_equal_their_definitions() -> None:
    confidence = np.array([0.1, 0.4, 0.4, 0.8, 0.9, 0.35])
    good = np.array([False, False, True, True, True, False])
    found = measure(confidence, good, bins=2, resamples=10)
    pairs = [(a > b) + (a == b) / 2 for a in confidence[good] for b in confidence[~good]]
    assert found.auc == pytest.approx(np.mean(pairs))
    kept = {k.threshold: (k.kept, k.good) for k in found.kept}
    assert kept[0.0] == (1.0, 0.5) and kept[0.4] == (pytest.approx(4 / 6), 0.75) and kept[0.8][1] == 1.0
    assert measure(confidence, np.ones(6, dtype=bool), resamples=10).auc is None


# --- the command -----------------------------------------------------------------------------------------------


@pytest.fixture
def manifest(copy: Path, tmp_path: Path) -> Path:
    """Sixty val and twenty test clips, four files in turn; people agree with the model on all but every third."""
    files = [render_clip(tmp_path / f"{n}.mp4", frames=6 + 6 * n, gop=6) for n in range(4)]
    said = [Captioner.load(copy).caption(file).text for file in files]
    clips = [
        Clip(
            id=f"{split}{n}",
            path=files[n % 4],
            split=split,
            captions=(said[n % 4] if n % 3 else "nothing of the kind",),
        )
        for split, count in (("val", 60), ("test", 20))
        for n in range(count)
    ]
    write_manifest(tmp_path / "set" / "manifest.jsonl", clips)
    return tmp_path / "set" / "manifest.jsonl"


def test_calibrating_and_checking(copy: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    kept = ["--out", str(tmp_path / "kept")]
    assert main(["calibrate", str(copy), str(manifest), "--check", *kept]) == 1
    assert "is not calibrated; run" in capsys.readouterr().err

    assert main(["calibrate", str(copy), str(manifest), *kept]) == 0
    out = capsys.readouterr().out
    assert "60 captions, 66.7 % good" in out and "fitted: confidence = logistic(" in out
    found = load_checkpoint(copy).calibration
    assert found is not None and found.clips == 60 and found.good_share == pytest.approx(2 / 3)
    assert found.fitted_on[0].startswith("set/manifest.jsonl val sha256:")

    assert main(["calibrate", str(copy), str(manifest), "--check", "--json", str(tmp_path / "c.json"), *kept]) == 0
    assert "20 captions, 65.0 % good" in capsys.readouterr().out
    measured = json.loads((tmp_path / "c.json").read_text())["measured"][str(manifest)]
    assert measured["clips"] == 20 and measured["mean_confidence"] == pytest.approx(2 / 3, abs=0.05)
    assert load_checkpoint(copy).calibration == found, "--check changes nothing"

    assert main(["calibrate", str(copy), str(manifest), *kept]) == 0
    assert "60 of 60 clips are captioned already" in capsys.readouterr().err
    assert load_checkpoint(copy).calibration == found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split", "test"], "calibrating on the test split would leave nothing to check it with"),
        (["--split", "train"], "has no clip in the split 'train'"),
        (["--timeout", "0"], "--timeout is 0.0"),
    ],
)
def test_what_calibrate_refuses(
    copy: Path, manifest: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["calibrate", str(copy), str(manifest), *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_clips_have_an_offset_of_their_own() -> None:
    assert calibration("", moving=1.5).confidence(-1.0, moving=True, words=0, seen=0.0) == pytest.approx(
        calibration("", intercept=calibration("").intercept + 1.5).confidence(-1.0, moving=False, words=0, seen=0.0)
    )
    rng = np.random.default_rng(0)
    logits = rng.normal(size=5000)
    good = rng.random(5000) < 1 / (1 + np.exp(-(logits + 0.8)))
    assert fit_offset(logits, good) == pytest.approx(0.8, abs=0.1)
    assert fit_offset(logits[:0], good[:0]) == 0.0
    assert 0 < fit_offset(np.zeros(3), np.ones(3, dtype=bool)) < 1.2  # three clips cannot be sure
