# SPDX-License-Identifier: MIT
"""A kept failure of plain functions becomes a regression test: it expects a verdict, and `vmrace corpus accept` writes that of now."""

from __future__ import annotations

import pathlib
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.functions import run_file

from tests.documents import document

ROOT = pathlib.Path(__file__).parents[2]
CHECK = "CHECK: the program's own check fails"
BROKEN = '''
from vmrace import Program, cell


def make(n=2):
    balance = cell("balance", value=0)

    def deposit():
        balance.value += 1

    return Program([deposit] * n, check=lambda: balance.value == n)
'''
REPAIRED = '''
from vmrace import Program, cell, spin_lock, spin_unlock, spinlock_t


def make(n=2):
    balance, lock = cell("balance", value=0), spinlock_t("lock")

    def deposit():
        spin_lock(lock)
        balance.value += 1
        spin_unlock(lock)

    return Program([deposit] * n, check=lambda: balance.value == n)
'''
ENDS = "import os\n\n\ndef make(n=2):\n    os._exit(0)\n"
UNSEEN = '''
from vmrace import Program, cell


def make(n=2):
    balance, log = cell("balance", value=0), []

    def deposit():
        log.append(balance.value)

    return Program([deposit] * n, check=lambda: len(log) == n)
'''


def command(*args: str | pathlib.Path) -> Any:
    return CliRunner().invoke(main, [*map(str, args)])


@pytest.fixture(autouse=True)
def bank(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """Make a project whose program bank.py fails, and that allows its records. Returns the record of the failure."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    pathlib.Path("pyproject.toml").write_text('[tool.vmrace]\nfunctions = ["bank:*", "other:*"]\n')
    write(BROKEN)
    assert command("fuzz", "bank:make", "--seed", "1", "--corpus", "races").exit_code == 1
    path, = pathlib.Path("races").glob("*.run")
    yield path
    forget()


def write(text: str, name: str = "bank") -> None:
    pathlib.Path(f"{name}.py").write_text(text)
    forget()


def forget() -> None:
    for name in ("bank", "other"):
        sys.modules.pop(name, None)
    for path in pathlib.Path("__pycache__").glob("*"):
        path.unlink()


def test_a_new_record_expects_its_failure_and_reads_back(bank: pathlib.Path) -> None:
    kept = run_file.load(bank)
    assert str(kept.expected) == f"BUG {CHECK}"
    assert run_file.emit(kept) == bank.read_text()
    assert f'expect = "BUG {CHECK}"\n' in bank.read_text()


def test_a_record_without_the_key_expects_its_failure(bank: pathlib.Path) -> None:
    bank.write_text(bank.read_text().replace(f'expect = "BUG {CHECK}"\n', ""))
    assert command("replay", bank).exit_code == 0
    write(REPAIRED)
    assert command("replay", bank).exit_code == 1


def test_a_repaired_failure_is_accepted_and_is_a_regression_test_from_then_on(bank: pathlib.Path) -> None:
    assert command("replay", bank).exit_code == 0
    write(REPAIRED)
    lost = command("replay", bank)
    assert lost.exit_code == 1
    told = f"vmrace corpus accept {bank} --verdict ok\n"
    assert f"LOST: expected {CHECK}, found nothing; ok in 1000 schedules near it" in lost.output and told in lost.output
    accepted = command("corpus", "accept", bank)
    assert (accepted.exit_code, accepted.output) == (0, f"  BUG {CHECK}  ->  proved in 2\nwrote {bank}\n")
    again = command("replay", bank)
    assert (again.exit_code, f"{bank}: proved in 2\n  every schedule ran, as expected" in again.output) == (0, True)
    write(BROKEN)
    back = command("replay", bank)
    assert back.exit_code == 1
    assert f"{bank}: BUG {CHECK}" in back.output and "and expected is proved in 2" in back.output
    assert "write balance.value" in back.output, "the story"


def test_a_regression_by_another_schedule_is_found(bank: pathlib.Path) -> None:
    """`proved` and `ok` are of every schedule: here the record's own schedule no longer fits, and another one fails."""
    write(REPAIRED)
    for word, how in (("proved", "in 2 of "), ("ok", "by another schedule, the ")):
        assert command("corpus", "accept", bank, "--verdict", word).exit_code == 0
        write(BROKEN.replace("deposit", "pay_in"))
        back = command("replay", bank)
        assert (back.exit_code, how in back.output, "write balance.value" in back.output) == (1, True, True), back.output
        write(REPAIRED)


def test_who_says_ok_gets_samples_and_no_proof(bank: pathlib.Path) -> None:
    write(REPAIRED)
    assert command("corpus", "accept", bank, "--verdict", "ok").exit_code == 0
    assert 'expect = "ok in 1000"' in bank.read_text()
    assert "no finding in 1,000 schedules, as expected" in command("replay", bank).output


# ---- vmrace verify FILE.run ------------------------------------------------------------------------------------------------

def test_verify_runs_every_schedule_of_a_record_and_compares_with_what_it_expects(bank: pathlib.Path) -> None:
    fails = command("verify", bank)
    assert (fails.exit_code, f"BUG {CHECK}\n  in 2 of 4 classes" in fails.output) == (0, True), fails.output
    write(REPAIRED)
    repaired = command("verify", bank)
    assert (repaired.exit_code, repaired.output.startswith("proved: 2 of 2 ")) == (1, True), repaired.output
    assert f"Another verdict is expected: BUG {CHECK}" in repaired.output
    assert command("corpus", "accept", bank).exit_code == 0
    told = document(command("verify", bank, "--json").stdout, "verify")
    assert (told["exit"], told["explorations"][0]["judged"]) == (0, "as expected")
    write(BROKEN)
    assert command("verify", bank).exit_code == 1


def test_verify_of_a_record_runs_code_only_if_the_user_or_the_project_allows_it(bank: pathlib.Path) -> None:
    pathlib.Path("pyproject.toml").write_text("")
    refused = command("verify", bank)
    assert (refused.exit_code, f"vmrace verify {bank} bank:make\n" in refused.stderr) == (2, True), refused.stderr
    assert command("verify", bank, "other:make").exit_code == 2
    assert command("verify", bank, "bank:make").exit_code == 0


@pytest.mark.parametrize(("words", "why"), [
    (("bank:make", "bank:make"), "a function is named for a file in .run"),
    (("{}", "--arg", "2"), "--arg is for MODULE:FUNCTION"),
    (("{}", "--variant", "pre_patch"), "--variant is for an entry"),
])
def test_options_of_other_targets_of_verify_are_refused(bank: pathlib.Path, words: tuple[str, ...], why: str) -> None:
    result = command("verify", *(word.format(bank) for word in words))
    assert (result.exit_code, why in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize(("text", "words", "code", "why"), [
    (BROKEN, ("--verdict", "ok"), 1, f'is "BUG {CHECK}", not \'ok\'; nothing was written'),
    (BROKEN.replace("deposit", "pay_in"), (), 1, "that cannot be accepted"),
    (REPAIRED, ("--verdict", "BUG"), 1, "is 'proved in 2', not 'BUG'; nothing was written"),
    (UNSEEN, (), 1, "share plain data"), ("raise ValueError('no')", (), 3, "ValueError: no"),
    (REPAIRED, ("--variant", "a=ok"), 2, "--verdict")])
def test_a_verdict_that_is_another_one_or_says_nothing_is_not_accepted(text: str, words: tuple[str, ...], code: int, why: str,
                                                                       bank: pathlib.Path) -> None:
    before = bank.read_text()
    write(text)
    result = command("corpus", "accept", bank, *words)
    assert (result.exit_code, result.stderr.count("\n"), why in result.stderr) == (code, 1, True), result.output
    assert bank.read_text() == before


def test_fuzz_keeps_the_verdict_that_a_record_expects(bank: pathlib.Path) -> None:
    write(REPAIRED)
    assert command("corpus", "accept", bank).exit_code == 0
    kept = bank.read_text()
    write(BROKEN)
    assert command("fuzz", "bank:make", "--seed", "1", "--corpus", "races").exit_code == 1
    assert bank.read_text() == kept


def test_the_number_of_classes_may_change_and_the_verdict_may_not(bank: pathlib.Path) -> None:
    write(REPAIRED)
    assert command("corpus", "accept", bank).exit_code == 0
    bank.write_text(bank.read_text().replace("proved in 2", "proved in 7"))
    result = command("replay", bank)
    assert (result.exit_code, "proved in 2" in result.output) == (0, True)


@pytest.mark.parametrize("expect", ["n/a", "LOST", "proved in 0", "BUG", "fine", "BUG no such kind"])
def test_an_expectation_that_is_no_verdict_of_a_program_gives_one_line(expect: str, bank: pathlib.Path) -> None:
    bank.write_text(bank.read_text().replace(f"BUG {CHECK}", expect))
    result = command("replay", bank)
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert f"{bank}: expect: {expect!r} is no verdict of a program" in result.stderr


# ---- a directory of them -----------------------------------------------------------------------------------------------------

def test_a_directory_is_replayed_and_no_file_keeps_the_others_from_it(bank: pathlib.Path) -> None:
    """One program ends its process, one file is no record, one names a function that the project does not allow."""
    write(ENDS, "other")
    text = bank.read_text()
    (bank.parent / "a.run").write_text(text.replace("bank:make", "other:make"))
    (bank.parent / "b.run").write_text("format = 1\n")
    (bank.parent / "c.run").write_text(text.replace("bank:make", "third:make"))
    result = command("replay", "races")
    assert result.exit_code == 3
    assert f"{bank}: BUG {CHECK}\n  1 of 1 replay" in result.stdout
    assert "races/a.run: inconclusive an error of vmrace: the process that ran the program was lost" in result.stdout
    assert "races/b.run: " in result.stderr and "races/c.run: names third:make" in result.stderr
    assert result.stdout.endswith("s, exit 3)\n") and "2 runs: 1 undecided, 2 files not used, the first is races/b.run: " in result.stdout


@pytest.mark.parametrize("text", [BROKEN, REPAIRED, ENDS], ids=["as expected", "not as expected", "undecided"])
def test_the_last_line_of_a_directory_of_records_and_entries_is_of_both(text: str, bank: pathlib.Path) -> None:
    shutil.copy(ROOT / "tests/golden/last-reference.toml", bank.parent)
    write(text)
    (bank.parent / "b.run").write_text("format = 1\n")
    result = command("replay", "races", "--variant", "pre_patch")
    state, code = {BROKEN: ("all as expected", 3), REPAIRED: ("1 not as expected", 1), ENDS: ("1 undecided", 3)}[text]
    last = result.stdout.splitlines()[-1]
    assert result.exit_code == code
    assert last.startswith(f"1 run: {state}; 1 entry, 1 variant: 1 verdict from 20 runs, 0 not applicable, all as expected, ")
    assert ", 1 file not used: races/b.run: " in last and last.endswith(f"s, exit {code})")


@pytest.mark.parametrize("words", [("--variant", "pre_patch"), ("--backend", "threads"), ("--certify",)], ids=lambda words: words[0])
def test_options_that_say_nothing_of_plain_functions_are_refused(words: tuple[str, ...], bank: pathlib.Path) -> None:
    for place in (bank, bank.parent):
        result = command("replay", place, *words)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert result.stderr.startswith(f"vmrace: {words[0]} is for entries of families, and ")
    if words[0] == "--variant":
        assert command("show", bank, *words).stderr == "vmrace: --variant is for an entry, and not for a .run file\n"


def test_a_directory_is_accepted_as_a_whole(bank: pathlib.Path) -> None:
    write(REPAIRED)
    assert command("replay", "races").exit_code == 1
    result = command("replay", "races", "--accept")
    assert (result.exit_code, 'expect = "proved in 2"' in bank.read_text()) == (0, True), result.output
    assert "every schedule ran, accepted" in result.output


def test_a_directory_as_one_document(bank: pathlib.Path) -> None:
    told = document(command("replay", "races", "--json").output, "replay")
    run, = told["runs"]
    assert (told["exit"], told["entries"], told["not_used"], run["verdict"], run["as_expected"]) == (0, [], [], f"BUG {CHECK}", True)


def test_a_function_named_for_a_directory_must_be_that_of_each_record(bank: pathlib.Path) -> None:
    pathlib.Path("pyproject.toml").unlink()
    assert command("replay", "races").exit_code == 3
    assert command("replay", "races", "bank:make").exit_code == 0
    wrong = command("replay", "races", "other:make")
    assert (wrong.exit_code, f"{bank}: is of bank:make, not of other:make" in wrong.stderr) == (3, True)
