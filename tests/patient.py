"""A program that says how far it is until it is asked to stop, and then comes to a good end: ``python -m``."""

from __future__ import annotations

import sys
import time

from captioner.io.signals import Stop, terminable
from captioner.io.status import Status


def main() -> int:
    status = Status(quiet=True)
    with terminable(), Stop() as stop:
        stop.keep()
        for step in range(3000):
            status.show("working", share=step / 3000)
            if stop.asked:
                print("tests.patient: what was done is kept", file=sys.stderr)
                return 130
            time.sleep(0.01)
    return 0


if __name__ == "__main__":
    sys.exit(main())
