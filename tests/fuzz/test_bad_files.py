# SPDX-License-Identifier: MIT
"""A bad file gives one line with its name, the place and the mistake; the other files are run, and the exit code is never 0."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import EntryError, find, load, load_all
from vmrace.fuzz.corpus.verdict import parse_verdict
from vmrace.fuzz.measure.installation import entries as doctor_entries
from vmrace.fuzz.text import reading

from tests.documents import campaign

ROOT = pathlib.Path(__file__).parents[2]
GOOD = next(path for path in find(ROOT / "corpus") if "f1738244" in path.name)
TEXT = GOOD.read_text()
DEEP = 100_000
DIGITS = 5_000

Write = Callable[[pathlib.Path], Any]


def text(change: Callable[[str], str]) -> Write:
    changed = change(TEXT)
    assert changed != TEXT
    return lambda path: path.write_text(changed)


def replaced(old: str, new: str) -> Write:
    assert old in TEXT
    return text(lambda whole: whole.replace(old, new))


def with_field(line: str) -> Write:
    return text(lambda whole: re.sub(r"format = 1\n", f"format = 1\n{line}\n", whole))


ENTRIES: dict[str, tuple[Write, str]] = {
    "binary": (lambda path: path.write_bytes(bytes(range(256))), "not UTF-8: byte 128"),
    "zeros": (lambda path: path.write_bytes(b"\0" * 100), "not TOML: "),
    "empty": (lambda path: path.write_text(""), "format: missing"),
    "words": (lambda path: path.write_text("no TOML at all"), "not TOML: "),
    "brackets": (with_field("cpus = " + "[" * DEEP), "brackets are nested too deeply"),
    "closed_brackets": (with_field("cpus = " + "[" * DEEP + "]" * DEEP), "brackets are nested too deeply"),
    "braces": (with_field("cpus = " + "{a = " * DEEP), "brackets are nested too deeply"),
    "dots": (with_field("a" + ".a" * DEEP + " = 1"), "more than 1,000 dots in line 2"),
    "digits": (with_field("cpus = " + "9" * DIGITS), "a number has too many digits"),
    "digits_of_format": (replaced("format = 1", "format = " + "9" * DIGITS), "a number has too many digits"),
    "hexadecimal_format": (replaced("format = 1", "format = 0x" + "f" * DIGITS), "a number has too many digits"),
    "digits_of_cpu": (replaced("cpu0 to the end", f"cpu{'9' * DIGITS} to the end"), "a number has too many digits"),
    "large": (with_field("cpus = 9" + "0" * 30), "cpus: 9000000000000000000000000000000, but the tasks need 1"),
    "negative": (with_field("cpus = -1"), "cpus: -1, but the tasks need"),
    "truth": (with_field("cpus = true"), "cpus: Expected `int`, got `bool`"),
    "date": (with_field("preempt = 2002-09-17"), "preempt: Expected `bool`, got `date`"),
    "no_list": (replaced("cpu0 = [", "cpu1 = 3\ncpu0 = ["), "cpu1: must be a list"),
    "mixed_list": (replaced("cpu0 = [", "cpu1 = [3]\ncpu0 = ["), "cpu1: must be a list"),
    "table": (with_field("setup = {}"), "not TOML: Cannot overwrite a value"),
    "verdict": (replaced('pre_patch = "BUG ', 'pre_patch = "WAS '), "expect: pre_patch: 'WAS at"),
    "verdict_without_title": (replaced('pre_patch = "BUG at', 'pre_patch = "BUG '), "is no verdict"),
    "verdict_of_digits": (replaced('pre_patch = "', f'pre_patch = "proved in {"9" * DIGITS}" # "'), "is no verdict"),
    "verdict_type": (replaced('pre_patch = "', 'pre_patch = 3 # "'), "expect[...]: Expected `str`, got `int`"),
    "no_verdicts": (text(lambda whole: whole.replace("[expect]\n", "expect = 3\n").partition("expect = 3")[0] + "expect = 3\n"),
                    "expect: Expected `object`, got `int`"),
    "variant": (replaced("lru_free_2_4/pre_patch", "lru_free_2_4/prepatch"), "found_on: no variant 'prepatch'"),
    "no_family": (replaced("lru_free_2_4/pre_patch", "os/system"), "found_on: no family 'os'"),
    "operation": (replaced('cpu0 = [', 'cpu1 = ["system touch"]\ncpu0 = ['), "cpu1[0]: no operation 'system'"),
    "empty_operation": (replaced('cpu0 = [', 'cpu1 = [""]\ncpu0 = ['), "cpu1[0]: no operation ''"),
    "no_cpu": (replaced('cpu0 = [', 'cpus = 0\ncpu0 = ['), "cpus: 0, but the tasks need 1"),
    "field": (with_field('functions = "os:system"'), "unknown field 'functions'"),
    "twice": (with_field("format = 1"), "not TOML: Cannot overwrite a value"),
    "title": (text(lambda whole: re.sub(r'title = ".*"', 'title = "\\\\u001b"', whole)), "has no letter or digit"),
    "huge": (lambda path: path.write_bytes(b"#" * (reading.BYTES_MAX + 1)), "1,048,577 bytes; at most 1,048,576 are read"),
    "directory": (lambda path: path.mkdir(), "a directory, not a file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "cannot be read: No such file or directory"),
    "circle": (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
    "pipe": (lambda path: os.mkfifo(path), "a device or a pipe, not a file"),
}


def command(*args: object) -> Any:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def corpus(tmp_path: pathlib.Path) -> pathlib.Path:
    """Write every bad file and a good one, and return their folder."""
    place = tmp_path / "corpus" / "lru_free_2_4"
    place.mkdir(parents=True)
    for name, (write, _) in ENTRIES.items():
        write(place / f"{name}.toml")
    shutil.copy(GOOD, place)
    return place


def named_in(lines: list[str]) -> set[str]:
    return {pathlib.Path(line.removeprefix("vmrace: ").partition(": ")[0]).stem for line in lines}


@pytest.mark.parametrize("name", ENTRIES)
def test_each_bad_file_is_named_with_its_mistake(name: str, tmp_path: pathlib.Path) -> None:
    write, wrong = ENTRIES[name]
    path = tmp_path / f"{name}.toml"
    write(path)
    result = command("replay", tmp_path)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1)
    assert result.stderr.startswith(f"vmrace: {path}: ") and wrong in result.stderr
    assert len(result.stderr) < 6 * DIGITS
    with pytest.raises(EntryError, match=re.escape(f"{path}: ")):
        load(path)


@pytest.mark.long
@pytest.mark.parametrize("arguments", [("replay", "."), ("corpus", "--corpus", "."),
                                       ("diff", "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count", "--corpus", ".")])
def test_the_files_beside_a_bad_one_are_run_and_the_exit_code_is_not_0(arguments: tuple[str, ...], corpus: pathlib.Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus)
    result = command(*arguments)
    assert result.exit_code == (1 if arguments[0] == "diff" else 3)         # a difference comes before a bad file
    assert named_in(result.stderr.splitlines()) == set(ENTRIES)
    assert len(result.stderr.splitlines()) == len(ENTRIES)
    assert GOOD.stem[:30] in result.stdout or "bug-at-f1738244" in result.stdout
    if arguments[0] == "replay":
        last = result.stdout.splitlines()[-1]
        assert last.startswith("1 entry, 2 variants: 2 verdicts") and last.endswith("exit 3)")
        assert f", all as expected, {len(ENTRIES)} files not used, the first is {min(ENTRIES)}.toml: " in last


def test_a_campaign_names_bad_files_and_goes_on(corpus: pathlib.Path) -> None:
    result = command("fuzz", "lru_free_2_4/pre_patch", "--runs", "10", "--keep-going", "--corpus", corpus, "--workers", "1", "--json")
    told, last = campaign(result.stdout)
    assert named_in([one["text"] for one in told if one["type"] == "error"]) == named_in(last["unread"]) == set(ENTRIES)
    assert last["runs"] >= 10
    assert result.exit_code == (1 if last["new"] else 3)


@pytest.mark.long
def test_coverage_is_printed_beside_the_lines_of_bad_files(corpus: pathlib.Path) -> None:
    result = command("coverage", "lru_free_2_4/pre_patch", "--runs-each", "10", "--corpus", corpus)
    assert named_in(result.stderr.splitlines()) == set(ENTRIES)
    assert result.exit_code in (1, 3) and f"(exit {result.exit_code})" in result.stdout.splitlines()[-1]


HITS: dict[str, tuple[str | bytes, str]] = {
    "binary": (bytes(range(256)), "not UTF-8: byte 128"),
    "brackets": ("a = " + "[" * DEEP, "brackets are nested too deeply"),
    "digits": ("run = " + "9" * DIGITS, "a number has too many digits"),
    "decisions": (f"{TEXT}\n[hit]\nswitches = 3\nforced = []\n", "hit: Expected `array`, got `int`"),
    "deep_decisions": (f"{TEXT}\n[hit]\nswitches = {'[' * DEEP}", "brackets are nested too deeply"),
    "no_function": ('title = "x"\nfunctions = "os"\nargs = []\nseed = 0\nrun = 1\nswitches = []\nforced = []\n', "functions: "),
    "not_named": ('title = "x"\nfunctions = "mine:make"\nargs = []\nseed = 0\nrun = 1\nswitches = []\nforced = []\n',
                  "no code is run because a file names it"),
}


@pytest.mark.parametrize("name", HITS)
def test_a_bad_hit_gives_one_line(name: str, tmp_path: pathlib.Path) -> None:
    content, wrong = HITS[name]
    path = tmp_path / f"{name}.hit"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = command("shrink", path)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2 if "named" in name else 3, "", 1)
    assert result.stderr.startswith(f"vmrace: {path}: ") and wrong in result.stderr
    assert path.exists()


@pytest.mark.long
def test_a_changed_verdict_decides_the_exit_code_before_a_bad_file(corpus: pathlib.Path) -> None:
    good = corpus / GOOD.name
    good.write_text(good.read_text().replace("mm/page_alloc.c:95 in __free_pages_ok\"\ndaniel", "mm/page_alloc.c:94 in f\"\ndaniel"))
    assert "page_alloc.c:94" in good.read_text()
    result = command("replay", corpus)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].endswith("exit 1)")


@pytest.mark.long
def test_accepting_verdicts_leaves_bad_files_as_they_are(corpus: pathlib.Path) -> None:
    before = {path.name: path.read_bytes() for path in corpus.iterdir() if path.is_file() and path.stat().st_size < 10_000}
    good = corpus / GOOD.name
    good.write_text(re.sub(r'daniel_lru_count = ".*"\n', "", good.read_text()))
    result = command("replay", corpus, "--accept")
    assert result.exit_code == 3
    assert "daniel_lru_count" in load(good).expect
    assert all((corpus / name).read_bytes() == kept for name, kept in before.items() if name != GOOD.name)


def test_doctor_names_each_bad_file(corpus: pathlib.Path) -> None:
    told = list(doctor_entries(corpus))
    assert named_in([check.text for check in told if check.state == "FAIL"]) == set(ENTRIES)
    assert told[-1].text.endswith(": 1 entry readable and in canonical form")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(TEXT)
    path.chmod(0)
    result = command("replay", tmp_path)
    assert (result.exit_code, result.stderr) == (3, f"vmrace: {path}: cannot be read: Permission denied\n")


def test_a_good_corpus_has_no_bad_file() -> None:
    good, bad = load_all(ROOT / "corpus")
    assert (len(good), bad) == (len(find(ROOT / "corpus")), [])
    assert all(parse_verdict(str(verdict)) == verdict for entry in good for verdict in entry.expect.values())


@pytest.mark.parametrize("verdict", ["", "ok", "proved", "proved in 0", "proved in -1", "ok in 1000 ", "ok in ten", "proved in ٣",
                                     "proved in 1000000000000", "BUG", "BUG ", "BUG x", "DEADLOCK: x", "LOST", "FLAKY 3/20",
                                     "DIVERGED step 3", "n/a?", "inconclusive x"])
def test_a_verdict_that_no_replay_can_have_is_refused(verdict: str) -> None:
    assert parse_verdict(verdict) is None


@pytest.mark.parametrize(("arguments", "line"), [
    (("show", ""), "an empty text names no entry"), (("shrink", ""), "an empty text names no entry"),
    (("verify", ""), "an empty text names no entry"), (("corpus", "accept", ""), "an empty text names no entry"),
    (("replay", ""), "an empty text names no file and no directory"), (("corpus", "--corpus", ""), "an empty text names no file"),
    (("fuzz", "lru_free_2_4/pre_patch", "--runs", "1", "--corpus", ""), "an empty text names no file"),
    (("verify", "--check", ""), "an empty text names no file"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else None)
def test_an_empty_text_is_not_the_current_folder(arguments: tuple[str, ...], line: str, tmp_path: pathlib.Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(GOOD, tmp_path)
    monkeypatch.chdir(tmp_path)
    result = command(*arguments)
    assert (result.exit_code, result.stdout) == (2, "") and line in result.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / GOOD.name]


def test_a_device_is_neither_a_file_nor_a_directory() -> None:
    result = command("replay", os.devnull)
    assert (result.exit_code, result.stderr) == (3, f"vmrace: {os.devnull}: neither a file nor a directory\n")


@pytest.mark.parametrize("name", ["x.v.proof.json", "x.samples.json"])
def test_a_file_of_certificates_in_the_place_of_an_entry_is_named_as_what_it_is(name: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / name).write_text("{}")
    for word in ("replay", "show", "verify"):
        result = command(word, tmp_path / name)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"vmrace: {tmp_path / name}: ") and ", not an entry: vmrace " in result.stderr


def test_a_variant_with_its_family_before_it_is_guessed() -> None:
    for word in ("replay", "show", "verify"):
        result = command(word, GOOD, "--variant", "lru_free_2_4/pre_patch")
        assert result.exit_code == 2 and result.stderr.endswith(". Did you mean pre_patch?\n")


@pytest.mark.parametrize("name", ["", "a\\u0000b"])
def test_a_corpus_in_the_settings_that_names_no_directory_is_an_error_of_the_settings(name: str, tmp_path: pathlib.Path,
                                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.vmrace]\ncorpus = "{name}"\n')
    monkeypatch.chdir(tmp_path)
    for word in ("replay", "corpus", "doctor"):
        result = command(word)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1)
        assert result.stderr.startswith(f"vmrace: {tmp_path / 'pyproject.toml'}: tool.vmrace.corpus: ")


# ---- pytest ----------------------------------------------------------------------------------------------------------------------

@pytest.mark.long
def test_in_pytest_each_bad_file_is_a_failing_test_and_the_other_files_run(corpus: pathlib.Path) -> None:
    shutil.copy(ROOT / "conftest.py", corpus.parent.parent)
    (corpus.parent.parent / "pyproject.toml").write_text('[tool.vmrace]\ncorpus = "corpus"\n')
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tier", "all", "-rfE", "corpus"],
                         capture_output=True, text=True, cwd=corpus.parent.parent)
    assert ran.returncode == 1, ran.stdout
    failed = re.findall(r"^FAILED corpus/lru_free_2_4/(\w+)\.toml::text", ran.stdout, re.MULTILINE)
    assert sorted(failed) == sorted(ENTRIES)
    assert "ERROR" not in ran.stdout and "Traceback" not in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith(f"{len(failed)} failed, 3 passed")
    assert "corpus/lru_free_2_4/brackets.toml: brackets are nested too deeply" in ran.stdout


# ---- other files -------------------------------------------------------------------------------------------------------------------

def toml(line: str) -> Write:
    return lambda path: path.write_text(line)


RECORD = 'format = 1\ntitle = "x"\nfunctions = "mine:make"\nschedule = []\n'
ANY = ("binary", "zeros", "empty", "words", "directory", "dangling", "circle", "huge")
RECORDS: dict[str, tuple[Write, str]] = {
    **{name: ENTRIES[name] for name in ANY if name not in ("directory", "dangling", "circle", "empty")},
    "empty": (toml(""), "missing required field"),
    "brackets": (toml(f"args = {'[' * DEEP}"), "nested too deeply"),
    "digits": (toml(f"format = {'9' * DIGITS}"), "too many digits"),
    "hexadecimal": (toml(RECORD.replace("format = 1", f"format = 0x{'f' * DIGITS}")), "too many digits"),
    "no_target": (toml(RECORD.replace("mine:make", "mine")), "functions: no module 'mine' here"),
    "a_call": (toml(RECORD.replace("mine:make", "mine:make()")), "functions: no module"),
    "args": (toml(RECORD + "args = [3]"), "Expected `str`, got `int`"),
    "line": (toml(RECORD.replace("[]", '["hop"]')), "schedule: no schedule line"),
    "line_of_digits": (toml(RECORD.replace("[]", f'["cpu0 until before x in f #{"9" * DIGITS}"]')), "schedule: "),
    "field": (toml(RECORD + "more = 1"), "unknown field"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_bad_record_is_named_with_its_mistake(name: str, tmp_path: pathlib.Path) -> None:
    write, wrong = RECORDS[name]
    path = tmp_path / "x.run"
    write(path)
    for words in (("replay", path), ("show", path), ("replay", path, "mine:make")):
        result = command(*words)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1)
        assert result.stderr.startswith(f"vmrace: {path}: ") and wrong in result.stderr


CERTIFICATE = {"certificate": 1, "functions": "mine:make", "args": "[]", "program": "", "image": "", "vmrace": "", "bound": None,
               "equivalence": "", "verdict": "proved", "complete": True, "executions": 1, "blocked": 0, "digest": "a" * 24, "titles": {}}
CERTIFICATES: dict[str, tuple[Write, str]] = {
    "binary": ENTRIES["binary"], "directory": ENTRIES["directory"], "dangling": ENTRIES["dangling"], "huge": ENTRIES["huge"],
    "pipe": ENTRIES["pipe"],
    "empty": (toml(""), "not JSON"),
    "brackets": (toml("[" * DEEP), "nested too deeply"),
    "closed_brackets": (toml("[" * DEEP + "]" * DEEP), "nested too deeply"),
    "digits": (toml(json.dumps(CERTIFICATE).replace('"blocked": 0', f'"blocked": {"9" * DIGITS}')), "too many digits"),
    "null": (toml("null"), "not a certificate"),
    "bound": (toml(json.dumps(CERTIFICATE | {"bound": 10**4000})), "bound: 1"),
    "titles": (toml(json.dumps(CERTIFICATE | {"titles": {"x": "y"}})), "titles: a title without its number"),
    "args": (toml(json.dumps(CERTIFICATE | {"args": "[" * DEEP})), "args: "),
    "no_target": (toml(json.dumps(CERTIFICATE | {"functions": "mine"})), "no module 'mine'"),
    "entry": (toml(json.dumps({name: value for name, value in CERTIFICATE.items() if name not in ("functions", "args")}
                              | {"entry": "../../x\0", "variant": "a/b"})), "entry: "),
    "surrogate": (toml(json.dumps({name: value for name, value in CERTIFICATE.items() if name not in ("functions", "args")}
                                  | {"entry": "\ud800", "variant": "a/b"})), "entry: "),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_bad_certificate_is_named_with_its_mistake(name: str, tmp_path: pathlib.Path) -> None:
    write, wrong = CERTIFICATES[name]
    path = tmp_path / "x.json"
    write(path)
    result = command("verify", "--check", path)
    assert result.exit_code in (2, 3) and (result.stdout, result.stderr.count("\n")) == ("", 1), result.output
    assert wrong in result.stderr and (str(path) in result.stderr or name == "no_target")
    assert "our bug" not in result.stderr


LEDGERS: dict[str, tuple[Write, str]] = {
    **{name: ENTRIES[name] for name in ANY if name != "empty"},
    "empty": (toml(""), "missing required field"),
    "brackets": (toml(f"claim = {'[' * DEEP}"), "nested too deeply"),
    "digits": (toml(f"format = {'9' * DIGITS}"), "too many digits"),
    "hexadecimal": (toml(f"format = 0x{'f' * DIGITS}\nclaim = []"), "too many digits"),
    "types": (toml("format = 1\nclaim = [3]"), "claim[0]: Expected `object`, got `int`"),
}


@pytest.mark.parametrize("name", LEDGERS)
def test_a_bad_ledger_is_named_with_its_mistake(name: str, tmp_path: pathlib.Path) -> None:
    write, wrong = LEDGERS[name]
    path = tmp_path / "claims.toml"
    write(path)
    result = command("claims", "--corpus", tmp_path)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1), result.output
    assert result.stderr.startswith(f"vmrace: {path}: ") and wrong in result.stderr


STATES: dict[str, tuple[Write, str]] = {
    **{name: (write, "not the state of a proof") for name, (write, _) in ENTRIES.items() if name in ("binary", "zeros", "words")},
    "brackets": (toml("[" * DEEP + "\n"), "not the state of a proof"),
    "digits": (toml(f'{{"scope_proof": {"9" * DIGITS}}}\n'), "not the state of a proof"),
    "directory": (ENTRIES["directory"][0], "cannot be written: Is a directory"),
    "circle": (ENTRIES["circle"][0], "cannot be written: Too many levels"),
    "pipe": (ENTRIES["pipe"][0], "cannot be written: File or stream is not seekable"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", STATES)
def test_a_bad_state_of_a_scope_is_named_with_its_mistake(name: str, tmp_path: pathlib.Path) -> None:
    write, wrong = STATES[name]
    path = tmp_path / "state"
    write(path)
    result = command("verify", "lru_free_2_4/pre_patch", "--size", "1", "--operations", "touch", "--state", path)
    code = 3 if "cannot be written" in wrong else 2
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1), result.output
    assert result.stderr.startswith(f"vmrace: {path}: ") and wrong in result.stderr
