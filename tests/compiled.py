# SPDX-License-Identifier: MIT
"""Run a module with the explorer compiled (setup.py), in a copy of this tree, so that this tree still runs from source.

    python -m tests.compiled pytest -n auto tests/explore
    python -m tests.compiled tests.benchmarks.explore

Needs a C compiler, and mypy, which the tests need anyway. The exit code is that of the module; without a compiler it is 0, and a line
says so.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
NOT_NEEDED = shutil.ignore_patterns(".git", ".*-venv", ".*cache*", ".hypothesis", ".vmrace", "*.egg-info", "build", "__pycache__")


def build(tree: pathlib.Path) -> str:
    """Build a compiled copy at `tree`; return the error, or an empty text."""
    shutil.copytree(ROOT, tree, ignore=NOT_NEEDED, symlinks=True)
    made = subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=tree, capture_output=True, text=True,
                          env={**os.environ, "VMRACE_COMPILED": "1"})
    if made.returncode:
        return made.stdout + made.stderr
    asked = [sys.executable, "-c", "from vmrace.harness.explore import is_compiled; print(is_compiled())"]
    said = subprocess.run(asked, cwd=tree, capture_output=True, text=True).stdout.strip()
    return "" if said == "True" else f"what was compiled is not what is run: {said}"


def main() -> int:
    if len(sys.argv) == 1:
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as directory:
        tree = pathlib.Path(directory, "vmrace")
        wrong = build(tree)
        if wrong:
            print(f"nothing was run: {wrong.strip()}")
            return 0 if "needs a C compiler" in wrong else 3
        return subprocess.run([sys.executable, "-m", *sys.argv[1:]], cwd=tree).returncode


if __name__ == "__main__":
    sys.exit(main())
