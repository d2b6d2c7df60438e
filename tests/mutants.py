"""Mutation test: change one thing in a module, run that module's own tests, and see whether one of them fails.

``python -m tests.mutants`` prints the share of mutants that tests kill, and every mutant that survives. It exits with
status 1 below ``--least``. Each mutant runs in a fork of a process that has loaded torch and the like already, which
takes a tenth of the time of a process of its own. Mutants change comparisons, arithmetic, conditions, numbers, flags
and returned values, or leave out a statement; docstrings, annotations, decorators and messages stay as they are.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.util
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("captioner", "data", "demo", "eval", "tests")
ROOMS = {
    "search": (
        ("captioner/language/search.py",),
        ("tests/language/test_search.py", "tests/language/test_grounding.py"),  # the second beam
    ),
    "metrics": (
        tuple(f"captioner/metrics/{name}.py" for name in ("bleu", "cider", "content", "ngrams", "rouge", "text")),
        ("tests/metrics/test_metrics.py",),
    ),
    "reranker": (("captioner/language/reranker.py",), ("tests/language/test_reranker.py",)),
    "calibration": (("captioner/language/calibration.py",), ("tests/language/test_calibration.py",)),
    "journal": (("captioner/archive/journal.py",), ("tests/archive/test_journal.py",)),
    "subtitles": (("captioner/outputs/subtitles.py",), ("tests/outputs/test_subtitles.py",)),
}
"""Of each room, its modules and the tests that must kill their mutants."""

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """One change to one module."""

    path: str
    line: int
    tree: ast.Module
    change: str
    """What stood there, and what stands there now."""


@dataclass(frozen=True)
class Result:
    """What the tests made of a room's mutants."""

    room: str
    tried: int
    survivors: tuple[Mutant, ...]

    @property
    def killed(self) -> int:
        return self.tried - len(self.survivors)


class _Loader(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    """Loads a mutant in place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._name = mutant.path.removesuffix(".py").replace("/", ".")

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, ROOT / self._mutant.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.tree, str(ROOT / self._mutant.path), "exec"), module.__dict__)


def mutants(path: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    text = (ROOT / path).read_text(encoding="utf-8")
    tree = ast.parse(text)
    for place, node in enumerate(_nodes(tree)):
        for number, changed in enumerate(_changes(node)):
            other = copy.deepcopy(tree)
            twin = list(_nodes(other))[place]
            before = ast.unparse(twin)
            after = list(_changes(twin))[number]
            assert ast.dump(after) == ast.dump(changed)
            _replace(other, twin, after)
            change = f"{before.splitlines()[0]}  ->  {ast.unparse(after).splitlines()[0]}"
            yield Mutant(path, _line(node), ast.fix_missing_locations(other), change)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """What may be mutated."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "bases") or isinstance(tree, ast.JoinedStr | ast.Raise):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Assert):  # for our own bugs
                continue
            yield child
            yield from _nodes(child)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in place of a node."""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                yield _with(node, ops=[*ops[:place], _SWAPS[type(op)](), *ops[place + 1 :]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _SWAPS:
            yield _with(node, op=_SWAPS[type(op)]())
        case ast.BoolOp(op=op):
            yield _with(node, op=_SWAPS[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield _with(node, value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield _with(node, value=value + 1)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if not isinstance(test, ast.Compare):
            yield _with(node, test=ast.UnaryOp(op=ast.Not(), operand=test))
        case ast.comprehension(ifs=[_, *_]):
            yield _with(node, ifs=[])
        case ast.Return(value=ast.expr()) if ast.unparse(node) != "return None":
            yield _with(node, value=ast.Constant(value=None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()


def _line(node: ast.AST) -> int:
    return int(getattr(node.ifs[0] if isinstance(node, ast.comprehension) else node, "lineno", 0))


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if child is old else child for child in value]


def _run(tests: Sequence[str], mutant: Mutant | None, *, seconds: int) -> int:
    """Run tests in a fork of this process; its id. ``seconds`` are of the processor."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if mutant is not None:
            sys.meta_path.insert(0, _Loader(mutant))
        status = pytest.main(["-x", "-p", "no:cacheprovider", *tests])
    except BaseException:
        status = 1
    os._exit(int(status))


def _warm(tests: Sequence[str]) -> float:
    """Run the tests once as they are, and load what they load of others' modules; their seconds of the processor."""
    with tempfile.NamedTemporaryFile("r") as names:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            status = pytest.main(["-x", "-p", "no:cacheprovider", *tests])
            Path(names.name).write_text("\n".join(sys.modules))
            os._exit(int(status))
        _, status, used = os.wait4(child, 0)
        if status:
            sys.exit(f"{' '.join(tests)} fails without any mutant")
        for name in names.read().splitlines():
            if name.partition(".")[0] in ("torch", "numpy", "transformers", "tokenizers", "nltk", "hypothesis", "av"):
                try:
                    importlib.import_module(name)
                except Exception:  # one that can only be loaded in the order of those tests
                    continue
    return used.ru_utime + used.ru_stime


def run_room(room: str, *, sample: int, seed: int, jobs: int) -> Result:
    """Try a room's mutants, at most ``sample`` of them, chosen by ``seed``."""
    paths, tests = ROOMS[room]
    chosen = [mutant for path in paths for mutant in mutants(path)]
    if sample and sample < len(chosen):
        chosen = random.Random(seed).sample(chosen, sample)
    took = _warm(tests)
    seconds = int(2 * took) + 5
    survivors: list[Mutant] = []
    running: dict[int, tuple[Mutant, float]] = {}
    waiting = list(reversed(chosen))
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[_run(tests, mutant, seconds=seconds)] = (mutant, time.monotonic() + 20 * seconds)
        child, status = os.waitpid(-1, os.WNOHANG)
        if child in running:
            mutant, _ = running.pop(child)
            if status == 0:
                survivors.append(mutant)
            continue
        for hung in [child for child, (_, until) in running.items() if time.monotonic() > until]:
            os.killpg(hung, signal.SIGKILL)  # it waits for something that never comes: killed
        time.sleep(0.01)
    return Result(room, len(chosen), tuple(sorted(survivors, key=lambda m: (m.path, m.line))))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n\n")[0])
    parser.add_argument("rooms", nargs="*", help=f"of: {', '.join(ROOMS)} (default: all)")
    parser.add_argument("--sample", type=int, default=100, help="mutants a room; 0: all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the sample (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--least", type=float, default=0.9, help="share of each room (default: %(default)s)")
    options = parser.parse_args()
    unknown = set(options.rooms) - set(ROOMS)
    if unknown:
        parser.error(f"there is no room {', '.join(sorted(unknown))}; allowed: {', '.join(ROOMS)}")
    status = 0
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.update(OMP_NUM_THREADS="1", HYPOTHESIS_STORAGE_DIRECTORY=scratch, PYTHONDONTWRITEBYTECODE="1")
        os.chdir(ROOT)
        for room in options.rooms or ROOMS:
            result = run_room(room, sample=options.sample, seed=options.seed, jobs=options.jobs)
            share = result.killed / result.tried
            print(f"{room}: {result.killed} of {result.tried} mutants killed, {100 * share:.0f} %", flush=True)
            for mutant in result.survivors:
                print(f"  {mutant.path}:{mutant.line}: {mutant.change}", flush=True)
            status = status or share < options.least
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
