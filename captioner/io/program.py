"""What surrounds the work of every program here: signals, streams, memory and errors, told in one line each.

``captioner``, ``python -m eval``, ``python -m data`` and the others share it, so that they end alike.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from captioner.errors import CaptionerError, UsageError, first_line
from captioner.io.platform import allowed_bytes, peak_bytes, say_anything
from captioner.io.signals import terminable

EXIT = (
    "exit status: 0 success, 1 failure of some input (named on stderr), 2 wrong command, "
    "130 stopped by Ctrl-C, SIGTERM or SIGHUP"
)
TORCH_BYTES = 1150 * 2**20
"""The address space below which torch, or a library that it loads, is likely to abort the process."""

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None), errno.EIO)
_NO_MEMORY = re.compile(
    r"cannot allocate memory|can't allocate memory|failed to map segment|not enough memory|out of memory|bad_alloc|"
    r"can't start new thread|thread creation failed|could not create a primitive",
    re.IGNORECASE,
)


def run_program(name: str, parse: Callable[[], argparse.Namespace], *, lasting: bool) -> int:
    """Parse, call ``run`` of the options, and return the exit status; ``name`` begins each line on stderr.

    ``lasting``: the process is ours, and signals are heard until it has ended. ``CAPTIONER_DEBUG`` lets errors through.
    """
    _open_closed_streams()
    say_anything()
    status = 1
    with terminable(status=lambda: status, lasting=lasting):
        try:
            options = parse()
            _require_current_folder()
            _require_memory(getattr(options, "least_bytes", 0))
            status = int(options.run(options))
            _flush()
        except SystemExit as end:  # --help, --version, a wrong command
            status = _ended(name, end.code)
            raise SystemExit(status) from None
        except KeyboardInterrupt:
            status = _said(name, "stopped", 130)
        except BrokenPipeError:  # the reader of stdout has gone (`| head`)
            _forget_stdout()
        except Exception as error:
            line = _line_of(error)
            if line is None or os.environ.get("CAPTIONER_DEBUG"):
                raise
            status = _said(name, line, 2 if isinstance(error, UsageError) else 1)
    return status


def _ended(name: str, code: object) -> int:
    """The exit status of what argparse ends: its own, or 1 where its text could not be written."""
    try:
        _flush()
    except BrokenPipeError:
        pass
    except CaptionerError as error:
        return _said(name, str(error), 1)
    return code if isinstance(code, int) else 1


def _flush() -> None:
    """Write out what stdout holds back; where that fails, leave nothing for the interpreter to try again at its end.

    Raises BrokenPipeError, and CaptionerError for all else.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        raise
    except OSError as error:
        _forget_stdout()
        raise CaptionerError(f"cannot write to stdout: {error.strerror}") from error


def _forget_stdout() -> None:
    with contextlib.suppress(OSError, ValueError):  # one that is no file of the system
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(name: str, line: str, status: int) -> int:
    """Say one line on stderr, where anyone still listens, and give the status back."""
    try:
        _flush()
    except BrokenPipeError:
        pass
    except CaptionerError as error:
        line = str(error)  # what stopped the program, which a print could not say
    with contextlib.suppress(OSError, ValueError):
        print(f"{name}: {line}", file=sys.stderr, flush=True)
    return status


def _line_of(error: BaseException) -> str | None:
    """What an error says to people; None for one that is a fault of ours."""
    if isinstance(error, CaptionerError):
        return str(error)
    if _lacks_memory(error):
        return _no_memory()
    if isinstance(error, ImportError):
        return f"{error.name or 'a package'} cannot be imported: {first_line(error)}; `captioner doctor` checks all"
    if isinstance(error, OSError):  # of the system, about a file that no command said more of
        named = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        if not named and error.errno in _FULL:  # what writes a file names it
            named = "cannot write to stdout or a temporary file: "
        return f"{named}{error.strerror or error}"
    return None


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether the error says that there is too little memory, directly or through a library's error."""
    allowed = allowed_bytes()
    if allowed and peak_bytes() > 0.8 * allowed:  # libraries call it by all kinds of names
        return True
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _no_memory() -> str:
    allowed = allowed_bytes()
    limit = f" (`ulimit -v` allows {allowed / 2**20:,.0f} MB)" if allowed else ""
    return f"there is not enough memory{limit}; close other programs, or allow more"


def _require_memory(least_bytes: int) -> None:
    """Raise CaptionerError where less may be taken: libraries end the process where they get none."""
    allowed = allowed_bytes()
    if allowed is not None and allowed < least_bytes:
        raise CaptionerError(
            f"there is not enough memory: `ulimit -v` allows {allowed / 2**20:,.0f} MB, and torch with a model takes "
            f"{least_bytes / 2**20:,.0f} MB of addresses; allow more"
        )


def _require_current_folder() -> None:
    """Raise CaptionerError where the current folder has been deleted: libraries of torch end the process there."""
    try:
        Path.cwd()
    except OSError as error:
        raise CaptionerError(
            f"the current folder cannot be used ({error.strerror}): it was deleted or moved; cd to another one"
        ) from error


def _open_closed_streams() -> None:
    """Put /dev/null where a standard stream was closed (``>&-``): the next file opened would take its place."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(file)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the life of the process
