"""Settings: what is refused, and that nothing is lost on the way to a file and back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from captioner.config import from_dict, to_dict
from captioner.errors import ConfigError
from captioner.language.config import SearchConfig
from captioner.training.config import Recipe, load_recipe
from captioner.video.config import VideoConfig


def test_settings_survive_the_way_to_plain_values_and_back() -> None:
    recipe = from_dict(Recipe, {"search": {"beams": 3}, "data": {"manifests": ["a", "b"]}, "train": {"ema": 0}})
    assert recipe.search.beams == 3 and recipe.data.manifests == ("a", "b") and recipe.train.ema == 0.0
    assert from_dict(Recipe, to_dict(recipe)) == recipe


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"train": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"trian": {}}, "did you mean 'train'"),
        ({"train": 3}, "must be a table"),
        ({"train": {"epochs": "3"}}, "must be of type int"),
        ({"train": {"bf16": 1}}, "must be of type bool"),
        ({"train": {"epochs": True}}, "must be of type int"),
        ({"train": {"optimizer": "adamm"}}, "did you mean 'adam'"),
        ({"train": {"label_smoothing": 1.0}}, "must be at least 0 and below 1"),
        ({"encoder": {"mean": [0.5, 0.5]}}, "a list of 3"),
        ({"decoder": {"reset": "during"}}, "allowed: before, after"),
        ({"data": {"manifests": ["a"], "repeat": [1, 2]}}, "for each of the manifests"),
        ({"search": {"beams": 4, "groups": 3}}, "must divide beams"),
        ({"search": {"n_best": 9}}, "must be 1 to beams (5)"),
        ({"search": {"temperature": 1.0, "groups": 5}}, "exclude each other"),
        ({"video": {"frames": 0}}, "1 to 4096"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(values: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(Recipe, values)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_recipe_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "cnn").mkdir()
    path = tmp_path / "recipe.toml"
    path.write_text('[data]\nmanifests = ["m.jsonl"]\n[encoder]\nsource = "cnn"\n[tokenizer]\nsource = "owner/name"\n')
    recipe = load_recipe(path, overrides=("search.beams=2", "decoder.reset=before", "data.val=['v.jsonl']"))
    assert recipe.data.manifests == (str(tmp_path / "m.jsonl"),)
    assert recipe.data.val == (str(tmp_path / "v.jsonl"),)
    assert recipe.data.cache == str(tmp_path / "features")
    assert recipe.encoder.source == str(tmp_path / "cnn")
    assert recipe.tokenizer.source == "owner/name"
    assert recipe.search == SearchConfig(beams=2) and recipe.decoder.reset == "before"
    assert recipe.video == VideoConfig()


@pytest.mark.parametrize(("override", "said"), [("beams=2", "section.key=value"), ("search.beams", "section.key")])
def test_bad_overrides(tmp_path: Path, override: str, said: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("")
    with pytest.raises(ConfigError, match=said):
        load_recipe(path, overrides=(override,))


RECIPES = sorted((Path(__file__).parents[1] / "recipes").rglob("*.toml"))


@pytest.mark.parametrize("file", RECIPES, ids=[str(file.parent.name) + "-" + file.stem for file in RECIPES])
def test_a_recipe_here_means_what_it_says(file: Path) -> None:
    """Every setting of every recipe reaches the run; names of files become paths from the recipe's folder."""
    recipe = to_dict(load_recipe(file))
    for section, settings in tomllib.loads(file.read_text(encoding="utf-8")).items():
        for name, said in settings.items():
            assert to_plain(recipe[section][name], file.parent) == to_plain(said, file.parent), (section, name)


def to_plain(value: object, folder: Path) -> object:
    """A path as it is from ``folder``, whichever way it is written; anything else as it is."""
    if isinstance(value, list | tuple):
        return [to_plain(each, folder) for each in value]
    is_path = isinstance(value, str) and ("/" in value or (folder / value).exists())
    return (folder / str(value)).resolve() if is_path else value


def test_bad_recipes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[train\n")
    with pytest.raises(ConfigError, match="not a valid TOML"):
        load_recipe(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_recipe(tmp_path / "latin.toml")


def test_the_packaged_checkpoint_is_no_folder_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "default").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "r.toml").write_text('[train]\nstart = "default"\n')
    assert load_recipe(tmp_path / "r.toml").train.start == "default"
    sources = load_recipe(
        tmp_path / "r.toml", overrides=("train.start=", "encoder.source=default", "tokenizer.source=default")
    )
    assert sources.encoder.source == "default"
    assert sources.tokenizer.source == str((tmp_path / "default").resolve())  # no tokenizer has that name
    assert load_recipe(tmp_path / "r.toml", overrides=("train.start=mine",)).train.start == str(tmp_path / "mine")
