# SPDX-License-Identifier: MIT
"""A Ctrl-C that comes while a task runs ends the run on either backend, and the next run is as good as any."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, subprocess, sys, time
from vmrace import Program, cell
from vmrace.harness.functions.program import Runner
from vmrace.harness.schedulers import NoPreempt

asked = False

def make():
    x = cell("x", value=0)
    def add():
        for number in range(30):
            x.value += 1
            if asked and number == 10:
                subprocess.run(["kill", "-INT", str(os.getpid())], check=True)
                end = time.monotonic() + 0.02
                while time.monotonic() < end:       # the other thread must not run meanwhile
                    pass
    return Program([add, add], check=lambda results: x.value == 60)

runner = Runner(make, backend=sys.argv[1])
for number in range(20):
    asked = number % 2 == 1
    try:
        assert runner.run(NoPreempt()).titles == []
        ended = False
    except KeyboardInterrupt:
        ended = True
    assert ended == asked, number
print("as good as any")
"""


@pytest.mark.parametrize("backend", ["greenlets", "threads"])
def test_ctrl_c_ends_a_run_and_breaks_no_later_one(backend: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, backend], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "as good as any\n"), done.stderr
