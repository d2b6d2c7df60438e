"""Settings as frozen dataclasses, to and from plain values and TOML; each room has its own in its ``config`` module.

An unknown key, a wrong type or a value out of range is a :class:`~captioner.errors.ConfigError` that names
the key, what is allowed and the nearest known name. ``to_dict`` and ``from_dict`` are inverse.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from captioner.errors import ConfigError, DataError, nearest
from captioner.safe.text import read_text, split_lines

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a setting is for and which numbers it takes: options of commands and sliders of the page are made of it."""

    help: str
    metavar: str = "N"
    low: float | None = None
    high: float | None = None
    above: float | None = None
    """It must be more than this."""
    below: float | None = None
    """It must be less than this."""
    slider: Slider | None = None
    """How the page shows it; None: the page does not."""

    @property
    def allowed(self) -> str:
        """The numbers that it takes, after "it must be"."""
        if self.low is not None and self.high is not None:
            return f"{self.low} to {self.high}"
        limits = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(f"{what} {limit}" for what, limit in limits.items() if limit is not None)

    def takes(self, value: Any) -> bool:
        """Whether a number is allowed; other values always are."""
        if not isinstance(value, int | float):
            return True
        return (
            (self.low is None or self.low <= value)
            and (self.high is None or value <= self.high)
            and (self.above is None or self.above < value)
            and (self.below is None or value < self.below)
        )


class Slider(typing.NamedTuple):
    """A slider of the page."""

    label: str
    low: float
    high: float
    step: float


def setting(
    default: T,
    help: str,
    *,
    metavar: str = "N",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    slider: Slider | None = None,
) -> T:
    """A field of a settings class that says all about itself: see :class:`Setting`."""
    said = Setting(help=help, metavar=metavar, low=low, high=high, above=above, below=below, slider=slider)
    return dataclasses.field(default=default, metadata={"setting": said})


def settings_of(config: Any) -> dict[str, Setting]:
    """Those of a settings class, or of one of its objects, by the fields' names."""
    return {f.name: f.metadata["setting"] for f in dataclasses.fields(config) if "setting" in f.metadata}


def check_settings(config: Any, section: str) -> None:
    """Raise ConfigError where a number is not one that its setting takes."""
    for name, said in settings_of(config).items():
        value = getattr(config, name)
        require(said.takes(value), f"{section}.{name} is {value}; it must be {said.allowed}")


def to_dict(config: Any) -> dict[str, Any]:
    """The settings as plain values (for JSON or TOML)."""
    return dataclasses.asdict(config)


def from_dict(cls: type[T], values: Any, *, where: str = "") -> T:
    """Settings from plain values; raises ConfigError on anything unknown, of a wrong type or out of range."""
    label = where or cls.__name__
    if not isinstance(values, dict):
        raise ConfigError(f"{label} must be a table of settings, not {values!r}")
    hints = typing.get_type_hints(cls)
    known = {}
    for key, value in values.items():
        if key not in hints:
            near = nearest(str(key), hints)
            hint = f"did you mean {near!r}?" if near else f"known: {', '.join(hints)}"
            raise ConfigError(f"{label} has no setting {key!r}; {hint}")
        known[key] = _coerce(hints[key], value, f"{where}.{key}" if where else str(key))
    return cls(**known)


def _coerce(hint: Any, value: Any, name: str) -> Any:
    """``value`` as ``hint`` wants it: a list becomes a tuple, an int a float; all else must match."""
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where=name)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in args:
            near = nearest(str(value), [str(a) for a in args])
            hint_text = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(map(str, args))}{hint_text}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or (args[-1] is not ... and len(value) != len(args)):
            raise ConfigError(
                f"{name} is {value!r}; it must be a list" + ("" if args[-1] is ... else f" of {len(args)}")
            )
        inner = [args[0]] * len(value) if args[-1] is ... else list(args)
        return tuple(_coerce(h, v, name) for h, v in zip(inner, value, strict=True))
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _coerce(next(a for a in args if a is not type(None)), value, name)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{name} is {value!r}; it must be of type {hint.__name__}")
    return value


def first_difference(before: dict[str, Any], now: dict[str, Any], *, table: str = "") -> str:
    """The first setting in which two sets of plain values differ, for people."""
    for name, value in now.items():
        was = before.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            if value != was:
                return first_difference(was, value, table=f"{table}{name}.")
        elif was != value:
            return f"{table}{name} was {was!r}, now {value!r}" if name in before else f"{table}{name} is new"
    return "it has a setting that this version does not know"


def read_toml(path: Path, *, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """The tables of a TOML file, with ``section.key=value`` overrides applied; raises ConfigError."""
    try:
        values = tomllib.loads("\n".join(split_lines(read_text(path, what="the recipe"))))
    except DataError as error:
        raise ConfigError(str(error)) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not a valid TOML file: {error}") from error
    for override in overrides:
        dotted, equals, text = override.partition("=")
        section, dot, key = dotted.strip().partition(".")
        if not (equals and dot):
            raise ConfigError(f"{override!r} is not section.key=value")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        values.setdefault(section, {})[key] = value
    return values
