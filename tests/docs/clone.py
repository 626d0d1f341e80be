# SPDX-License-Identifier: MIT
"""A temporary copy of the repository in which the blocks of a page are followed from top to bottom."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.docs.pages import ROOT, Block

PARTS = ("vmrace", "harness", "variants", "fuzz", "corpus", "tests", "docs", ".types")
FILES = ("pyproject.toml", "conftest.py", "setup.py", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
SECONDS = 540               # a command that takes longer is broken
_NOT = shutil.ignore_patterns("__pycache__", "*.pyc", ".hypothesis", ".mypy_cache")


class Broken(AssertionError):
    """A block that does not do what the page says: the place, and why."""


@dataclass(frozen=True)
class Command:
    """A line `$ ...` of a console block, and the text that the page shows below it."""

    line: str
    shown: str


def commands(text: str) -> Iterator[Command]:
    for found in re.finditer(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        yield Command(found[1].replace("\\\n", " "), found[2])


class Clone:
    """A copy of the repository in `place`. `code`: the exit code of the last command."""

    def __init__(self, place: pathlib.Path):
        self.place = place
        self.code = 0
        for part in PARTS:
            if (ROOT / part).exists():
                shutil.copytree(ROOT / part, place / part, symlinks=True, ignore=_NOT)
        for name in FILES:
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, place / name)

    def follow(self, block: Block, bless: bool = False) -> str | None:
        """Do what the block says. Return its text as it should be if it shows something else. Broken if the block cannot be followed."""
        if block.caption:
            self._write(block)
        elif block.language == "diff":
            self._change(block)
        elif block.language == "console":
            return self._run(block, bless)
        return None

    def _write(self, block: Block) -> None:
        path = self.place / block.caption
        if path.exists():
            if block.text not in path.read_text(encoding="utf-8"):
                raise Broken(f"{block.place}: {block.caption} has no such lines")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, block.text)

    def _change(self, block: Block) -> None:
        head, *hunks = re.split(r"^@@.*\n", block.text, flags=re.MULTILINE)
        named = re.match(r"--- (\S+)", head)
        if named is None or not hunks:
            raise Broken(f"{block.place}: a diff begins with --- PATH, and has an @@ line before each hunk")
        path = self.place / named[1]
        text = path.read_text(encoding="utf-8")
        for hunk in hunks:
            lines = hunk.splitlines()
            old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
            new = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
            if text.count(old) != 1:
                raise Broken(f"{block.place}: {named[1]} has these lines {text.count(old)} times, not once:\n{old}")
            text = text.replace(old, new)
        _put(path, text)

    def _run(self, block: Block, bless: bool) -> str | None:
        told = []
        listed = list(commands(block.text))
        for number, command in enumerate(listed):
            following = listed[number + 1].line if number + 1 < len(listed) else ""
            out = self._command(command.line)
            if command.line != "echo $?" and following != "echo $?" and self.code not in (0, 1):
                raise Broken(f"{block.place}: {command.line}: exit code {self.code}\n{out}")
            if not fits(command.shown, out):
                if not bless or "...\n" in command.shown:
                    raise Broken(f"{block.place}: $ {command.line}\nshows\n{command.shown}\nand prints\n{out}")
                told.append((command.shown, out))
            self._follow_next(block, command)
        text = block.text
        for shown, out in told:
            text = text.replace(shown, out, 1)
        return text if told else None

    def _follow_next(self, block: Block, command: Command) -> None:
        """Run each command that the output names as the next one: it is one that there is, and does something."""
        before = self.code
        for line in re.findall(r"^next: (vmrace .*)$", command.shown, re.MULTILINE):
            out = self._command(line)
            if self.code not in (0, 1):
                raise Broken(f"{block.place}: next: {line}: exit code {self.code}\n{out}")
        self.code = before

    def _command(self, line: str) -> str:
        if line == "echo $?":
            return f"{self.code}\n"
        name, *rest = shlex.split(line)
        how = {"vmrace": ["-m", "vmrace"], "python": [], "ruff": ["-m", "ruff"]}[name]
        done = subprocess.run([sys.executable, *how, *rest], cwd=self.place, capture_output=True, text=True, timeout=SECONDS,
                              env={**os.environ, "PYTHONPATH": str(self.place), "COLUMNS": "100"}, check=False)
        self.code = done.returncode
        return done.stdout + done.stderr


def _put(path: pathlib.Path, text: str) -> None:
    """Write a file, and remove what was compiled of it: Python compares size and second, which a quick change may leave as they are."""
    path.write_text(text, encoding="utf-8")
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        compiled.unlink()


def plain(text: str) -> str:
    """Text without what differs from run to run (times, rates) or with every change of a source (its line numbers, trace digests)."""
    text = re.sub(r"\b\d+\.(\d+) ?s\b", lambda found: f"{0:.{len(found[1])}f} s", text)
    text = re.sub(r"\b[\d,]+ runs/s\b|\b[\d,]+/s\b", "N/s", text)
    text = re.sub(r"\.py:\d+ *", lambda found: ".py:N".ljust(len(found[0])), text)
    return re.sub(r"\b[0-9a-f]{16}\b", "D" * 16, text)


def fits(shown: str, out: str) -> bool:
    """True if the output is what is shown. A line `...` fits any lines, ` ...` at the end of a line any rest of it."""
    parts = [".*\n".join(map(re.escape, part.split("...\n"))) for part in re.split(r"^\.\.\.\n", plain(shown), flags=re.MULTILINE)]
    return not shown or re.fullmatch("(?:.*\n)*".join(parts), plain(out)) is not None
