# SPDX-License-Identifier: MIT
"""A process for a user's code, watched by the process that forked it.

The code may do anything to its process: `os._exit`, `exec`, a loop in C that no signal ends, a crash. The watching process therefore
believes only an exit code that comes through a pipe, kills a process that does not end in time, and reports the findings so far.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from typing import Any

from vmrace.fuzz.run import stop_request
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED
from vmrace.fuzz.text.terminal import echo
from vmrace.fuzz.text.times import ASKED_SECONDS
from vmrace.harness import stop

LOOK_SECONDS = 0.2          # between two checks that the process is alive

_pipe: int | None = None    # to the process that watches this one


def begin(seconds: float = 1e9) -> None:
    """Fork, and return in the new process. The old one watches it for at most `seconds`, and exits with its exit code.

    Do nothing where output is collected in this process, and outside the main thread.
    """
    collected = sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__
    if _pipe is not None or collected or threading.current_thread() is not threading.main_thread():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        _begin_apart(theirs)
        return
    os.close(theirs)
    with stop_request.at_once(lambda: os.kill(pid, signal.SIGKILL)):
        sys.exit(_Watched(pid, ours, time.monotonic() + seconds).code())


def _begin_apart(pipe: int) -> None:
    global _pipe
    _pipe = pipe
    stop_request.begin_apart()
    stop.belong(raises=True)


def say(**what: Any) -> None:
    """Send to the watching process, if there is one: `hit` or `kept` (a path), `found` (a title), `code`."""
    if _pipe is not None:
        with contextlib.suppress(OSError):
            os.write(_pipe, json.dumps(what).encode() + b"\n")


class _Watched:
    """A watched process, the pipe from it, and the time (of time.monotonic) at which it is killed."""

    def __init__(self, pid: int, pipe: int, until: float):
        self.pid, self.pipe, self.until = pid, pipe, until
        self.said = b""
        self.open = True
        self.killed = ""

    def code(self) -> int:
        """Wait for its end, and return its exit code."""
        status = self._wait()
        told = [json.loads(line) for line in self.said.split(b"\n") if line.endswith(b"}")]
        codes = [one["code"] for one in told if "code" in one]
        if codes:
            return int(codes[-1])
        ending = self.killed or (f"killed by signal {-status}" if status < 0 else f"it ended with exit code {status}, and said none")
        for path in [one["hit"] for one in told if "hit" in one]:
            if {"kept": path} not in told:
                _complain(f"seen and not confirmed, and kept as it was found: {path}")
        if stop.asked():
            return INTERRUPTED
        _complain(f"the process that ran the program was lost: {ending}")
        return CHANGED if any("found" in one for one in told) else COULD_NOT

    def _wait(self) -> int:
        while True:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._read()
                return os.waitstatus_to_exitcode(status)
            if stop.asked():
                self.until = min(self.until, time.monotonic() + ASKED_SECONDS)
            if time.monotonic() > self.until and not self.killed:
                self.killed = "it did not end in time"
                os.kill(self.pid, signal.SIGKILL)

    def _read(self) -> None:
        """Read a message of the process, if one comes within LOOK_SECONDS."""
        if not self.open:
            time.sleep(LOOK_SECONDS / 10)
        elif select.select([self.pipe], [], [], LOOK_SECONDS)[0]:
            part = os.read(self.pipe, 1 << 16)
            self.said += part
            self.open = bool(part)


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):
        echo(f"vmrace: {text}", err=True)
