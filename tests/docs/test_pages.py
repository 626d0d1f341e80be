# SPDX-License-Identifier: MIT
"""Each page is followed from top to bottom in a copy of the repository: its files are written, its changes made, its commands run.

VMRACE_BLESS=1 puts what commands print now into the pages, but for output that is shown with `...`.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib

import pytest

from tests.docs.clone import Broken, Clone, fits, plain
from tests.docs.pages import Block, blocks, name_of, pages, tried

FOLLOWED = [page for page in pages() if any(tried(block) for block in blocks(page))]
QUICK = ("README", "tutorial/first_race", "how-to/replay_and_shrink_a_finding", "how-to/add_a_sanitizer", "how-to/add_an_operation")
ELSEWHERE = {"tutorial/in_your_tests"}      # followed in an empty folder: test_new_project.py
NEEDS = {"how-to/fuzz_with_libfuzzer": "atheris"}       # page -> a package that has no wheel for some platforms
SHORT = [page for page in FOLLOWED if name_of(page) in QUICK]
LONG = [page for page in FOLLOWED if page not in SHORT or any(block.long for block in blocks(page))]        # the others have one end only


def follow(page: pathlib.Path, place: pathlib.Path, long: bool) -> None:
    clone, bless = Clone(place / "vmrace"), os.environ.get("VMRACE_BLESS") == "1"
    changed = []
    for block in blocks(page):
        if tried(block) and (long or not block.long):
            text = clone.follow(block, bless)
            if text is not None:
                changed.append((block, text))
    text = page.read_text(encoding="utf-8")
    for block, new in reversed(changed):
        text = text[:block.start] + new + text[block.end:]
    if changed:
        page.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("page", SHORT, ids=name_of)
def test_a_page_can_be_followed_from_top_to_bottom(page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    follow(page, tmp_path, long=False)


@pytest.mark.long
@pytest.mark.parametrize("page", LONG, ids=name_of)
def test_a_page_can_be_followed_to_its_long_end(page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    needed = NEEDS.get(name_of(page))
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed: it has no wheel for this platform or this Python")
    follow(page, tmp_path, long=True)


def test_every_recipe_and_every_tutorial_is_followed() -> None:
    asked = {page for page in pages() if page.parent.name in ("how-to", "tutorial") and page.stem != "index"}
    assert asked and {name_of(page) for page in asked - set(FOLLOWED)} == ELSEWHERE
    assert {name_of(page) for page in SHORT} == set(QUICK)
    assert set(SHORT) | set(LONG) == set(FOLLOWED)


# ---- the machinery: a page that is wrong fails ------------------------------------------------------------------------------------

def block(tmp_path: pathlib.Path, text: str) -> Block:
    from tests.docs import pages as module
    path = module.ROOT / "docs" / "index.md"
    page = tmp_path / "page.md"
    page.write_text(text)
    found, = blocks(page)
    return Block(path, found.language, found.caption, found.text, found.line, found.start, found.end, found.long)


@pytest.fixture
def clone(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    from tests.docs import clone as module
    monkeypatch.setattr(module, "PARTS", ())
    monkeypatch.setattr(module, "FILES", ("pyproject.toml",))
    place = tmp_path / "clone"
    place.mkdir()
    return Clone(place)


def test_a_command_that_prints_something_else_breaks_its_page(clone: Clone, tmp_path: pathlib.Path) -> None:
    right = block(tmp_path, "```console\n$ python -c 'print(1)'\n1\n```\n")
    assert clone.follow(right) is None
    wrong = block(tmp_path, "```console\n$ python -c 'print(1)'\n2\n```\n")
    with pytest.raises(Broken, match="prints\n1"):
        clone.follow(wrong)
    assert clone.follow(wrong, bless=True) == "$ python -c 'print(1)'\n1\n"


def test_an_exit_code_that_the_page_does_not_show_breaks_it(clone: Clone, tmp_path: pathlib.Path) -> None:
    line = "$ python -c 'raise SystemExit(3)'\n"
    with pytest.raises(Broken, match="exit code 3"):
        clone.follow(block(tmp_path, f"```console\n{line}```\n"))
    assert clone.follow(block(tmp_path, f"```console\n{line}$ echo $?\n3\n```\n")) is None
    with pytest.raises(Broken):
        clone.follow(block(tmp_path, f"```console\n{line}$ echo $?\n0\n```\n"))


def test_a_change_of_lines_that_are_not_there_breaks_its_page(clone: Clone, tmp_path: pathlib.Path) -> None:
    (clone.place / "file").write_text("one\ntwo\n")
    clone.follow(block(tmp_path, "```diff\n--- file\n+++ file\n@@\n one\n+more\n```\n"))
    assert (clone.place / "file").read_text() == "one\nmore\ntwo\n"
    with pytest.raises(Broken, match="0 times"):
        clone.follow(block(tmp_path, "```diff\n--- file\n+++ file\n@@\n three\n+more\n```\n"))


def test_a_file_that_is_there_has_the_lines_that_are_shown(clone: Clone, tmp_path: pathlib.Path) -> None:
    text = "```{code-block} python\n:caption: made.py\n\nx = 1\n```\n"
    clone.follow(block(tmp_path, text))
    assert (clone.place / "made.py").read_text() == "x = 1\n"
    clone.follow(block(tmp_path, text))
    with pytest.raises(Broken, match="no such lines"):
        clone.follow(block(tmp_path, text.replace("x = 1", "x = 2")))


def test_times_and_rates_are_not_compared_and_dots_stand_for_any_lines() -> None:
    assert plain("in 0.31 s at 1,234/s") == plain("in 9.99 s at 5/s")
    assert fits("a\n...\nz\n", "a\nb\nc\nz\n") and fits("a\n...\nz\n", "a\nz\n")
    assert not fits("a\n...\nz\n", "a\nb\n") and not fits("a\n", "b\n")
