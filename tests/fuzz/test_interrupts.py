# SPDX-License-Identifier: MIT
"""SIGINT at any moment of any command: exit 130, what was found is kept, no file says anything else, no process is left.

A command is run once to its end, which tells how long it takes and what it writes. Then it is run again and again, and
interrupted at moments that are spread over that time: `--moments N` of them (see conftest.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.entry import load
from vmrace.fuzz.verify import scope_document

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
PRE, DANIEL = "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count"
PROVED = ROOT / "corpus/lru_free_2_4/bug-at-mm-page_alloc-c-95-in-__free_pages_ok-f1738244.toml"
LEAVES = 60.0           # seconds in which an interrupted command has to be gone, however slow the machine is
SMALL = ("--operands", "page=1,file=1,fpage=1,number=1")

pytestmark = pytest.mark.skipif(not pathlib.Path("/proc/self/stat").is_file(), reason="looks at processes in /proc")


@dataclass(frozen=True)
class Case:
    """A command. `finds`: it may keep findings, which are not the same each time."""

    args: tuple[str, ...]
    finds: bool = False


CASES = {
    "fuzz of a variant": Case(("fuzz", PRE, "--for", "4s", "--keep-going", "--seed", "3", "--corpus", "found"), finds=True),
    "fuzz of a function": Case(("fuzz", "tests.programs.lost_update:make", "--arg", "4", "--for", "3s", "--keep-going", "--seed", "1",
                                "--corpus", "found"), finds=True),
    "replay": Case(("replay", "corpus")),
    "replay --accept": Case(("replay", "corpus", "--accept")),
    "replay --certify": Case(("replay", "certify", "--certify", "--variant", "daniel_lru_count")),
    "replay of functions": Case(("replay", "kept.run", "tests.programs.lost_update:make", "--times", "300")),
    "verify of an entry": Case(("verify", "corpus/proved.toml", "--certify")),
    "verify of functions": Case(("verify", "tests.programs.lastzero:make", "--arg", "8", "--certify")),
    "verify of a scope": Case(("verify", PRE, "--size", "2", "--operations", "exit,touch,unpin", *SMALL, "--state", "state",
                               "--into", "TABLE.md")),
    "diff": Case(("diff", PRE, DANIEL, "--entry", "corpus/proved.toml", "--into", "kept"), finds=True),
    "search for differences": Case(("diff", PRE, DANIEL, "--runs", "100", "--seed", "1793", "--into", "found", "--state", "state"),
                                   finds=True),
    "shrink": Case(("shrink", "corpus/proved.toml", "--into", "out")),
    "claims": Case(("claims", "--corpus", "ledger")),
    "cost": Case(("cost", PRE, DANIEL, "--operations", "load", "--runs-each", "40")),
    "coverage": Case(("coverage", PRE, "--runs-each", "400", "--corpus", "corpus")),
    "corpus accept": Case(("corpus", "accept", "corpus/accept.toml", "--variant", "daniel_lru_count")),
    "show": Case(("show", "corpus/proved.toml")),
}


def room(place: pathlib.Path) -> pathlib.Path:
    """A directory with something to lose: an entry that is proved and one without a verdict, a table, a ledger."""
    place.mkdir(parents=True)
    (place / "corpus").mkdir()
    shutil.copy(PROVED, place / "corpus" / "proved.toml")
    shutil.copy(GOLDEN / "last-reference.toml", place / "corpus" / "accept.toml")       # has no verdict of daniel_lru_count
    rows = scope_document.rows_of((ROOT / "docs/findings/small_scopes.md").read_text(encoding="utf-8"))
    (place / "TABLE.md").write_text(f"before\n{scope_document.written(rows)}\nafter\n")
    (place / "certify").mkdir()
    shutil.copy(PROVED, place / "certify" / "proved.toml")
    (place / "certify" / "ok.toml").write_text((GOLDEN / "double-free.toml").read_text() + 'daniel_lru_count = "ok in 1000"\n')
    (place / "ledger").mkdir()
    shutil.copy(PROVED, place / "ledger" / "proved.toml")
    (place / "ledger" / "claims.toml").write_text(LEDGER)
    (place / "kept.run").write_text(RUN)
    return place


LEDGER = '''format = 1

[[claim]]
id = "one"
who = "Somebody"
when = "2002"
where = "here"
says = "It is so."
tests = [
  { entry = "proved", variant = "daniel_lru_count", expect = "proved in 39" },
  { verify = "proved", variant = "daniel_lru_count", expect = "proved in 39" },
]
verdict = "holds"
why = "It was run."
'''

RUN = '''format = 1
title = "CHECK: the program's own check fails"
functions = "tests.programs.lost_update:make"
args = ["2"]
schedule = [
  "cpu1 until before write x.value in add",
  "cpu0 to the end",
]
'''


def files(place: pathlib.Path) -> dict[str, bytes]:
    """Return the contents of every file; a state file that grows is looked at by itself."""
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def start(case: Case, place: pathlib.Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-m", "vmrace", *case.args], cwd=place, text=True, env=environment, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def listens(process: subprocess.Popen[str]) -> bool:
    """Wait until it catches SIGHUP, as it does from its first line on, and Python by itself does not. Whether it came to that."""
    status = pathlib.Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        with contextlib.suppress(OSError):
            caught = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
            if int(caught.split()[1], 16) >> (signal.SIGHUP - 1) & 1:
                return True
        time.sleep(0.002)
    return False


def left(session: int) -> list[int]:
    """The processes of a session that still run."""
    out = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                out.append(int(path.parent.name))
    return out


def gone(session: int) -> list[int]:
    """The processes that are still there after a while."""
    until = time.monotonic() + LEAVES
    while left(session) and time.monotonic() < until:
        time.sleep(0.05)
    return left(session)


def judge(place: pathlib.Path, before: dict[str, bytes], whole: dict[str, bytes], case: Case) -> None:
    """Every file that was there is as it was, or as a command that comes to its end leaves it; what is new is complete."""
    now = files(place)
    assert set(before) <= set(now)
    for name, data in now.items():
        if name in before and data == before[name]:
            continue
        if name.endswith(("state", ".gitignore")):
            assert data.endswith(b"\n") or not data
            assert all(line in whole[name].splitlines()[:1] or b'"number"' in line for line in data.splitlines())
        elif case.finds and name not in before:
            assert name.endswith((".toml", ".hit", ".run", ".gitignore")), name
            if name.endswith(".toml"):
                load(place / name)
            elif name.endswith(".hit") and "tests." not in data.decode():
                hit_file.load(place / name)
        elif name.endswith(".proof.json"):      # how many runs were blocked hangs on who explored what
            assert json.loads(data) | {"blocked": 0} == json.loads(whole[name]) | {"blocked": 0}
        else:
            assert data == whole.get(name), name


SHORT = ("fuzz of a variant", "replay", "verify of an entry", "shrink", "corpus accept")     # the others are in the long tier


@pytest.mark.parametrize("name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in CASES])
def test_an_interrupt_at_any_moment_changes_no_verdict(name: str, tmp_path: pathlib.Path, moments: int) -> None:
    case = CASES[name]
    place = room(tmp_path / "whole")
    process = start(case, place)
    assert listens(process)
    began = time.monotonic()
    told, errors = process.communicate()
    seconds, code, whole = time.monotonic() - began, process.returncode, files(place)
    assert code in (0, 1), errors
    assert "Traceback" not in errors
    assert gone(process.pid) == []
    ended: list[int] = []
    for moment in range(moments):
        place = room(tmp_path / str(moment))
        before = files(place)
        process = start(case, place)
        assert listens(process)
        time.sleep(seconds * moment / moments)
        finished = process.poll() is not None
        send: Callable[[int, int], None] = os.killpg if moment & 1 else os.kill       # as a terminal does it, and as `kill`
        with contextlib.suppress(ProcessLookupError):
            send(process.pid, signal.SIGINT)
        told, errors = process.communicate(timeout=LEAVES)
        assert "Traceback" not in errors, errors
        assert gone(process.pid) == []
        ended.append(process.returncode)
        if process.returncode == 130:
            assert "interrupted" in told + errors
        else:                           # it had come to its end; what a campaign finds in its time hangs on the machine
            assert process.returncode in ((0, 1) if case.finds else (code,)), (finished, told, errors)
        judge(place, before, whole, case)
        shutil.rmtree(place)
    assert 130 in ended


@pytest.mark.long
def test_what_the_test_of_interrupts_looks_at_can_change(tmp_path: pathlib.Path) -> None:
    """Run to its end, `replay --accept` does write verdicts, and a scope its row."""
    for name, file in (("replay --accept", "corpus/accept.toml"), ("verify of a scope", "TABLE.md"),
                       ("corpus accept", "corpus/accept.toml")):
        place = room(tmp_path / name.replace(" ", "-"))
        before = files(place)
        process = start(CASES[name], place)
        process.communicate()
        assert files(place)[file] != before[file]
