# SPDX-License-Identifier: MIT
"""A command, and the processor time that it took, while others may run beside it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

PR_SET_CHILD_SUBREAPER = 36


def timed(command: Sequence[str], cwd: pathlib.Path | None = None) -> tuple[str, float]:
    """Run a command. Returns its output, and the processor time of it and of all processes that it began, in seconds."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([sys.executable, __file__, *command], stdout=out, cwd=cwd)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return out.read(), used.ru_utime + used.ru_stime


def main() -> int:
    """Run a command as the parent of every process whose own parent ends before it. Nobody else would count the time of libFuzzer's."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    code = subprocess.run(sys.argv[1:], check=False).returncode
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return code


if __name__ == "__main__":
    sys.exit(main())
