"""Training on small rendered clips: it learns, it goes on bit for bit after a kill, it saves what it validated."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from captioner import Captioner
from captioner.checkpoint.captioning import load_checkpoint
from captioner.errors import CaptionerError, CheckpointError, ConfigError, DataError
from captioner.io.lock import FolderLock
from captioner.io.status import Status
from captioner.language.config import DecoderConfig, SearchConfig, TokenizerConfig
from captioner.manifest import Clip, read_manifest, write_manifest
from captioner.training.changes import compare, told
from captioner.training.config import DataConfig, Recipe, TrainConfig
from captioner.training.log import TrainingLog
from captioner.training.train import fit
from captioner.video.config import VideoConfig
from captioner.vision.config import EncoderConfig
from tests.media import render_text
from tests.tiny import tiny_cnn


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from data.shapes import render

    return render(tmp_path_factory.mktemp("shapes"), train=24, val=6, test=6, seed=3)


@pytest.fixture(scope="module")
def recipe(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("recipe")
    return Recipe(
        data=DataConfig(manifests=(str(manifest),), cache=str(folder / "features")),
        video=VideoConfig(frames=3, size=32),
        encoder=EncoderConfig(source=str(tiny_cnn(folder / "cnn")), weights="random"),
        decoder=DecoderConfig(embed=16, hidden=16, attention=8, dropout=0.2),
        tokenizer=TokenizerConfig(vocab_size=60),
        search=SearchConfig(beams=2, max_length=20),
        train=TrainConfig(epochs=2, batch_size=5, scst_epochs=1, scst_samples=2, frame_dropout=0.2, threads=1),
    )


def changed(recipe: Recipe, **train: object) -> Recipe:
    return dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **train))  # type: ignore[arg-type]


def records(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


class Killed(Exception):
    pass


def fit_but_die_at(recipe: Recipe, out: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until ``step`` and raise, as SIGKILL would between two steps: nothing more is written."""
    record = TrainingLog.record

    def dying(self: TrainingLog, *, step: int, stage: str, values: dict[str, float]) -> None:
        record(self, step=step, stage=stage, values=values)
        if step == wanted:
            raise Killed

    wanted = step
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(TrainingLog, "record", dying)
        fit(recipe, out, quiet=True)


def test_a_killed_run_continues_bit_for_bit(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = changed(recipe, train_encoder=True)
    fit(recipe, tmp_path / "whole", quiet=True)
    for step in (3, 7, 11):
        fit_but_die_at(recipe, tmp_path / "killed", step, monkeypatch)
    fit(recipe, tmp_path / "killed", quiet=True)
    assert records(tmp_path / "killed") == records(tmp_path / "whole")
    whole, resumed = (load_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "killed"))
    assert whole.fingerprint == resumed.fingerprint


def fit_but_die_at_write(recipe: Recipe, out: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run until that write to the disk, which is left half done, and no further; False where it comes to its end."""
    left = number

    def dying(write: Callable[..., object]) -> Callable[..., object]:
        def maybe(*args: Any, **options: Any) -> object:
            nonlocal left
            left -= 1
            if left > 0:
                return write(*args, **options)
            if write in (torch.save, save_file):
                Path(args[1]).write_bytes(b"half of it")
            for clean in ((shutil, "rmtree"), (Path, "unlink")):
                patch.setattr(*clean, lambda *args, **options: None)  # nobody cleans up after SIGKILL
            raise Killed

        return maybe

    save_file = safetensors.torch.save_file
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        for module, name in ((torch, "save"), (safetensors.torch, "save_file"), (Path, "rename"), (Path, "replace")):
            patch.setattr(module, name, dying(getattr(module, name)))
        fit(recipe, out, quiet=True)
        return False
    return True


def test_a_run_that_is_killed_while_it_saves_continues_bit_for_bit(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its first write, then at its second from there, and so on to the end."""
    monkeypatch.setattr("captioner.training.train._SAVE_SECONDS", 0.0)
    recipe = changed(recipe, epochs=2, scst_epochs=0, batch_size=12)
    fit(recipe, tmp_path / "whole", quiet=True)
    kills, out = 1, tmp_path / "killed"
    while fit_but_die_at_write(recipe, out, kills, monkeypatch):
        kills += 1
    assert kills > 5
    assert records(out) == records(tmp_path / "whole")
    assert load_checkpoint(out / "checkpoint").fingerprint == load_checkpoint(tmp_path / "whole/checkpoint").fingerprint
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in (tmp_path / "whole").iterdir())


def test_it_learns_and_says_what_it_learned_from(recipe: Recipe, tmp_path: Path, manifest: Path) -> None:
    out = fit(changed(recipe, epochs=12, scst_epochs=0, learning_rate=0.01), tmp_path / "run", quiet=True)
    losses = [r["loss"] for r in records(tmp_path / "run") if r["stage"] == "captions"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5  # type: ignore[arg-type]
    about = load_checkpoint(out).trained_on
    assert about["clips"] == 24 and about["captions"] == 24 and "sha256:" in about["manifests"][0]
    clip = read_manifest(manifest, split="test")[0]
    assert clip.path is not None
    assert Captioner.load(out).caption(clip.path).text


def test_the_language_model_warms_up_on_text(recipe: Recipe, tmp_path: Path, manifest: Path) -> None:
    clips = [dataclasses.replace(c, path=None) for c in read_manifest(manifest)]
    write_manifest(tmp_path / "text.jsonl", clips)
    with_text = dataclasses.replace(
        changed(recipe, text_epochs=2, epochs=1, scst_epochs=0),
        data=dataclasses.replace(recipe.data, text=(str(tmp_path / "text.jsonl"),)),
    )
    fit(with_text, tmp_path / "run", quiet=True)
    stages = [r["stage"] for r in records(tmp_path / "run")]
    assert stages.count("text") == 10 and stages.count("captions") == 5  # 24 train captions in batches of 5, twice


def test_few_clips_are_visited_several_times_an_epoch(recipe: Recipe, tmp_path: Path) -> None:
    """24 captions make 5 batches of 5; an epoch of 11 steps or more takes them three times."""
    fit(changed(recipe, epochs=1, scst_epochs=0, epoch_steps=11), tmp_path / "run", quiet=True)
    assert sum(r["stage"] == "captions" for r in records(tmp_path / "run")) == 15
    with pytest.raises(ConfigError, match=r"train\.epoch_steps is -1; it must be at least 0"):
        changed(recipe, epoch_steps=-1)


def test_early_stopping(recipe: Recipe, tmp_path: Path) -> None:
    fit(changed(recipe, epochs=50, patience=1, learning_rate=1e-9, scst_epochs=0), tmp_path / "run", quiet=True)
    assert sum(r["stage"] == "captions_val" for r in records(tmp_path / "run")) < 5


def test_a_run_of_another_recipe_is_not_continued(recipe: Recipe, tmp_path: Path) -> None:
    fit(changed(recipe, epochs=1, scst_epochs=0), tmp_path / "run", quiet=True)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    del state["recipe"]["train"]["patience"]  # as an older version saved it
    torch.save(state, tmp_path / "run" / "state.pt")
    fit(changed(recipe, epochs=1, scst_epochs=0), tmp_path / "run", quiet=True)
    with pytest.raises(ConfigError, match=r"another recipe .*train\.patience was 0, now 3"):
        fit(changed(recipe, epochs=1, scst_epochs=0, patience=3), tmp_path / "run", quiet=True)
    with pytest.raises(ConfigError, match="another recipe"):
        fit(changed(recipe, epochs=1, scst_epochs=0, seed=9), tmp_path / "run", quiet=True)
    (tmp_path / "run" / "state.pt").write_bytes(b"not a state")
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged"):
        fit(changed(recipe, epochs=1, scst_epochs=0), tmp_path / "run", quiet=True)


def test_a_state_that_would_run_code_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            import os

            return os.system, (f"touch {tmp_path / 'owned'}",)

    (tmp_path / "run").mkdir()
    torch.save({"recipe": Evil()}, tmp_path / "run" / "state.pt")
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged"):
        fit(recipe, tmp_path / "run", quiet=True)
    assert not (tmp_path / "owned").exists()


def test_bad_clips_are_named_and_left_out(
    recipe: Recipe, tmp_path: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Clip(id="bad", path=render_text(tmp_path / "bad.mp4"), split="train", captions=("a red cross grows",))
    write_manifest(tmp_path / "m.jsonl", [*read_manifest(manifest), bad])
    data = dataclasses.replace(recipe.data, manifests=(str(tmp_path / "m.jsonl"),))
    fit(dataclasses.replace(changed(recipe, epochs=1, scst_epochs=0), data=data), tmp_path / "run")
    said = capsys.readouterr().err
    assert "left out" in said and "bad.mp4" in said and "train: 24 clips" in said
    write_manifest(tmp_path / "m.jsonl", [bad, dataclasses.replace(bad, id="v", split="val")])
    with pytest.raises(DataError, match="none of 1 clip can be used"):
        fit(dataclasses.replace(recipe, data=data), tmp_path / "other", quiet=True)


def test_captions_that_are_all_too_long_are_an_error(recipe: Recipe, tmp_path: Path) -> None:
    short = dataclasses.replace(recipe, search=SearchConfig(max_length=3))
    with pytest.raises(DataError, match=r"no caption has at most 2 tokens; raise search\.max_length"):
        fit(short, tmp_path / "run", quiet=True)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_optimizers(recipe: Recipe, tmp_path: Path, optimizer: str) -> None:
    fit(changed(recipe, epochs=2, scst_epochs=0, optimizer=optimizer, bf16=False), tmp_path / "run", quiet=True)
    losses = [r["loss"] for r in records(tmp_path / "run") if r["stage"] == "captions"]
    assert losses[-1] < losses[0]  # type: ignore[operator]


@pytest.mark.parametrize("end_to_end", [False, True])
def test_training_goes_on_from_a_checkpoint(recipe: Recipe, tmp_path: Path, end_to_end: bool) -> None:
    first = fit(changed(recipe, epochs=1, scst_epochs=0), tmp_path / "first", quiet=True)
    started = Recipe(
        data=recipe.data,
        search=recipe.search,
        train=dataclasses.replace(
            recipe.train,
            start=str(first),
            epochs=1,
            scst_epochs=0,
            learning_rate=1e-9,
            ema=0.0,
            train_encoder=end_to_end,
        ),
    )
    second = load_checkpoint(fit(started, tmp_path / "second", quiet=True))
    before = load_checkpoint(first)
    assert second.video == before.video == recipe.video
    assert second.tokenizer.decode(range(len(second.tokenizer))) == before.tokenizer.decode(
        range(len(before.tokenizer))
    )
    assert second.trained_on["train"]["start"] == before.fingerprint
    moved = {
        name.split(".")[0]
        for (name, a), b in zip(before.model.state_dict().items(), second.model.state_dict().values(), strict=True)
        if not torch.equal(a, b)
    }
    assert moved <= {"decoder"} | ({"encoder"} if end_to_end else set())
    for a, b in zip(before.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3)  # two small steps away, and saved in float16


def test_a_start_brings_its_own_settings(recipe: Recipe) -> None:
    with pytest.raises(ConfigError, match=r"both train\.start and settings in \[video\]"):
        changed(recipe, start="default")


def test_a_start_that_is_not_there_is_named(recipe: Recipe, tmp_path: Path) -> None:
    train = dataclasses.replace(recipe.train, start=str(tmp_path / "gone"))
    with pytest.raises(CheckpointError, match="there is no checkpoint folder"):
        fit(Recipe(data=recipe.data, train=train), tmp_path / "run", quiet=True)


def with_captions(manifest: Path, to: Path, *, val: int, say: Callable[[Clip], str]) -> str:
    """The manifest with so many val clips and other captions, beside the same clips."""
    clips, left = [], val
    for clip in read_manifest(manifest):
        if clip.split == "val" and not left:
            continue
        left -= clip.split == "val"
        clips.append(dataclasses.replace(clip, captions=(say(clip),)))
    to.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(to, clips)
    return str(to)


def from_manifest(recipe: Recipe, path: str, **train: object) -> Recipe:
    return dataclasses.replace(changed(recipe, **train), data=dataclasses.replace(recipe.data, manifests=(path,)))


@pytest.mark.parametrize(
    ("val", "same", "why"),
    [
        (1, False, "one clip, or the same captions for all"),
        (6, True, "the same captions"),
        (6, False, "under 20 clips"),
    ],
)
def test_where_cider_says_too_little_the_loss_chooses(
    recipe: Recipe,
    manifest: Path,
    tmp_path: Path,
    val: int,
    same: bool,
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One validation clip, or the same words on all of them: CIDEr is 0 whatever is said. Of few it is chance."""
    say = (lambda clip: "a square moves") if same else (lambda clip: clip.captions[0])
    path = with_captions(manifest, tmp_path / "own" / "manifest.jsonl", val=val, say=say)
    fit(from_manifest(recipe, path, epochs=4, scst_epochs=0, patience=3, learning_rate=0.01), tmp_path / "run")
    said = capsys.readouterr().err
    assert "CIDEr says too little on own" in said and why in said and "the loss chooses" in said
    found = [r for r in records(tmp_path / "run") if r["stage"] == "captions_val"]
    losses = [r["val_loss"] for r in found]
    assert len(losses) == 4 and losses[-1] < losses[0] - 0.1
    assert ("cider_own" in found[0]) == (why == "under 20 clips")
    best = losses.index(min(losses)) + 1
    assert load_checkpoint(tmp_path / "run" / "checkpoint").trained_on["chosen_at"] == f"captions {best}"


@pytest.mark.parametrize(("moves", "chosen"), [(False, 4), (True, 2)])
def test_between_epochs_of_the_same_cider_the_loss_chooses(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: bool, chosen: int
) -> None:
    """A CIDEr that does not move stops nothing early; one that moves chooses, whatever the loss is."""
    monkeypatch.setattr("captioner.training.captioning.LEAST_CLIPS", 1)
    scores = iter([0.5, 0.6 if moves else 0.5, 0.5, 0.5])
    monkeypatch.setattr("captioner.training.validation.Validator.cider", lambda self, corpus: next(scores))
    fit(changed(recipe, epochs=4, scst_epochs=0, patience=3, learning_rate=0.01), tmp_path / "run", quiet=True)
    found = [r for r in records(tmp_path / "run") if r["stage"] == "captions_val"]
    assert len(found) == 4 and found[3]["val_loss"] < found[1]["val_loss"]  # type: ignore[operator]
    assert load_checkpoint(tmp_path / "run" / "checkpoint").trained_on["chosen_at"] == f"captions {chosen}"


def test_it_says_what_it_changed(manifest: Path, checkpoint: Path, tmp_path: Path) -> None:
    own = Recipe(
        data=DataConfig(manifests=(str(manifest),), cache=str(tmp_path / "features")),
        train=TrainConfig(start=str(checkpoint), epochs=8, batch_size=4, learning_rate=0.01, threads=1),
    )
    changes = compare(own, fit(own, tmp_path / "run", quiet=True), status=Status(quiet=True))
    clips = read_manifest(manifest, split="val")
    assert [change.clip.id for change in changes] == [clip.id for clip in clips]
    for folder, said in ((checkpoint, changes[0].before), (tmp_path / "run" / "checkpoint", changes[0].after)):
        assert clips[0].path is not None and Captioner.load(folder).caption(clips[0].path).text == said
    first, *shown = told(changes)
    assert re.fullmatch(r"[1-6] of 6 val captions changed; CIDEr \d+ -> \d+", first)
    assert 1 <= len(shown) <= 3 and all(" -> " in line and ".mp4: " in line for line in shown)
    assert not list(told([]))


def test_no_clip_to_validate_on_says_what_to_do(recipe: Recipe, manifest: Path, tmp_path: Path) -> None:
    path = with_captions(manifest, tmp_path / "manifest.jsonl", val=0, say=lambda clip: clip.captions[0])
    with pytest.raises(DataError, match=r"nothing to validate on: .* give at least two clips the split val"):
        fit(from_manifest(recipe, path), tmp_path / "run", quiet=True)


def test_captions_without_a_word_are_called_so(
    recipe: Recipe, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def all_of_them(clip: Clip) -> str:
        return "?!..." if clip.split == "train" else clip.captions[0]

    path = with_captions(manifest, tmp_path / "none.jsonl", val=6, say=all_of_them)
    with pytest.raises(DataError, match=r"no caption with a word|none of the 24 captions has a word in it"):
        fit(from_manifest(recipe, path), tmp_path / "none", quiet=True)
    first = next(clip.id for clip in read_manifest(manifest, split="train"))
    path = with_captions(
        manifest, tmp_path / "some.jsonl", val=6, say=lambda clip: "..." if clip.id == first else clip.captions[0]
    )
    fit(from_manifest(recipe, path, epochs=1, scst_epochs=0), tmp_path / "some")
    said = capsys.readouterr().err
    assert "left out: 1 caption without a word" in said and "search.max_length" not in said


def test_captions_in_a_script_that_the_start_does_not_know(
    recipe: Recipe, manifest: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = with_captions(manifest, tmp_path / "manifest.jsonl", val=6, say=lambda clip: "квадрат a " + clip.captions[0])
    own = Recipe(
        data=dataclasses.replace(recipe.data, manifests=(path,)),
        train=TrainConfig(start=str(checkpoint), epochs=1, batch_size=8, threads=1),
    )
    fit(own, tmp_path / "run")
    assert "warning: the tokenizer lacks" in capsys.readouterr().err


def test_notices_and_licences_go_with_what_is_made_of_them(recipe: Recipe, checkpoint: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(checkpoint, own)
    (own / "NOTICE").write_text("weights of others")
    train = TrainConfig(start=str(own), epochs=1, batch_size=8, threads=1)
    made = fit(Recipe(data=recipe.data, train=train), tmp_path / "run", quiet=True)
    assert (made / "NOTICE").read_text() == "weights of others"
    assert load_checkpoint(made).papers == {"NOTICE": b"weights of others"}


def test_one_run_a_folder(recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".state.pt.99999.tmp").write_bytes(b"left by a killed run")
    (out / ".checkpoint.99999.tmp").mkdir()
    with FolderLock(out):
        with pytest.raises(CaptionerError, match=rf"another run \(process {os.getpid()} on .*\) is writing to"):
            fit(recipe, out, quiet=True)
        assert len(list(out.glob(".*.tmp"))) == 2
    fit(changed(recipe, epochs=1, scst_epochs=0), out, quiet=True)
    assert not list(out.glob(".*.tmp"))
    with pytest.raises(ConfigError, match=r"train\.epochs was 1, now 3\); .* --set train\.start=.*checkpoint"):
        fit(changed(recipe, epochs=3, scst_epochs=0), out, quiet=True)
