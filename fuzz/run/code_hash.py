# SPDX-License-Identifier: MIT
"""Hashes of the code of vmrace, by which a certificate or a state file knows whether it was made by the code of today."""

from __future__ import annotations

import functools
import hashlib
import pathlib
import sys

from vmrace.variants.family import Family

RUNS = ("run/executor.py", "run/rest.py", "run/exhaustive.py", "corpus/sample.py")
JUDGES = ("family.py", "invariants.py")     # the modules of a family that are linked into no image, and judge its runs


@functools.cache
def vmrace_hash(family_name: str = "") -> str:
    """Hash all source that an exploration or a sample depends on besides the linked kernel source: the machine, the executor, the choice
    of sampled schedules, and, of a family's program, the rules by which its runs are judged."""
    from vmrace import harness, variants
    paths = sorted(pathlib.Path(harness.__file__).parent.rglob("*.py"))
    paths += [pathlib.Path(__file__).parents[1] / name for name in RUNS]
    if family_name:
        room = pathlib.Path(variants.__file__).parent
        paths += sorted(room.glob("*.py"))
        paths += [path for path in (room / family_name / name for name in JUDGES) if path.is_file()]
    return _hash(*(path.read_text() for path in paths))


def code_hash(*families: Family) -> str:
    """Hash the code that lists, explores and judges programs of these families."""
    here = pathlib.Path(__file__).resolve().parents[2]
    paths = [here / path for path in ("fuzz/programs/enumerate.py", "variants/family.py", "variants/user_model.py", "variants/program.py")]
    oracles = (getattr(sys.modules.get(family.check.__module__), "__file__", None) for family in families)
    paths += [pathlib.Path(oracle) for oracle in oracles if oracle]
    return _hash(vmrace_hash(), *(path.read_text() for path in paths))


def _hash(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()
