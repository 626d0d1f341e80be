# SPDX-License-Identifier: MIT
"""The C that a family's Python is compared with is the tree's C, a line for a line, but for what c_source.toml says."""

from __future__ import annotations

import pathlib
import re
import tomllib

import pytest

from tests import c_text

FAMILIES = sorted(path.parent for path in c_text.VARIANTS.glob("*/c_source.toml"))

SOURCE = """\
#define list_empty(head) \\
	((head)->next == (head))
#define one(page) page

static int first(struct page *page);

static inline int first(struct page *page)
{
	if (page) {
		second(page);
	}
	return 0;
}

ssize_t
second(struct page *page,
	int number)
{
	for_each_zone(zone)
		first(page);
}

int third(void) { return second(0, 1); }
"""


def read(**tables: dict) -> str:
    text = c_text.as_read("mm/swap.c", SOURCE, tables)
    assert text.count("\n") == SOURCE.count("\n")
    return text


def test_nothing_changes_without_a_rule() -> None:
    assert read() == SOURCE
    assert read(exempt={"mm/other.c": ["first"]}, text={"no such text": ""}) == SOURCE


@pytest.mark.parametrize(("name", "gone"), [
    ("first", "second(page);"), ("second", "for_each_zone"), ("third", "return second(0, 1)"), ("list_empty", "((head)->next == (head))"),
    ("one", "one(page) page"),
])
def test_an_exempt_function_is_left_out_and_nothing_else(name: str, gone: str) -> None:
    text = read(exempt={"mm/swap.c": [name]})
    assert gone in SOURCE and gone not in text
    left = [line for line in SOURCE.split("\n") if line not in text.split("\n")]
    assert len(left) == {"first": 5, "second": 5, "third": 1, "list_empty": 2, "one": 1}[name], left


def test_a_call_and_a_declaration_stay_where_the_function_goes() -> None:
    text = read(exempt={"mm/swap.c": ["first"]})
    assert "static int first(struct page *page);" in text and "\t\tfirst(page);" in text


def test_text_stands_for_a_match_on_as_many_lines() -> None:
    text = read(text={r"for_each_zone\((\w+)\)\n": r"\1 = zone_normal;"})
    assert re.search(r"\tzone = zone_normal;\n\t\tfirst\(page\);", text)


def test_marks_put_a_match_on_one_line_or_leave_its_line_ends() -> None:
    text = read(text={r"(?s)(ssize_t.*?\)\n)\{": "<line>\\1</line>{ again();<blank>\\1</blank>"})
    assert "ssize_t second(struct page *page, \tint number) { again();\n\n\n\n" in text


@pytest.mark.parametrize("family", FAMILIES, ids=lambda path: path.name)
def test_the_rules_of_a_family_can_be_used(family: pathlib.Path) -> None:
    tables = tomllib.loads((family / "c_source.toml").read_text())
    assert tables["text"] and tables["exempt"]
    for path in tables["exempt"]:
        assert c_text.as_read(path, SOURCE, tables).count("\n") == SOURCE.count("\n")


def test_a_tree_is_written_file_by_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "tree/kernel/exit.c"
    source.parent.mkdir(parents=True)
    source.write_text("int do_exit(void)\n{\n}\n\nint other(void)\n{\n}\n")
    (source.parent / "Makefile").write_text("obj-y = exit.o\n")
    monkeypatch.setattr("sys.argv", ["c_text", "lru_free_2_4", str(tmp_path / "tree"), str(tmp_path / "read")])
    assert c_text.main() == 0
    assert [path.name for path in (tmp_path / "read").rglob("*.*")] == ["exit.c"]
    assert (tmp_path / "read/kernel/exit.c").read_text() == "\n\n\n\nint other(void)\n{\n}\n"


def test_a_function_that_is_not_there_is_an_error(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tree/kernel").mkdir(parents=True)
    (tmp_path / "tree/kernel/exit.c").write_text("int other(void)\n{\n}\n")
    monkeypatch.setattr("sys.argv", ["c_text", "lru_free_2_4", str(tmp_path / "tree"), str(tmp_path / "read")])
    assert c_text.main() == 1
    assert capsys.readouterr().err == "kernel/exit.c: no function do_exit to leave out\n"
