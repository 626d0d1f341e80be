# SPDX-License-Identifier: MIT
"""`--json` of every command: one document on stdout, nothing else there, and only keys that docs/reference/json.md has."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import load

from tests.documents import document

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
PROVED = ROOT / "corpus/lru_free_2_4/bug-at-mm-page_alloc-c-95-in-__free_pages_ok-f1738244.toml"
PRE, DANIEL = "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count"
ENTRY = f"corpus/{PROVED.name}"
LOST = "tests.programs.lost_update:make"
REFERENCE = (ROOT / "docs/reference/json.md").read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Make a directory with a corpus of one entry, a ledger and a record, in which commands are called."""
    from tests.fuzz.test_interrupts import LEDGER, RUN
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    shutil.copy(PROVED, tmp_path / "corpus")
    (tmp_path / "corpus" / "claims.toml").write_text(LEDGER.replace("\"proved\"", "\"f1738244\""))
    (tmp_path / "kept.run").write_text(RUN)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


# what is called -> its words, its arguments; those of SLOW are in the long tier
SLOW = ("doctor", "coverage", "variants")
CALLS = {
    "fuzz": ("fuzz", (PRE, "--runs", "50", "--no-shrink", "--workers", "1", "--corpus", "found")),
    "fuzz of functions": ("fuzz", (LOST, "--arg", "2", "--seed", "1")),
    "replay": ("replay", ("corpus",)),
    "replay of functions": ("replay", ("kept.run", LOST)),
    "show": ("show", (ENTRY,)),
    "show of functions": ("show", ("kept.run", LOST)),
    "shrink": ("shrink", (ENTRY, "--into", "out")),
    "diff": ("diff", (PRE, DANIEL, "--entry", ENTRY)),
    "verify": ("verify", (ENTRY, "--certify")),
    "verify of functions": ("verify", (LOST, "--arg", "2")),
    "verify of a scope": ("verify", (PRE, "--size", "1", "--operations", "exit,touch", "--operands", "page=1,file=1,fpage=1")),
    "variants": ("variants", ()),
    "operations": ("operations", ("lru_free_2_4",)),
    "corpus": ("corpus", ()),
    "corpus accept": ("corpus accept", (ENTRY, "--variant", "pre_patch")),
    "claims": ("claims", ()),
    "cost": ("cost", (PRE, "--operations", "put", "--runs-each", "1")),
    "coverage": ("coverage", (PRE, "--runs-each", "5")),
    "doctor": ("doctor", ()),
}


# keyed by what they are of
DATA = {"verdicts", "expect", "titles", "first_run", "raw", "passes", "tasks", "counts", "inconclusive", "operands",
        "elsewhere"}


def keys(told: Any) -> Iterator[str]:
    """Return the keys of a document, except for those that are data."""
    if isinstance(told, dict):
        for key, value in told.items():
            yield key
            yield from keys(list(value.values()) if key in DATA and isinstance(value, dict) else value)
    elif isinstance(told, list):
        for one in told:
            yield from keys(one)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name for name in CALLS])
def test_a_command_prints_one_document_and_its_keys_are_documented(name: str, here: pathlib.Path) -> None:
    words, args = CALLS[name]
    result = run(*words.split(), *args, "--json")
    told = document(result.stdout, words)
    assert told["exit"] == result.exit_code in (0, 1), result.output
    if name not in ("cost", "coverage", "claims"):          # whose keys the classes and the ledger have
        assert {key for key in keys(told) if f"`{key}`" not in REFERENCE} == set()


def test_a_check_of_a_certificate_prints_one_document(here: pathlib.Path) -> None:
    run("verify", ENTRY, "--certify", "--variant", "pre_patch")
    told = document(run("verify", "--check", ENTRY.replace(".toml", ".pre_patch.proof.json"), "--json").stdout, "verify")
    assert (told["holds"], told["wrong"], told["plain"], told["exit"]) == (True, [], True, 0)


def commands(group: click.Group, words: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{words}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")


def test_every_command_takes_json_and_is_called_here() -> None:
    made = dict(commands(main))
    assert {words for words, _ in CALLS.values()} == made.keys()
    for command in made.values():
        assert any("--json" in parameter.opts for parameter in command.params), command.name


@pytest.mark.parametrize("args", [("fuzz", "prepatch"), ("replay", "gone"), ("verify", "--size", "1"), ("verify", PRE, "--size", "1",
                                  "--operations", "nosuch"), ("diff", PRE), ("show", "gone.toml"), ("operations", "nosuch")], ids=" ".join)
def test_a_command_that_is_refused_prints_no_document_and_one_line_on_stderr(args: tuple[str, ...], here: pathlib.Path) -> None:
    result = run(*args, "--json")
    assert result.exit_code in (2, 3)
    assert result.stdout == ""
    assert result.stderr.startswith("vmrace: ") and len(result.stderr.splitlines()) == 1


def test_the_json_of_replay_says_which_verdicts_are_as_expected(here: pathlib.Path) -> None:
    path = here / ENTRY
    path.write_text(path.read_text().replace("proved in 39", "proved in 38"))
    told = document(run("replay", "corpus", "--json").stdout, "replay")
    entry, = told["entries"]
    verdict = entry["verdicts"]["daniel_lru_count"]
    assert (verdict["verdict"], verdict["expected"], verdict["as_expected"]) == ("proved in 39", "proved in 38", False)
    assert entry["verdicts"]["pre_patch"]["as_expected"]
    assert (told["exit"], told["summary"]["surprises"], entry["title"]) == (1, 1, load(path).title)
