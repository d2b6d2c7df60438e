"""Search spaces: TOML files like a recipe, with lists and ranges in place of values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.config import from_dict, read_toml, require, to_dict
from captioner.errors import ConfigError
from captioner.training.config import Recipe

_RANGE = {"low", "high", "step", "log"}


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    values: tuple[Any, ...]

    def grid(self) -> list[Any]:
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both included; whole where both are."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)

    def grid(self) -> list[Any]:
        """Its values, ``step`` apart; raises ConfigError where it has no step."""
        require(self.step is not None, "a grid needs a step, or a list of values")
        assert self.step is not None
        count = int((self.high - self.low) / self.step + 1e-9)
        return [self.low + i * self.step for i in range(count + 1)]


Space = dict[str, Choices | Range]
"""By ``section.key``."""


def read_space(path: str | Path, recipe: Recipe) -> Space:
    """``[train] learning_rate = {low = 1e-4, high = 1e-2, log = true}``, ``batch_size = [32, 64]`` and so on.

    Raises ConfigError on a key that the recipe does not have, a value that it would refuse, or an empty space.
    """
    space: Space = {}
    for section, settings in read_toml(Path(path)).items():
        require(isinstance(settings, dict), f"{path}: {section} must be a table of settings")
        for key, value in settings.items():
            space[f"{section}.{key}"] = _parse(value, f"{path}: {section}.{key}")
    require(bool(space), f"{path} holds nothing to search")
    for name, choice in space.items():
        for value in choice.values if isinstance(choice, Choices) else (choice.low, choice.high):
            try:
                with_settings(recipe, {name: value})
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}") from error
    return space


def _parse(value: Any, where: str) -> Choices | Range:
    if isinstance(value, list):
        require(len(value) > 0, f"{where} is an empty list")
        return Choices(tuple(value))
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {value!r}; give a list of values, or low and high")
    if unknown := set(value) - _RANGE:
        raise ConfigError(f"{where} has no {sorted(unknown)[0]!r}; known: low, high, step, log")
    low, high = value.get("low"), value.get("high")
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (low, high))
    require(numbers and low < high, f"{where} needs numbers low and high, low below high")  # type: ignore[operator]
    log, step = value.get("log", False), value.get("step")
    require(not (log and (step or low <= 0)), f"{where}: log takes no step, and low above 0")  # type: ignore[operator]
    require(step is None or step > 0, f"{where}: step must be above 0")
    return Range(low, high, step, log)  # type: ignore[arg-type]


def with_settings(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """The recipe with ``section.key`` values replaced; raises ConfigError as a recipe does."""
    plain = to_dict(recipe)
    for name, value in values.items():
        section, _, key = name.partition(".")
        require(section in plain, f"a recipe has no section {section!r}; known: {', '.join(plain)}")
        plain[section][key] = value
    return from_dict(Recipe, plain)
