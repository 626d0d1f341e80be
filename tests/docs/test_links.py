# SPDX-License-Identifier: MIT
"""Documents name only pages, headings, files and commands that exist."""

from __future__ import annotations

import pathlib
import re

import click
import pytest
from vmrace.fuzz.cli.main import main

from tests.docs.pages import ROOT, blocks, name_of, pages, prose

PAGES = pages()
ROOMS = ("harness", "variants", "fuzz", "corpus", "tests", "vmrace", "docs", "LICENSES", ".ci", ".types")
each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-")


def anchors(page: pathlib.Path) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)}


@each_page
def test_every_link_leads_to_a_page_a_heading_or_a_file(page: pathlib.Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        assert not target.startswith(("http:", "https:")), f"{target}: a page can be read without a network"
        name, _, heading = target.partition("#")
        to = (page.parent / name).resolve() if name else page
        assert to.exists(), f"{page.name}: {target}"
        assert not heading or heading in anchors(to), f"{page.name}: {target}: no such heading"


@each_page
def test_every_file_that_a_page_names_exists(page: pathlib.Path) -> None:
    made = {block.caption for block in blocks(page)}
    for path in re.findall(rf"`((?:{'|'.join(map(re.escape, ROOMS))})/[\w./-]*)`", prose(page)):
        assert path in made or (ROOT / path).exists() or page.name == "CHANGELOG.md" or page.parent.name == "decisions", path


@each_page
def test_every_file_in_a_command_line_exists(page: pathlib.Path) -> None:
    for block in blocks(page):
        if block.language == "sh":
            for path in re.findall(rf"(?<!\S)((?:{'|'.join(map(re.escape, ROOMS))})/[\w./-]*)", block.text):
                assert (ROOT / path).exists(), f"{block.place}: {path}"


@each_page
def test_every_command_that_a_page_names_exists(page: pathlib.Path) -> None:
    for mention in re.findall(r"`vmrace ([^`]*)`", prose(page)):
        name, *rest = mention.replace("\\|", "|").split() or [""]
        if name and name.islower() and not name.startswith("-"):        # VARIANT and the like stand for something
            command = main.commands[name]
            assert not isinstance(command, click.Group) or not rest or rest[0] in command.commands or rest[0].startswith("-")
            known = {option for one in (command, *getattr(command, "commands", {}).values()) for it in one.params for option in it.opts}
            for option in (part for part in rest if part.startswith("--")):
                assert option in known or option == "--help", mention


@each_page
def test_every_page_of_the_site_is_reached_from_its_index(page: pathlib.Path) -> None:
    if ROOT / "docs" in page.parents and page != ROOT / "docs/index.md":
        parent = page.parent / "index.md"
        if page.name == "index.md" or not parent.exists():
            parent = page.parent.parent / "index.md" if page.name == "index.md" else ROOT / "docs/index.md"
        listed = "\n".join(re.findall(r"```\{toctree\}\n((?:.*\n)*?)```", parent.read_text(encoding="utf-8")))
        entry = str(page.relative_to(parent.parent).with_suffix(""))
        assert re.search(rf"^{re.escape(entry)}$", listed, re.MULTILINE) or ":glob:" in listed, f"{parent}: {entry}"


def test_the_readme_has_at_most_120_lines_and_its_blocks_at_most_100_columns() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 120
    for block in blocks(readme):
        if block.language != "sh":          # each of the two lines is complete, so that it can be copied
            assert max(map(len, block.text.splitlines())) <= 100, block.place


@each_page
def test_what_a_page_shows_takes_at_most_100_columns(page: pathlib.Path) -> None:
    """In a console only the lines that a reader types count: tests/golden holds what commands print."""
    for block in blocks(page):
        if block.language in ("console", "text", "toml"):
            lines = [line for line in block.text.splitlines() if block.language != "console" or line.startswith("$")]
            assert max(map(len, lines), default=0) <= 100, block.place


@each_page
def test_a_page_names_nothing_outside_of_the_repository(page: pathlib.Path) -> None:
    assert not re.search(r"(?<![\w.])/(?:work|home|tmp)/", page.read_text(encoding="utf-8"))
