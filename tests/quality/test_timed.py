# SPDX-License-Identifier: MIT
"""The processor time of a command has that of a process whose parent was killed before it ended."""

from __future__ import annotations

import sys

from tests.quality.timed import timed

ORPHAN = """
import os, signal, time
if not os.fork():
    if not os.fork():
        while time.process_time() < 0.5:
            pass
        print("done", flush=True)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
"""


def test_the_time_of_an_orphan_counts() -> None:
    text, seconds = timed([sys.executable, "-c", ORPHAN])
    assert text == "done\n"
    assert seconds >= 0.5
