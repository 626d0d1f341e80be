# SPDX-License-Identifier: MIT
"""Commands and errors read as kept. A change of these files is reviewed as prose: VMRACE_BLESS=1 python -m pytest tests/golden

Trace digests and the line numbers of Python source are left out, as kernel source may still move.
"""

from __future__ import annotations

import difflib
import os
import pathlib
import re
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main

HERE = pathlib.Path(__file__).parent
ENTRIES = {name: HERE / f"{name}.toml" for name in ("double-free", "last-reference")}


def normal(text: str) -> str:
    text = re.sub(r"\.py:\d+ *", lambda found: ".py:N".ljust(len(found[0])), text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "D" * 16, text)
    text = re.sub(r"\d+\.\d s\b", "N s", text)
    text = re.sub(r"^  replay: .*\n", "", text, flags=re.MULTILINE)          # progress, which a slow machine prints
    text = text.replace("[OPTIONS] [COMMAND] [ARGS]...", "[OPTIONS] COMMAND [ARGS]...")       # click says either, by its version
    return text.replace(f"{HERE}/", "").replace(str(HERE), "tests/golden")


def golden(name: str, text: str) -> None:
    """Assert that the text is the one on file. With VMRACE_BLESS=1, write it there first."""
    path = HERE / f"{name}.txt"
    told = normal(text)
    if os.environ.get("VMRACE_BLESS") == "1":
        path.write_text(told, encoding="utf-8")
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    changed = "\n".join(difflib.unified_diff(kept.splitlines(), told.splitlines(), str(path), "now", lineterm=""))
    assert kept == told, f"{changed}\nVMRACE_BLESS=1 keeps it"


def said(*args: str) -> str:
    """Run a command; return its line, its output and its exit code as one text."""
    result = CliRunner().invoke(main, list(args))
    return normal(f"$ {' '.join(['vmrace', *args])}\n{result.output}(exit {result.exit_code})\n")


def test_the_introduction_reads_as_kept() -> None:
    golden("intro", said())


@pytest.mark.long
def test_the_table_of_variants_reads_as_kept() -> None:
    golden("variants", said("variants"))


def test_the_list_of_the_corpus_reads_as_kept() -> None:
    golden("corpus", said("corpus", "--corpus", str(HERE)))


@pytest.mark.parametrize("name", ["intro", "variants", "corpus"])
def test_the_lists_of_variants_and_entries_take_at_most_100_columns(name: str) -> None:
    assert max(map(len, (HERE / f"{name}.txt").read_text().splitlines())) <= 100


def test_a_table_of_long_names_and_summaries_takes_at_most_100_columns() -> None:
    from vmrace.fuzz.campaign.report import variants_table
    from vmrace.variants.family import Variant

    from tests.canaries.small_family import SMALL
    long = {name: Variant(name, (), "a summary that goes on and on, " * 5, "s") for name in ("short", "a_rather_long_name_of_a_variant")}
    made = replace(SMALL, summary="a story of some length " * 8, variants=long)
    lines = variants_table([made], {("small", name): 25 for name in long}, 12)
    assert max(map(len, lines)) <= 100
    assert sum("25 operations  12 sanitizers" in line for line in lines) == 2
    assert " ".join(" ".join(lines).split()).count("goes on and on,") == 10


@pytest.mark.long
def test_errors_about_entries_by_name_read_as_kept(tmp_path: pathlib.Path) -> None:
    for name in ("ad127213", "f1738244"):
        text = ENTRIES["last-reference"].read_text()
        (tmp_path / f"bug-at-mm-page_alloc-c-95-in-__free_pages_ok-{name}.toml").write_text(text)
    shutil.copy(ENTRIES["double-free"], tmp_path / "double-free-in-__free_pages_ok-13024daf.toml")
    place = ["--corpus", str(tmp_path)]
    commands = [["corpus", "accept", "double-fre", "--variant", "pre_patch=ok", *place],
                ["corpus", "accept", "double-free-13024daf", "--variant", "pre_patch=BUG", "--variant", "daniel_lru_count", *place],
                ["corpus", "accept", "13024daf", "--variant", "prepatch=ok", *place], ["corpus", "accept", "bug-at", *place],
                ["corpus", "accept", "doubel-free-in-__free_pages_ok-13024daf", *place], ["corpus", "accept", "nothing", *place],
                ["corpus", "accept", "gone.toml", *place], ["corpus", "--corpus", "gone"]]
    golden("errors-corpus", "\n".join(said(*command) for command in commands).replace(f" --corpus {tmp_path}", "")
           .replace(f"{tmp_path}", "corpus"))


@pytest.mark.parametrize("name", ENTRIES)
def test_the_story_of_an_entry_reads_as_kept(name: str) -> None:
    golden(f"show-{name}", said("show", str(ENTRIES[name])))


def test_the_whole_story_of_an_entry_reads_as_kept() -> None:
    golden("show-all-double-free", said("show", str(ENTRIES["double-free"]), "--all"))


@pytest.mark.parametrize("name", ["show-double-free", "show-last-reference", "show-all-double-free"])
def test_a_story_on_file_takes_at_most_100_columns(name: str) -> None:
    assert max(map(len, (HERE / f"{name}.txt").read_text().splitlines())) <= 100


def test_the_story_on_a_variant_without_the_race_reads_as_kept() -> None:
    golden("show-without-the-race", said("show", str(ENTRIES["double-free"]), "--variant", "daniel_lru_count"))


@pytest.mark.long
def test_the_table_of_a_replay_reads_as_kept() -> None:
    golden("replay", said("replay", str(HERE), "--digests"))


@pytest.mark.long
def test_a_verdict_that_changed_reads_as_kept(tmp_path: pathlib.Path) -> None:
    text = ENTRIES["double-free"].read_text()
    (tmp_path / "renamed.toml").write_text(text.replace("page_cache_get(A)", "page_cache_got(A)"))
    known, verdict = ENTRIES["last-reference"].read_text(), 'pre_patch = "BUG at mm/page_alloc.c:'
    (tmp_path / "known.toml").write_text(known.replace(f"{verdict}95", f"{verdict}94"))
    golden("replay-changed", said("replay", str(tmp_path)).replace(f"{tmp_path}/", "").replace(str(tmp_path), "DIRECTORY"))


ERRORS = {
    "format": ("format = 1", "format = 2"),
    "toml": ("format = 1", "format 1"),
    "field": ("asks =", "askes ="),
    "missing field": ("asks =", "# "),
    "type": ('asks = "', "asks = 3 # "),
    "operation": ("irq_put k0", "irq_putt k0"),
    "count of operands": ("irq_put k0", "irq_put"),
    "operand": ("pin m0.0 k0", "pin m0.9 k0"),
    "schedule line": ("irq 0 on cpu0 until done", "cpu0 until lunch"),
    "cpu of the schedule": ("irq 0 on cpu0 until done", "cpu3 to the end"),
    "cpus": ("setup =", "cpus = 9\nsetup ="),
    "count of cpus": ("cpu0 =", "cpu9 ="),
    "count of tasks": ("cpu0 =", "cpu0_task3 = []\ncpu0_task2 = []\ncpu0_task1 = []\ncpu0 ="),
    "task names": ("cpu0 =", "cpu0_task1 ="),
    "family": ("lru_free_2_4/pre_patch", "lru_free_2_5/pre_patch"),
    "variant": ("lru_free_2_4/pre_patch", "lru_free_2_4/prepatch"),
    "expected variant": ("pre_patch = ", "prepatch = "),
    "verdict": ('pre_patch = "BUG', 'pre_patch = "WAS'),
    "count of a verdict": ('pre_patch = "BUG', 'daniel_lru_count = "proved in many"\npre_patch = "BUG'),
}


def test_errors_about_a_broken_entry_read_as_kept(tmp_path: pathlib.Path) -> None:
    text = ENTRIES["last-reference"].read_text()
    path = tmp_path / "entry.toml"
    out = []
    for name, (old, new) in ERRORS.items():
        assert old in text
        path.write_text(text.replace(old, new))
        out.append(f"{name}\n{said('replay', str(path))}".replace(f"{tmp_path}/", ""))
    golden("errors-entry", "\n".join(out))


def test_errors_about_wrong_arguments_read_as_kept(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    entry = str(ENTRIES["last-reference"])
    commands = [["fuzz", "prepatch"], ["fuzz", "zzzzz"], ["fuzz", "lru_free_2_4/pre_patch", "--for", "soon"],
                ["fuzz", "lru_free_2_4/pre_patch", "--corpus", f"{tmp_path}/file"], ["replay", f"{tmp_path}/gone"],
                ["replay", f"{tmp_path}/empty"], ["replay", entry, "--variant", "prepatch"], ["show", entry, "--variant", "prepatch"],
                ["show", f"{tmp_path}/gone.toml"], ["nosuch"]]
    golden("errors-arguments", "\n".join(said(*command) for command in commands).replace(f"{tmp_path}/", ""))
