# SPDX-License-Identifier: MIT
"""`VMRACE_COMPILED=1 pip install .` has the explorer compiled by mypyc: the same source, the same runs, less time. Needs a C compiler.

Otherwise nothing is compiled, and this file is not needed: all else is in pyproject.toml.
"""

import importlib.util
import os
import sys

from setuptools import setup

COMPILED = [f"harness/explore/{name}.py" for name in ("access", "event", "wakeup", "optimal", "shared")]
MYPYC = "mypy>=1.10"

if not os.environ.get("VMRACE_COMPILED"):
    setup()
elif "editable_wheel" in sys.argv:
    sys.exit("VMRACE_COMPILED=1 is not for pip install -e: what is compiled would not follow the source")
elif importlib.util.find_spec("mypyc") is None:
    setup(setup_requires=[MYPYC])           # pip asks first what is needed to build
else:
    from mypyc.build import mypycify

    setup(ext_modules=mypycify(COMPILED, group_name="vmrace", debug_level="0"))
