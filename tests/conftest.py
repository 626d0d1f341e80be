# SPDX-License-Identifier: MIT
"""An installation of vmrace from a wheel, made once for all tests and all workers of xdist."""

from __future__ import annotations

import fcntl
import os
import pathlib
import subprocess
import sys
import venv

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the folder of programs of a virtual environment that has vmrace from a wheel, and pytest. To make it takes half a minute."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with open(place / "installed.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)        # the first worker makes it, and the others wait
        if not (place / "installed" / "made").exists():
            _install(place / "installed")
            (place / "installed" / "made").touch()
    return place / "installed" / "venv" / "bin"


def _install(place: pathlib.Path) -> None:
    """Build the wheel with the setuptools of the tests, and install it in an environment that needs no pip of its own."""
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", place, ROOT]
    place.mkdir(exist_ok=True)
    subprocess.run(build, check=True, cwd=place, timeout=900)
    wheel, = place.glob("vmrace-*.whl")
    venv.create(place / "venv")
    install = [*pip, "--python", place / "venv/bin/python", "install", "-q", "--no-compile", wheel, "pytest", "pytest-xdist"]
    subprocess.run(install, check=True, cwd=place, timeout=900)
