# SPDX-License-Identifier: MIT
"""The rooms at the top of the repository are installed as one package: `harness` as `vmrace.harness`, and so on. All else is in
pyproject.toml.

`VMRACE_COMPILED=1 pip install .` has the explorer compiled by mypyc: the same source, the same runs, less time. Needs a C compiler.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig

from setuptools import find_packages, setup

ROOMS = ("harness", "variants", "fuzz")
PLACES = {"vmrace": "vmrace", **{f"vmrace.{room}": room for room in ROOMS}}
PACKAGES = ["vmrace", *(f"vmrace.{name}" for room in ROOMS for name in (room, *(f"{room}.{inner}" for inner in find_packages(room))))]
# by the links that give the rooms their names: mypyc names a module by where it finds it
COMPILED = [f".types/vmrace/harness/explore/{name}.py" for name in (
    "access", "bits", "bounded", "classes", "cpus", "event", "event_builder", "happens_before", "optimal", "prefix", "reversal",
    "run_record", "runnable", "search_tree", "wakeup")]
MYPYC = "mypy>=1.17"


def extensions():
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        sys.exit(f"VMRACE_COMPILED=1 needs a C compiler, and {compiler} is not there; without it vmrace is installed as plain Python")
    if importlib.util.find_spec("mypyc") is None:
        sys.exit(f"VMRACE_COMPILED=1 needs {MYPYC}, which pip only fetches where it may build in isolation: pip install '{MYPYC}'")
    from mypyc.build import mypycify

    return mypycify(COMPILED, group_name="vmrace", debug_level="0")


more: dict = {}
if os.environ.get("VMRACE_COMPILED", "0") not in ("", "0"):
    if "editable_wheel" in sys.argv:
        sys.exit("VMRACE_COMPILED=1 is not for pip install -e: what is compiled would not follow the source")
    elif "bdist_wheel" in sys.argv or "build_ext" in sys.argv:
        more = {"ext_modules": extensions()}
    elif "egg_info" in sys.argv:
        more = {"setup_requires": [MYPYC]}          # pip asks what is needed to build
setup(packages=PACKAGES, package_dir=PLACES, package_data={"vmrace": ["py.typed"]}, **more)
