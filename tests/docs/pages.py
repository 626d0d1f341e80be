# SPDX-License-Identifier: MIT
"""The documents of the project, read as a reader would follow them: their blocks, links and named files.

A fenced block means something to the tests by its language:

    a block with a `:caption: PATH`   the file PATH. It is written; if the clone has that file already, the block is a part of it
    diff                              a change of the file that `--- PATH` names: context lines say where
    console                           each `$ COMMAND` is run, and what it prints is the text below it. A line `...` stands for any
                                      number of lines, ` ...` at the end of a line for its rest. `$ echo $?` shows the exit code
                                      of the command before
    toml, text, sh and the rest       only shown

A comment `<!-- long -->` right before a block says that it is run in the long tier only.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>.*)\n(?P<body>(?:.*\n)*?)(?P=fence)$", re.MULTILINE)
_CAPTION = re.compile(r"\A:caption: (\S+)\n\n?")
_LONG = "<!-- long -->\n"


@dataclass(frozen=True)
class Block:
    """One fenced block. `start` and `end`: where its body is in the text of the page."""

    page: pathlib.Path
    language: str
    caption: str
    text: str
    line: int
    start: int
    end: int
    long: bool

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[pathlib.Path]:
    """All documents: those at the top and the pages of the site."""
    return [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: pathlib.Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        long = text[:found.start()].endswith(_LONG)
        language = found["info"].strip().removeprefix("{code-block}").strip()
        caption = _CAPTION.match(found["body"])
        start = found.start("body") + (caption.end() if caption else 0)
        yield Block(page, language, caption[1] if caption else "", text[start:found.end("body")],
                    text.count("\n", 0, found.start()) + 1, start, found.end("body"), long)


def prose(page: pathlib.Path) -> str:
    """The text of a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def name_of(page: pathlib.Path) -> str:
    return str(page.relative_to(ROOT)).removeprefix("docs/").removesuffix(".md")


def tried(block: Block) -> bool:
    """True if the block is more than shown."""
    return bool(block.caption) or block.language in ("diff", "console")
