# SPDX-License-Identifier: MIT
"""Ctrl-C ends a run on either backend, and the next run is as good as any."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, time
from vmrace import Program, cell
from vmrace.harness.functions.program import Runner
from vmrace.harness.schedulers import NoPreempt

def make():
    x = cell("x", value=0)
    def add():
        for _ in range(30):
            x.value += 1
    return Program([add, add], check=lambda results: x.value == 60)

me, end = os.getpid(), time.monotonic() + 2
if not os.fork():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while time.monotonic() < end:
        time.sleep(0.007)
        os.kill(me, signal.SIGINT)
    os._exit(0)
runner, ended = Runner(make, backend=sys.argv[1]), 0
while time.monotonic() < end - 0.1:
    try:
        while True:
            titles = runner.run(NoPreempt()).titles
            assert titles == [], titles
    except KeyboardInterrupt:
        ended += 1
signal.signal(signal.SIGINT, signal.SIG_IGN)
assert ended > 20, ended
print("as good as any:", runner.run(NoPreempt()).titles)
"""


@pytest.mark.parametrize("backend", ["greenlets", "threads"])
def test_ctrl_c_ends_a_run_and_breaks_no_later_one(backend: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, backend], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "as good as any: []\n"), done.stderr
