"""A process of several under torchrun in the tests: run after run, and it dies at the first save of the last."""

from __future__ import annotations

import os
import signal
import sys

from captioner.cli import main
from captioner.training.train import Trainer


def save_and_die(trainer: Trainer) -> None:
    SAVE(trainer)
    os.kill(os.getpid(), signal.SIGKILL)


SAVE = Trainer._save_state

if __name__ == "__main__":
    for arguments in sys.argv[1:]:
        if arguments == sys.argv[-1]:
            Trainer._save_state = save_and_die  # type: ignore[method-assign]
        assert main(arguments.split()) == 0
