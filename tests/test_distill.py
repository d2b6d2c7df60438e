"""Distillation, with a tiny random teacher and student on a few rendered pictures."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, MobileNetV2Config, MobileNetV2ForImageClassification, RegNetConfig

from captioner.cnn import load_cnn
from captioner.config import EncoderConfig
from captioner.distill.__main__ import main
from captioner.distill.crops import crop, resized, whole
from captioner.distill.networks import Student, Teacher, fold_batch_norm, loss_terms
from captioner.distill.photos import compact, load_photos, split_files
from captioner.distill.recipe import DistillRecipe, Phase, load_distill_recipe
from captioner.distill.run import Run
from captioner.errors import CheckpointError, ConfigError, DataError
from captioner.manifest import Clip, write_manifest

RECIPE = """
[photos]
manifests = ["photos.jsonl"]
folders = ["more"]
pack = "pack"
size = 48
[distill]
teacher = "teacher"
student = "student"
output = "run"
batch_size = 8
warmup = 8
threads = 1
ema = 0.5
eval_size = 32
eval_teacher_size = 48
bf16 = false
[[phases]]
samples = 32
size = 32
mix = 0.5
[[phases]]
samples = 16
size = 32
teacher_size = 64
"""
CPU = torch.device("cpu")


def picture(number: int) -> Image.Image:
    """A coloured square somewhere on a plain ground."""
    chance = np.random.default_rng(number)
    pixels = np.empty((40, 60, 3), np.uint8)
    pixels[:] = chance.integers(0, 255, 3)
    y, x = chance.integers(0, 20, 2)
    pixels[y : y + 18, x : x + 18] = chance.integers(0, 255, 3)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, its photos (20 train, 6 val, 4 test that are no photos at all), a teacher and a student's config."""
    folder = tmp_path_factory.mktemp("distill")
    clips = []
    for number in range(28):
        split = "train" if number < 18 else "val" if number < 24 else "test"
        path = folder / f"{number}.png"
        if split == "test":
            path.write_bytes(b"a test photo is never opened")
        else:
            picture(number).save(path)
        clips.append(Clip(id=str(number), path=path, split=split, captions=()))
    write_manifest(folder / "photos.jsonl", clips)
    for split in ("train", "test"):
        (folder / "more" / split / "jumping").mkdir(parents=True)
        for number in (40, 41):
            picture(number).save(folder / "more" / split / "jumping" / f"{number}.png")
    torch.manual_seed(0)
    config = MobileNetV2Config(num_labels=5, depth_multiplier=0.1, min_depth=8)
    MobileNetV2ForImageClassification(config).save_pretrained(folder / "teacher")
    RegNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 24], depths=[1, 1, 1, 1], groups_width=8, layer_type="x"
    ).save_pretrained(folder / "student")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def recipe_of(house: Path, *overrides: str) -> DistillRecipe:
    return load_distill_recipe(house / "recipe.toml", overrides=overrides)


# What is looked at


def test_only_train_is_learned_from_and_only_val_is_measured_on(house: Path) -> None:
    photos = recipe_of(house).photos
    assert sorted(int(path.stem) for path in split_files(photos, split="train")) == [*range(18), 40, 41]
    assert sorted(int(path.stem) for path in split_files(photos, split="val")) == [*range(18, 24)]
    train = load_photos(photos, split="train")
    assert train.shape == (20, 48, 48, 3) and train.dtype == np.uint8
    assert len({frame.tobytes() for frame in train}) == 20


def test_a_photo_in_two_splits_is_refused(house: Path, tmp_path: Path) -> None:
    leaked = Clip(id="again", path=house / "27.png", split="train", captions=())  # a test photo of the other manifest
    write_manifest(tmp_path / "leak.jsonl", [leaked])
    photos = recipe_of(house).photos
    photos = replace(photos, manifests=(*photos.manifests, str(tmp_path / "leak.jsonl")))
    with pytest.raises(DataError, match=r"27\.png is in the split 'train' and in another"):
        load_photos(photos, split="train")


def test_a_folder_without_train_is_refused(house: Path) -> None:
    photos = replace(recipe_of(house).photos, folders=(str(house / "student"),))
    with pytest.raises(DataError, match="subfolder named train"):
        load_photos(photos, split="train")


def test_pixels_are_decoded_once_and_again_when_the_settings_change(house: Path, tmp_path: Path) -> None:
    photos = replace(recipe_of(house).photos, pack=str(tmp_path / "pack"))
    load_photos(photos, split="val")
    written = (tmp_path / "pack" / "val.npy").stat().st_mtime_ns
    load_photos(photos, split="val")
    assert (tmp_path / "pack" / "val.npy").stat().st_mtime_ns == written
    assert load_photos(replace(photos, size=40), split="val").shape == (6, 40, 40, 3)


def test_a_compact_pack_is_enough_where_the_photos_are_not(house: Path, tmp_path: Path) -> None:
    photos = replace(recipe_of(house).photos, pack=str(tmp_path / "pack"))
    before = np.array(load_photos(photos, split="train"))
    size = compact(photos, split="train", quality=90)
    assert size == (tmp_path / "pack" / "train.webp").stat().st_size < before.nbytes / 10
    (tmp_path / "pack" / "train.npy").unlink()
    away = replace(photos, manifests=(str(tmp_path / "not-here.jsonl"),), folders=())
    after = load_photos(away, split="train")
    assert after.shape == before.shape
    assert np.abs(after.astype(int) - before.astype(int)).mean() < 4


# Crops


def test_crops_are_the_same_for_the_same_chance_and_stay_in_range(house: Path) -> None:
    pixels = load_photos(recipe_of(house).photos, split="train")
    phase = Phase(samples=1, size=32, mix=1.0)

    def view(seed: int, source: np.ndarray | torch.Tensor = pixels) -> torch.Tensor:
        chance = torch.Generator().manual_seed(seed)
        return crop(source, torch.arange(8), size=32, phase=phase, chance=chance, device=CPU)

    assert view(1).shape == (8, 3, 32, 32)
    assert view(1).abs().max() <= 1
    assert torch.equal(view(1), view(1))
    assert torch.equal(view(1), view(1, torch.tensor(np.array(pixels))))
    assert not torch.equal(view(1), view(2))


def test_a_whole_crop_is_the_frame_itself_up_to_light_and_colour(house: Path) -> None:
    pixels = load_photos(recipe_of(house).photos, split="train")
    phase = Phase(samples=1, size=48, smallest=1.0)
    view = crop(pixels, torch.arange(8), size=48, phase=phase, chance=torch.Generator().manual_seed(3), device=CPU)
    for got, frame in zip(view, whole(pixels[:8], size=48), strict=True):
        both = [
            torch.corrcoef(torch.stack([got.mean(0).flatten(), f.mean(0).flatten()]))[0, 1]
            for f in (frame, frame.flip(-1))
        ]
        assert max(both) > 0.7  # sides may differ by 3:4, so not 1


# Networks


def test_folding_batch_norm_changes_nothing(house: Path) -> None:
    torch.manual_seed(1)
    model = AutoModel.from_pretrained(house / "teacher").eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    frames = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = model(frames).last_hidden_state
        after = fold_batch_norm(model, frames[:1])(frames).last_hidden_state
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_no_loss_where_the_prediction_is_the_teachers_own_map(house: Path) -> None:
    teacher = Teacher(str(house / "teacher"), device=CPU, bf16=False)
    student = Student(str(house / "student"), width=teacher.width)
    student.mean.normal_()
    student.place_std.uniform_(0.5, 2)
    target = teacher(torch.rand(4, 3, 64, 64))
    perfect = loss_terms(student, teacher, student.standardised(target), target, temperature=2.0)
    assert all(float(term) < 1e-6 for term in perfect.values())
    worse = loss_terms(student, teacher, student.standardised(target) + 1, target, temperature=2.0)
    assert float(worse["map"]) == pytest.approx(1)
    assert float(worse["class"]) > 0


def test_a_teacher_that_is_not_there_is_named(house: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no teacher at"):
        Run(recipe_of(house, "distill.teacher=nowhere"))


# A run


def test_loss_falls(house: Path) -> None:
    recipe = replace(
        recipe_of(house, "distill.learning_rate=0.003"), phases=(Phase(samples=480, size=32, smallest=0.9),)
    )
    run, pixels = Run(recipe), load_photos(recipe.photos, split="train")
    run.measure_teacher(pixels)
    losses = [float(run.learn(pixels)["loss"]) for _ in range(60)]
    assert run.done
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_a_resumed_run_ends_bit_for_bit_the_same(house: Path, tmp_path: Path) -> None:
    pixels = load_photos(recipe_of(house).photos, split="train")
    once = Run(recipe_of(house))
    once.measure_teacher(pixels)
    for _ in range(6):
        once.learn(pixels)
    killed = Run(recipe_of(house))
    killed.measure_teacher(pixels)
    for _ in range(3):
        killed.learn(pixels)
    killed.save(tmp_path)
    again = Run(recipe_of(house))
    assert again.resume(tmp_path)
    for _ in range(3):
        again.learn(pixels)
    assert again.samples == once.samples == 48
    for name, tensor in once.student.state_dict().items():
        assert torch.equal(tensor, again.student.state_dict()[name]), name
        assert torch.equal(once.average[name], again.average[name]), name


def test_a_damaged_state_is_named(house: Path, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"not a state")
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged"):
        Run(recipe_of(house)).resume(tmp_path)


def test_the_command_trains_stops_goes_on_and_exports(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(house / "recipe.toml")
    assert main([recipe, "distill.stop_minutes=1e-9"]) == 0
    assert main([recipe]) == 0
    folder = Path(capsys.readouterr().out.split()[-1])
    rows = [json.loads(line) for line in (house / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["samples"] for row in rows] == [8, 48]
    assert {"cosine", "explained", "agreement", "loss", "samples_per_second", "hours"} <= set(rows[0])
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors"}
    exported = load_cnn(EncoderConfig(source=str(folder)))
    run = Run(recipe_of(house))
    assert run.resume(house / "run")
    frames = torch.rand(1, 3, 32, 32)
    run.student.load_state_dict(run.average)
    with torch.no_grad():
        own = run.student.eval().body(frames).last_hidden_state
        torch.testing.assert_close(exported(frames).last_hidden_state, own, rtol=0.02, atol=0.02)


def test_a_later_run_starts_from_the_light_student(house: Path, tmp_path: Path) -> None:
    first = Run(recipe_of(house))
    first.measure_teacher(load_photos(recipe_of(house).photos, split="train"))
    first.save(tmp_path)
    second = Run(recipe_of(house, f"distill.start={tmp_path}/student.safetensors", "distill.seed=9"))
    for name, tensor in first.average.items():
        torch.testing.assert_close(second.average[name], tensor, rtol=1e-3, atol=1e-3)
    with pytest.raises(CheckpointError, match=r"distill\.start is .*not a student of this kind"):
        Run(recipe_of(house, "distill.start=recipe.toml"))


def test_settings_that_make_no_sense_are_refused(house: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'batch_size'"):
        recipe_of(house, "distill.batchsize=3")
    with pytest.raises(ConfigError, match="it must be in"):
        recipe_of(house, "distill.ema=1.0")
    (tmp_path / "empty.toml").write_text("[distill]\nseed = 1\n")
    with pytest.raises(ConfigError, match="no \\[\\[phases\\]\\]"):
        load_distill_recipe(tmp_path / "empty.toml")


def test_the_schedule_goes_through_its_phases(house: Path) -> None:
    recipe = recipe_of(house)
    assert recipe.samples == 48
    assert [recipe.phase_at(samples).teacher_size for samples in (0, 31, 32, 47, 48)] == [0, 0, 64, 64, 64]
    run = Run(recipe)
    seen, shown = run.views(load_photos(recipe.photos, split="train"), step=4, samples=32)
    assert seen.shape[-1] == 32 and shown.shape[-1] == 64
    assert torch.equal(seen, resized(shown, 32))
    run.samples = 0
    rates = []
    for run.samples in range(0, 49, 8):
        rates.append(run.learning_rate())
    assert rates[1] == max(rates) and rates[-1] == 0


def test_the_default_recipe_reads() -> None:
    recipe = load_distill_recipe(Path(__file__).parents[1] / "recipes" / "default" / "distill.toml")
    assert (Path(recipe.distill.student) / "config.json").is_file()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_kept() -> None:
    code = (
        "import resource, numpy, captioner.allocator as a; assert a.keep_freed_memory()\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "numpy.ones(2**26, 'u1'); before = faults()\n"
        "for _ in range(10): numpy.ones(2**26, 'u1')\n"
        "print(faults() - before)"
    )
    faults = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert faults < 1000  # ten times 64 MB are 164,000 pages where they come anew
