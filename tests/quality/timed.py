# SPDX-License-Identifier: MIT
"""A command, and the processor time that it took, while others may run beside it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile
from collections.abc import Sequence


def timed(command: Sequence[str], cwd: pathlib.Path | None = None) -> tuple[str, float]:
    """Run a command. Returns its output, and the processor time of it and its child processes, in seconds."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, cwd=cwd)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return out.read(), used.ru_utime + used.ru_stime
