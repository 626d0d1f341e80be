# SPDX-License-Identifier: MIT
"""`VMRACE_COMPILED=1 pip install .` has the explorer compiled by mypyc: the same source, the same runs, less time. Needs a C compiler.

Otherwise nothing is compiled, and this file is not needed: all else is in pyproject.toml.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig

from setuptools import setup

COMPILED = [f"harness/explore/{name}.py" for name in ("access", "event", "wakeup", "optimal", "classes", "bounded")]
MYPYC = "mypy>=1.17"


def extensions():
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        sys.exit(f"VMRACE_COMPILED=1 needs a C compiler, and {compiler} is not there; without it vmrace is installed as plain Python")
    if importlib.util.find_spec("mypyc") is None:
        sys.exit(f"VMRACE_COMPILED=1 needs {MYPYC}, which pip only fetches where it may build in isolation: pip install '{MYPYC}'")
    from mypyc.build import mypycify

    return mypycify(COMPILED, group_name="vmrace", debug_level="0")


if os.environ.get("VMRACE_COMPILED", "0") in ("", "0"):
    setup()
elif "editable_wheel" in sys.argv:
    sys.exit("VMRACE_COMPILED=1 is not for pip install -e: what is compiled would not follow the source")
elif "bdist_wheel" in sys.argv or "build_ext" in sys.argv:
    setup(ext_modules=extensions())
else:
    setup(setup_requires=[MYPYC] if "egg_info" in sys.argv else [])        # pip asks what is needed to build
