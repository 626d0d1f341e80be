# SPDX-License-Identifier: MIT
"""The index of the corpus asks one question per entry, and every entry has a question of its own."""

from __future__ import annotations

import pathlib

from vmrace.fuzz.corpus.entry import find, load

CORPUS = pathlib.Path(__file__).parents[1] / "corpus"


def index_lines() -> list[str]:
    """Return the lines that the index must have, made from the entries."""
    return [f"| [{entry.title}]({entry.path.relative_to(CORPUS)}) | {entry.asks} |"  # type: ignore[union-attr]
            for entry in map(load, find(CORPUS))]


def test_the_index_asks_the_question_of_every_entry() -> None:
    text = (CORPUS / "README.md").read_text()
    listed = [line for line in text.splitlines() if line.startswith("| [")]
    assert listed == index_lines()


def test_no_two_entries_ask_the_same_question() -> None:
    asked = [load(path).asks for path in find(CORPUS)]
    assert len(set(asked)) == len(asked)
