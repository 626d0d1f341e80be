# SPDX-License-Identifier: MIT
"""The search path of modules: the current folder comes last.

Python puts it first for `python -m` and for an empty part of PYTHONPATH. A file `random.py` there would then take the place of the
standard library's for everybody, vmrace and its dependencies included.
"""

from __future__ import annotations

import os
import sys

HERE = ""           # on sys.path: the current folder, wherever that is by then


def current_folder_last() -> None:
    """Move the current folder to the end of `sys.path`; add it if it is missing."""
    sys.path[:] = [place for place in sys.path if not _is_here(place)] + [HERE]


def _is_here(place: str) -> bool:
    try:
        return place == HERE or os.path.samefile(place, os.curdir)
    except OSError:         # there is no such place
        return False
