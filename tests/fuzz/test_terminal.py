# SPDX-License-Identifier: MIT
"""No character that a terminal obeys is printed, whether from a file, a name, or an exception of a user's program."""

from __future__ import annotations

import ast
import io
import json
import pathlib
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import find, load
from vmrace.fuzz.functions import sample as functions
from vmrace.fuzz.text import terminal
from vmrace.harness.functions.program import Program
from vmrace.harness.kernel.cell import cell
from vmrace.harness.printable import printable

from tests.documents import campaign, document

ROOT = pathlib.Path(__file__).parents[2]
GOOD = next(path for path in find(ROOT / "corpus") if "f1738244" in path.name)
EVIL = "a\x1b[2J\x1b]0;t\x07b\x9bmc\u202ed\u2066e\x7f\x00f\rg\u200f\u061c\u2028h\ni"
EXCEPT = "\x00"         # a name of a file cannot have it


def command(*args: object) -> Any:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def plain(text: str) -> bool:
    """True if a terminal only prints the text, line by line."""
    return all(line.isprintable() for line in text.split("\n"))


def toml(text: str) -> str:
    return '"' + "".join(f"\\U{ord(one):08X}" for one in text) + '"'


# ---- the function ---------------------------------------------------------------------------------------------------------------

def test_printable_text_is_printed_unchanged() -> None:
    for text in ("", "BUG at mm/page_alloc.c:95 in __free_pages_ok", "é ü 中文 ‐ “x” \\n", "٣ עברית"):
        assert printable(text) is text


def test_each_control_character_is_escaped_so_that_it_can_be_read() -> None:
    assert printable("\x1b[31m\n\t\x9b\u202e\u2066\ud800é") == "\\x1b[31m\\n\\t\\x9b\\u202e\\u2066\\ud800é"
    for number in range(sys.maxunicode + 1):
        one = chr(number)
        if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert printable(one).isascii() and printable(one).isprintable()


PRINTS = re.compile(r"print|.*\.print_exc|click\.(s?echo|echo_via_pager)|sys\.std(out|err)\.write(lines)?")


def test_only_the_module_for_output_prints() -> None:
    """One function is between the commands and the terminal."""
    for path in sorted((ROOT / "fuzz").rglob("*.py")):
        called = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        printing = {name for name in called if PRINTS.fullmatch(name)}
        assert printing == ({"click.echo"} if path.name == "terminal.py" else set()), path.name


# ---- data -----------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def corpus(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Write an entry with control characters in every text that it may have, and return its folder."""
    place = tmp_path / "corpus"
    place.mkdir()
    text = GOOD.read_text()
    for name in ("title", "asks", "source"):
        text = re.sub(rf'^{name} = ".*"$', lambda found: f'{found[0].partition(" = ")[0]} = {toml(EVIL)}', text, flags=re.MULTILINE)
    text = text.replace('pre_patch = "BUG at mm', f'pre_patch = {toml("BUG DATA: " + EVIL)} # "')
    (place / GOOD.name).write_text("# \x1b[2J\n".replace("\x1b", "") + text)
    assert load(place / GOOD.name).expect["pre_patch"].title.endswith(EVIL)
    monkeypatch.chdir(tmp_path)
    return place / GOOD.name


@pytest.mark.long
@pytest.mark.parametrize("arguments", [
    ("show", "f1738244"), ("show", "f1738244", "--variant", "daniel_lru_count"), ("replay", "corpus"), ("replay", "corpus", "--times", "2"),
    ("corpus",), ("corpus", "accept", "f1738244", "--variant", "pre_patch=x"), ("corpus", "accept", "f1738244"),
    ("replay", "corpus", "--accept"),
    ("verify", "f1738244"), ("shrink", "f1738244"), ("verify", "f1738244", "--variant", "daniel_lru_count"),
    ("diff", "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count", "--entry", "f1738244")])
def test_no_field_of_an_entry_reaches_the_terminal_raw(arguments: tuple[str, ...], corpus: pathlib.Path) -> None:
    result = command(*arguments)
    assert plain(result.output), repr(result.output)
    assert result.exit_code in (0, 1, 3) and "our bug" not in result.output


def test_in_json_a_control_character_is_an_escape_and_reads_back(corpus: pathlib.Path) -> None:
    result = command("corpus", "--json")
    assert plain(result.stdout)
    told, = document(result.stdout, "corpus")["entries"]
    assert (told["title"], told["asks"], told["source"]) == (EVIL, EVIL, EVIL)
    assert told["expect"]["pre_patch"] == f"BUG DATA: {EVIL}"


@pytest.mark.parametrize("line", ["{} = 1", "[{}]", 'found_on = {}', 'format = {}', "cpu0 = [{}]", "cpu7 = [{}]", "schedule = [{}]"])
def test_the_line_about_a_bad_file_has_no_control_character(line: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"{EVIL.replace(EXCEPT, '').replace('/', '')}.toml"
    shutil.copy(GOOD, path)
    text = path.read_text()
    path.write_text(re.sub(rf"^{line.partition(' ')[0]} = .*?$", "", text, flags=re.MULTILINE).replace(
        "[expect]", f"{line.format(toml(EVIL))}\n[expect]"))
    for words in (("replay", tmp_path), ("show", path), ("corpus", "--corpus", tmp_path)):
        result = command(*words)
        assert (result.exit_code, plain(result.output), result.stderr.count("\n")) == (3, True, 1), repr(result.output)


def test_no_field_of_a_record_or_a_certificate_reaches_the_terminal_raw(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = "tests.programs.lost_update:make"
    record = f'format = 1\ntitle = {toml(EVIL)}\nfunctions = {{}}\nargs = {{}}\nschedule = [{{}}]\n'
    line = '"cpu1 until before write x.value in add"'
    for functions_, args, schedule, words in ((toml(target), "[]", line, [target]), (toml(target), "[]", line, []),
                                              (toml(EVIL), "[]", line, []), (toml(target), f"[{toml(EVIL)}]", line, [target]),
                                              (toml(target), "[]", toml(f"cpu0 until before {EVIL} in add"), [target]),
                                              (toml(target), "[]", toml(EVIL), [target])):
        pathlib.Path("x.run").write_text(record.format(functions_, args, schedule))
        for name in ("replay", "show"):
            result = command(name, "x.run", *words)
            assert plain(result.output) and "our bug" not in result.output, repr(result.output)
            assert result.exit_code in (0, 1, 2, 3)
    said = {"certificate": 1, "functions": target, "args": json.dumps([EVIL]), "program": EVIL, "image": EVIL, "vmrace": EVIL,
            "bound": None, "equivalence": EVIL, "verdict": EVIL, "complete": True, "executions": 1, "blocked": 0, "digest": EVIL,
            "titles": {EVIL: 1}}
    for change in ({}, {"args": '["2"]'}, {"functions": EVIL}, {EVIL: 1}):
        pathlib.Path("x.json").write_text(json.dumps(said | change))
        result = command("verify", target, "--check", "x.json")
        assert plain(result.output) and result.exit_code in (1, 2, 3) and "our bug" not in result.output, repr(result.output)


# ---- programs -------------------------------------------------------------------------------------------------------------------

def raises() -> Program:
    def task() -> None:
        raise type(EVIL.replace(EXCEPT, ""), (Exception,), {})(EVIL)
    return Program([task])


def named() -> Program:
    x = cell(EVIL, value=0)

    def task() -> None:
        x.value += 1
    task.__name__ = EVIL
    return Program([task, task], check=lambda: x.value == 2)


def asserts() -> Program:
    x = cell("x", value=0)

    def task() -> None:
        x.value += 1

    def check() -> None:
        assert x.value == 2, EVIL
    return Program([task, task], check=check)


def makes_none() -> Program:
    raise ValueError(EVIL.replace("\n", ""))


PROGRAMS = (raises, named, asserts)


@pytest.fixture
def elsewhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.mark.parametrize("make", [*PROGRAMS, makes_none])
def test_nothing_that_a_program_names_or_raises_reaches_the_terminal_raw(make: Any, elsewhere: pathlib.Path) -> None:
    target = f"{__name__}:{make.__name__}"
    for words in (("verify", target), ("fuzz", target, "--seed", "1", "--runs", "300")):
        result = command(*words)
        assert result.exit_code == (3 if make is makes_none else 1), result.output
        assert plain(result.output), repr(result.output)
    for path in elsewhere.rglob("*.run"):
        for name in ("replay", "show"):
            result = command(name, path, target)
            assert (result.exit_code, plain(result.output)) == (0, True), repr(result.output)


@pytest.mark.parametrize("make", PROGRAMS)
def test_a_story_has_no_control_character(make: Any) -> None:
    found = functions.fuzz(make, seed=1, runs=300)
    assert found.failures and plain(found.story)
    assert all(line.isprintable() for failure in found.failures for line in failure.story)


def test_in_json_the_title_of_a_program_reads_back(elsewhere: pathlib.Path) -> None:
    result = command("fuzz", f"{__name__}:raises", "--seed", "1", "--json")
    assert plain(result.stdout)
    assert campaign(result.stdout)[0][0]["title"] == f"OOPS: {EVIL.replace(EXCEPT, '')} in task"


def test_a_message_of_many_lines_is_printed_line_by_line() -> None:
    failure, = functions.fuzz(asserts, seed=1, runs=300).failures
    at = next(number for number, line in enumerate(failure.story) if line.endswith("\\u2028h"))
    assert failure.story[at + 1].strip() == "i"


def test_the_line_of_progress_has_no_control_character_of_a_title(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.working() as say:
        say(EVIL)
    assert screen.getvalue().count("\x1b") == 2         # the two escapes that clear the line
    assert plain(screen.getvalue().replace("\r\x1b[K", ""))
