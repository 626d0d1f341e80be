# SPDX-License-Identifier: MIT
"""The command line as a user meets it: what it says, where, the exit code, and what is on disk afterwards."""

from __future__ import annotations

import io
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import click
import msgspec
import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import emit, load
from vmrace.fuzz.corpus.sample import SAMPLE, Sample
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug
from vmrace.harness import stop
from vmrace.variants.family import FAMILIES, family

from tests.documents import campaign, document

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
VARIANT = "lru_free_2_4/pre_patch"
TITLE = "BUG at mm/page_alloc.c:95 in __free_pages_ok"
RACE, IRQ = (GOLDEN / f"{name}.toml" for name in ("double-free", "last-reference"))
COMMAND = [sys.executable, "-m", "vmrace"]


def cli(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def refused(result: Result, code: int, *words: object) -> None:
    """Exactly one line on stderr, with all the words; nothing on stdout."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    line, = result.stderr.splitlines()
    assert line.startswith("vmrace: ")
    for word in words:
        assert str(word) in line


def usage(result: Result, *words: str) -> None:
    """click's own: the usage, and a last line that says what is wrong."""
    assert result.exit_code == 2
    for word in words:
        assert word in result.stderr.splitlines()[-1]


@pytest.fixture
def corpus(tmp_path: pathlib.Path) -> pathlib.Path:
    """A corpus with one entry, kept under another name than vmrace would give it."""
    place = tmp_path / "corpus" / "lru_free_2_4" / "mine.toml"
    place.parent.mkdir(parents=True)
    place.write_text(IRQ.read_text())
    return tmp_path / "corpus"


def changed(corpus: pathlib.Path, old: str, new: str) -> pathlib.Path:
    """The entry of the corpus with some text in place of other."""
    path = corpus / "lru_free_2_4" / "mine.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def files(place: pathlib.Path) -> dict[pathlib.Path, bytes]:
    return {path: path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def test_options_of_earlier_versions_are_understood() -> None:
    from vmrace.fuzz.cli.main import RENAMED, main
    for command, renamed in RENAMED.items():
        known = {option for parameter in main.commands[command].params for option in parameter.opts}
        assert set(renamed.values()) <= known and not set(renamed) & known, command
        words = [word for old in renamed for word in (old, f"{old}=1")]
        with click.Context(main) as context:
            assert main.resolve_command(context, [command, *words])[2] == [
                word for new in renamed.values() for word in (new, f"{new}=1")]


def test_help_tells_each_command_in_a_whole_line() -> None:
    told = " ".join(cli("--help").stdout.split()).partition("Commands:")[2]
    assert "..." not in told
    for name, command in main.commands.items():
        assert f" {name} {' '.join((command.short_help or '').split())}" in told


# ---- what a user gets wrong ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["prepatch", "lru_free_2_4/pre_pach", "lru_free/pre_patch", "pre_patch"])
def test_an_unknown_variant_is_told_with_the_nearest_one(name: str, tmp_path: pathlib.Path) -> None:
    refused(cli("fuzz", name, "--corpus", tmp_path / "c"), 2, f"no variant {name!r}", f"Did you mean {VARIANT}?")
    assert not (tmp_path / "c").exists()


def test_a_variant_that_is_like_nothing_is_told_where_to_look() -> None:
    refused(cli("fuzz", "zzzzz"), 2, "no variant 'zzzzz'", "vmrace variants")


@pytest.mark.parametrize("text", ["", "soon", "10x", "-5s", "0", "nan", "inf", "1e9s", "s"])
def test_a_time_that_is_none_is_a_usage_error(text: str, tmp_path: pathlib.Path) -> None:
    usage(cli("fuzz", VARIANT, "--for", text, "--corpus", tmp_path / "c"), "--for", "is no time (60s, 10m, 1h)")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("options", [["--workers", "0"], ["--workers", "65"], ["--runs", "-1"], ["--seed", "x"], ["--nosuch"]])
def test_an_option_out_of_range_is_a_usage_error(options: list[str]) -> None:
    usage(cli("fuzz", VARIANT, *options), options[0])


BROKEN = [
    ("format = 1", "format 1", "not TOML", "line 1"),
    ("format = 1\n", "", "format", "missing"),
    ("format = 1", "format = 2", "format: 2", "Update vmrace"),
    ("format = 1", "format = 0", "format: 0", "this vmrace reads 1"),
    ("format = 1", 'format = "1"', "format"),
    ("asks =", "askes =", "unknown field 'askes'", "Did you mean asks?"),
    ("cpu0 =", "cpu =", "unknown field 'cpu'", "Did you mean"),
    ("cpu0 =", "cpu9 =", "cpu9: there are at most 4 cpus, cpu0 .. cpu3"),
    ("cpu0 =", "cpu0_task3 = []\ncpu0_task2 = []\ncpu0_task1 = []\ncpu0 =", "cpu0: 4 tasks, there are at most 3 on a cpu"),
    ("cpu0 =", "cpu0_task1 =", "cpu0_task1", "are named"),
    ("cpu0 = [", "cpu0 = []\nunused = [", "unknown field 'unused'"),
    (f'title = "{TITLE}"', "title = 3", "title", "str"),
    (f'title = "{TITLE}"', 'title = ""', "title", "''"),
    (f'title = "{TITLE}"', "", "title", "missing"),
    ('"irq_put k0"', '"irq_putt k0"', "cpu0[0]", "no operation 'irq_putt'", "Did you mean irq_put?"),
    ('"irq_put k0"', '"irq_put"', "cpu0[0]", "irq_put takes one operand (a pin k0 .. k3); none given"),
    ('"irq_put k0"', '"irq_put k0 k1"', "cpu0[0]", "irq_put takes one operand (a pin k0 .. k3); two given"),
    ('"irq_put k0"', '"reclaim k0"', "cpu0[0]", "reclaim takes no operand; one given"),
    ('"irq_put k0"', '"fork m0"', "cpu0[0]", "fork takes two operands (an mm m0 .. m3, an mm m0 .. m3); one given"),
    ('"irq_put k0"', '"read m0.0"', "cpu0[0]", "'m0.0' is not a file page (one of f0.0 .. f1.1)"),
    ('"irq_put k0"', '"irq_put m0"', "cpu0[0]", "'m0' is not a pin", "k0 .. k3"),
    ('"pin m0.0 k0"', '"pin m0.9 k0"', "setup[0]", "'m0.9' is not a page", "m0.0 .. m3.2"),
    ('"exit m0"', '""', "setup[1]", "no operation ''"),
    ('"exit m0"', "7", "setup[1]", "str"),
    ("irq 0 on cpu0 until done", "cpu3 to the end", "schedule[0]", "cpu3 does not exist", "cpu0 on 1 cpu)"),
    ("irq 0 on cpu0 until done", "irq 0 on cpu2 until done", "schedule[0]", "cpu2 does not exist"),
    ("irq 0 on cpu0 until done", "cpu0_task1 to the end", "schedule[0]", "cpu0_task1 does not exist"),
    ("irq 0 on cpu0 until done", "cpu0 until lunch", "schedule[0]", "no schedule line: 'cpu0 until lunch'"),
    ('"lru_free_2_4/pre_patch"', '"lru_free_2_5/pre_patch"', "found_on", "no family 'lru_free_2_5'", "Did you mean lru_free_2_4?"),
    ('"lru_free_2_4/pre_patch"', '"lru_free_2_4"', "found_on", "no variant ''"),
    ("pre_patch = ", "pre_pach = ", "expect", "no variant 'pre_pach'", "Did you mean pre_patch?"),
    ("setup = [", "preempt = 1\nsetup = [", "preempt", "bool"),
    ("setup = [", "cpus = 5\nsetup = [", "cpus: 5"),
    ("setup = [", "cpus = -1\nsetup = [", "cpus: -1"),
]


@pytest.mark.parametrize("case", BROKEN, ids=[f"{case[0]} -> {case[1]}".strip()[:60] for case in BROKEN])
def test_a_broken_entry_is_refused_in_one_line_with_its_file_and_place(case: tuple[str, ...], corpus: pathlib.Path) -> None:
    old, new, *words = case
    path = changed(corpus, old, new)
    before = files(corpus)
    for command in (["replay", corpus], ["replay", corpus, "--accept"], ["show", path], ["shrink", path]):
        refused(cli(*command), 3, path, *words)
    assert files(corpus) == before


def test_too_many_operations_are_refused(corpus: pathlib.Path) -> None:
    path = changed(corpus, '  "exit m0",\n', '  "exit m0",\n' * 64)
    refused(cli("replay", corpus), 3, path, "setup", "more than 64")


def test_a_file_that_is_not_text_is_refused(corpus: pathlib.Path) -> None:
    path = corpus / "lru_free_2_4" / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    refused(cli("replay", corpus), 3, path, "not UTF-8")


@pytest.mark.parametrize("command", ["replay", "show", "shrink"])
def test_a_path_that_is_not_there_could_not_run(command: str, tmp_path: pathlib.Path) -> None:
    refused(cli(command, tmp_path / "gone.toml"), 3, tmp_path / "gone.toml", "o such file or directory")


def test_an_empty_corpus_is_nothing_run(tmp_path: pathlib.Path) -> None:
    refused(cli("replay", tmp_path), 4, tmp_path, "no entries")


def test_a_corpus_directory_that_cannot_be_made_is_told_before_the_campaign(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        refused(cli("fuzz", VARIANT, "--corpus", place), 3, place, "cannot be written")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.long
def test_a_place_that_cannot_be_written_loses_nothing(corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("mine")
    path = corpus / "lru_free_2_4" / "mine.toml"
    result = cli("shrink", path, "--into", tmp_path / "file")
    assert result.exit_code == 3
    assert "cannot be written" in result.stderr
    assert (tmp_path / "file").read_text() == "mine"
    assert path.read_text() == IRQ.read_text()


@pytest.mark.long
def test_a_directory_named_like_an_entry_is_named_and_the_entries_are_replayed(corpus: pathlib.Path) -> None:
    (corpus / "x.toml").mkdir()
    result = cli("replay", corpus)
    assert result.exit_code == 3
    assert f"{corpus / 'x.toml'}: a directory, not a file" in result.stderr
    assert "2 entries, " in result.stdout or "1 entry, " in result.stdout


@pytest.mark.parametrize("command", ["replay", "show"])
def test_an_unknown_variant_of_an_entry_is_told_with_the_nearest_one(command: str) -> None:
    refused(cli(command, IRQ, "--variant", "pre_pach"), 2, "no variant 'pre_pach'", "Did you mean pre_patch?")


@pytest.mark.long
def test_an_operation_that_a_variant_lacks_is_not_applicable_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(family("lru_free_2_4").without, "daniel_lru_count", ("irq_put",))
    result = cli("replay", IRQ)
    assert result.exit_code == 0
    assert re.search(r"BUG +n/a", result.stdout)
    assert "1 not applicable" in result.stdout
    assert "n/a on daniel_lru_count: it lacks irq_put" in cli("show", IRQ, "--variant", "daniel_lru_count").stdout
    monkeypatch.setitem(family("lru_free_2_4").without, "pre_patch", ("irq_put",))
    refused(cli("shrink", IRQ), 1, IRQ, "lacks irq_put")
    assert cli("replay", IRQ).exit_code == 1


@pytest.mark.long
def test_a_setup_that_fails_alone_is_told_and_not_a_traceback(corpus: pathlib.Path) -> None:
    path = changed(corpus, '  "exit m0",\n', '  "exit m0",\n  "irq_put k0",\n  "swap_out",\n  "read f0.0",\n')
    shown = cli("show", path)
    assert shown.exit_code == 0
    assert f"the setup alone ends in: {TITLE}" in shown.stdout
    refused(cli("shrink", path), 1, path, "the setup alone ends in")
    assert "BUG" in cli("replay", path).stdout


# ---- help ----------------------------------------------------------------------------------------------------------

def test_the_overview_has_a_line_for_every_command_to_come() -> None:
    from vmrace.fuzz.cli.main import OVERVIEW
    assert set(main.commands) <= set(OVERVIEW)


def test_alone_it_says_what_there_is() -> None:
    result = cli()
    assert result.exit_code == 0
    for name in main.commands:
        assert f"vmrace {name}" in result.stdout
    assert all(len(line) <= 100 for line in result.stdout.splitlines())


@pytest.mark.parametrize("command", [[], *([name] for name in main.commands)])
def test_every_command_has_help(command: list[str]) -> None:
    result = cli(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


SUBCOMMANDS = [(name, other) for name, command in main.commands.items() if hasattr(command, "commands") for other in command.commands]


@pytest.mark.parametrize("command", SUBCOMMANDS, ids=" ".join)
def test_every_subcommand_has_help(command: tuple[str, str]) -> None:
    result = cli(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


HEAVY = ("hypothesis", "rich", "coverage", "multiprocessing")


@pytest.mark.long
@pytest.mark.parametrize("args", [[], ["--help"], ["replay", "--help"], ["fuzz", "--help"], ["variants"], ["corpus"]],
                         ids=lambda args: " ".join(args)[:20] or "bare")
def test_what_should_be_quick_imports_nothing_heavy(args: list[str]) -> None:
    script = ("import sys\nfrom vmrace.fuzz.cli.main import main\n"
              f"try: main({args!r})\nexcept SystemExit as end: assert not end.code, end.code\n"
              f"found = [name for name in {HEAVY!r} if name in sys.modules]\nassert not found, found")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_variants_as_json_have_their_operations_and_sanitizers() -> None:
    told = document(cli("variants", "--json").stdout, "variants")["variants"]
    assert [(one["family"], one["variant"]) for one in told] == [(made, name) for made in FAMILIES for name in family(made).variants]
    for one in told:
        assert one["operations"]
        assert one["sanitizers"]


# ---- replay, show, shrink ---------------------------------------------------------------------------------------------

@pytest.mark.long
def test_a_replay_as_expected_is_0_and_writes_nothing(corpus: pathlib.Path) -> None:
    before = files(corpus)
    result = cli("replay", corpus)
    assert result.exit_code == 0
    assert "all as expected" in result.stdout
    assert "exit 0" in result.stdout
    assert files(corpus) == before


@pytest.mark.long
def test_a_changed_verdict_is_1_and_told_with_what_was_expected(corpus: pathlib.Path) -> None:
    path = changed(corpus, f'pre_patch = "{TITLE}"', 'pre_patch = "ok in 300"')
    result = cli("replay", corpus)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = lines.index(f"{load(path).name}  pre_patch")
    assert lines[at + 1] == "  expected  ok in 300"
    assert lines[at + 2].startswith(f"  found     {TITLE}: ")
    assert lines[at + 3] == f"  if that is right: vmrace corpus accept {path} --variant pre_patch=BUG"
    assert "1 not as expected" in result.stdout
    assert "exit 1" in result.stdout


@pytest.mark.long
def test_a_point_that_was_renamed_is_diverged_and_not_accepted_while_other_schedules_still_find_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "race.toml"
    path.write_text(RACE.read_text().replace("page_cache_get(A)", "page_cache_got(A)"))
    result = cli("replay", path, "--variant", "pre_patch")
    assert result.exit_code == 1
    assert "DIVERGED" in result.stdout
    assert "`page_cache_got(A)` in shrink_cache" in result.stdout
    before = path.read_text()
    accepted = cli("replay", path, "--variant", "pre_patch", "--accept")
    assert accepted.exit_code == 1
    assert re.search(r"but double free in __free_pages_ok in [\d,]+ of [\d,]+ classes of schedules", accepted.stdout)
    assert path.read_text() == before
    assert "DIVERGED" in cli("show", path).stdout


@pytest.mark.long
def test_accept_writes_the_same_file_in_canonical_form(corpus: pathlib.Path) -> None:
    path = changed(corpus, "[expect]", "  # a remark\n[expect]")
    before = set(files(corpus))
    result = cli("replay", corpus, "--accept")
    assert result.exit_code == 0
    assert f"wrote {path}" in result.stdout
    assert set(files(corpus)) == before
    assert path.read_text() == emit(load(path))
    assert load(path).expect == {"pre_patch": bug(TITLE), "daniel_lru_count": Verdict(Word.PROVED, number=1)}
    assert cli("replay", corpus, "--accept").stdout.count("wrote") == 0


@pytest.mark.long
def test_accept_writes_an_entry_outside_any_corpus_where_it_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "x.toml"
    path.write_text(IRQ.read_text())
    assert cli("replay", path, "--accept").exit_code == 0
    assert list(files(tmp_path)) == [path]
    assert "daniel_lru_count" in load(path).expect


@pytest.mark.long
def test_replaying_often_agrees_and_counts_it() -> None:
    result = cli("replay", IRQ, "--times", "3")
    assert result.exit_code == 0
    assert "each schedule followed 3 times" in result.stdout
    assert "unstable" not in result.stdout


@pytest.mark.long
def test_a_replay_that_does_not_agree_with_itself_is_told_and_never_accepted(
        corpus: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import vmrace.fuzz.replay.replay
    calls = iter(range(1000))
    monkeypatch.setattr(vmrace.fuzz.replay.replay, "follow", lambda entry, executor: f"{next(calls):016x} nothing like before")
    before = files(corpus)
    result = cli("replay", corpus, "--times", "2", "--accept")
    assert result.exit_code == 1
    assert "unstable: " in result.stdout
    assert files(corpus) == before


@pytest.mark.long
@pytest.mark.parametrize("entry", [RACE, IRQ], ids=["race", "irq"])
def test_threads_and_greenlets_give_the_same_digests(entry: pathlib.Path) -> None:
    def table(backend: str) -> list[str]:
        result = cli("replay", entry, "--backend", backend, "--digests")
        assert result.exit_code == 0
        return result.stdout.splitlines()[:-1]
    assert re.search(r"BUG [0-9a-f]{16}", table("greenlets")[2])
    assert table("threads") == table("greenlets")


@pytest.mark.long
@pytest.mark.parametrize("form", ["\r\n", "comment", "unicode", "control", "byte order mark"])
def test_text_that_people_and_editors_put_there_survives(form: str, corpus: pathlib.Path) -> None:
    path = corpus / "lru_free_2_4" / "mine.toml"
    text = IRQ.read_text()
    if form == "comment":
        text = "# größer als ∞\n# zwei\n" + text
    elif form == "unicode":
        text = text.replace('asks = "', 'asks = "größer als ∞? ')
    elif form == "control":
        text = text.replace('asks = "', 'asks = "two\\nlines, a\\ttab, \\"quotes\\" \\\\ \\u007F ')
    mark = "\ufeff" * (form == "byte order mark")
    path.write_bytes((mark + text.replace("\n", "\r\n" if form == "\r\n" else "\n")).encode())
    kept = load(path)
    assert cli("replay", corpus, "--accept").exit_code == 0
    again = load(path)
    assert (again.asks, again.comment, again.identity) == (kept.asks, kept.comment, kept.identity)
    assert path.read_bytes() == emit(again).encode()


def test_show_tells_the_story_of_an_entry_on_any_variant() -> None:
    result = cli("show", RACE)
    assert result.exit_code == 0
    for word in ("kernel BUG: double free", "Call trace:", "| cpu1", "schedule", "verdicts"):
        assert word in result.stdout
    other = cli("show", RACE, "--variant", "daniel_lru_count")
    assert other.exit_code == 0
    assert "daniel_lru_count: " in other.stdout


@pytest.mark.long
def test_shrink_makes_an_entry_that_replays_beside_the_one_it_was_given(corpus: pathlib.Path) -> None:
    path = changed(corpus, "asks = ", '# triage\nasks = "Mine?" # ')
    path = changed(corpus, "setup = [", 'setup = [\n  "load m0.1",')
    result = cli("shrink", path)
    assert result.exit_code == 0, result.output
    for word in ("shrunk ", "minimal ", "pass "):
        assert word in result.stdout
    made, = set(files(corpus)) - {path}
    assert made.parent == path.parent
    fresh = load(made)
    assert made.name == fresh.name.rpartition("/")[2] + ".toml"
    assert fresh.program.size < load(path).program.size
    assert fresh.asks == "Mine?"
    assert cli("replay", corpus).exit_code == 0


def test_shrinking_what_no_longer_fails_says_so(corpus: pathlib.Path) -> None:
    path = changed(corpus, f'title = "{TITLE}"', 'title = "double free in nowhere"')
    before = files(corpus)
    refused(cli("shrink", path), 1, path, "double free in nowhere", TITLE)
    assert files(corpus) == before


def test_an_error_of_ours_is_3_and_never_looks_like_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    import vmrace.fuzz.replay.replay
    from vmrace.harness.errors import HarnessError

    def broken(*args: object, **how: object) -> object:
        raise HarnessError("the machine is upside down")
    monkeypatch.setattr(vmrace.fuzz.replay.replay, "judge_entry", broken)
    result = cli("replay", IRQ)
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == "vmrace: this is our bug, please report it: HarnessError: the machine is upside down"


# ---- entries by name, corpus, shrink --refind, doctor ------------------------------------------------------------------------

@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A directory with a corpus/ of two entries, where commands are called."""
    from vmrace.fuzz.corpus.entry import save
    monkeypatch.chdir(tmp_path)
    for path in (RACE, IRQ):
        save(load(path), pathlib.Path("corpus"))
    return tmp_path


@pytest.mark.parametrize("name", ["double-free", "double-free-{0}", "{0}", "double-free-in-__free_pages_ok-{0}",
                                  "lru_free_2_4/double-free-in-__free_pages_ok-{0}",
                                  "corpus/lru_free_2_4/double-free-in-__free_pages_ok-{0}.toml"])
def test_an_entry_is_named_by_its_file_or_a_part_of_its_name(name: str, here: pathlib.Path) -> None:
    result = cli("show", name.format(load(RACE).identity))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("double free in __free_pages_ok\n")


def test_what_a_command_calls_an_entry_names_it(here: pathlib.Path) -> None:
    from vmrace.fuzz.corpus.entry import find
    from vmrace.fuzz.corpus.index import handle, named
    for path in find(pathlib.Path("corpus")):
        name = handle(load(path))
        assert len(name) < len(path.stem)
        assert named(name) == path
    elsewhere = here / "mine.toml"
    elsewhere.write_text(IRQ.read_text())
    assert named(handle(load(elsewhere))) == elsewhere


def test_two_titles_of_one_run_have_names_that_differ(tmp_path: pathlib.Path) -> None:
    from vmrace.fuzz.corpus.entry import find, save
    from vmrace.fuzz.corpus.index import NoSuchEntry, named, short_name
    entry = load(IRQ)
    for title in ("RACE: store a and load in f", "RACE: store a and store in f"):
        save(msgspec.structs.replace(entry, title=title, path=None), tmp_path)
    paths = find(tmp_path)
    names = [short_name(load(path)) for path in paths]
    assert len(set(names)) == len(paths) == 2
    assert [named(name, tmp_path) for name in names] == paths
    with pytest.raises(NoSuchEntry, match=f"fits 2 entries: {names[0]}, {names[1]}"):
        named(entry.identity, tmp_path)


@pytest.mark.parametrize("command", [["show"], ["shrink"], ["corpus", "accept"]])
def test_a_name_that_no_entry_or_more_than_one_has_is_a_usage_error(command: list[str], here: pathlib.Path) -> None:
    refused(cli(*command, "nothing"), 2, "no entry 'nothing' in corpus/", "vmrace corpus")
    refused(cli(*command, "__free_pages_ok"), 2, "'__free_pages_ok' fits 2 entries: bug-at-", "double-free-")


def test_the_corpus_is_listed_as_text_and_as_json(here: pathlib.Path) -> None:
    result = cli("corpus")
    assert result.exit_code == 0
    assert "lru_free_2_4   2 entries" in result.stdout
    told = document(cli("corpus", "--json").stdout, "corpus")["entries"]
    assert [one["title"] for one in told] == [TITLE, "double free in __free_pages_ok"]
    assert set(told[0]) == {"path", "name", "title", "asks", "source", "found_on", "expect"}
    refused(cli("corpus", "--corpus", here / "gone"), 3, "no such file")
    (here / "empty").mkdir()
    refused(cli("corpus", "--corpus", here / "empty"), 4, "no entries")


@pytest.fixture
def short_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up a proof after 300 runs instead of 5,000. On daniel_lru_count, the proof of RACE takes 25,873: it is given up anyway."""
    import vmrace.fuzz.corpus.judge
    explore = vmrace.fuzz.corpus.judge.explore_on
    monkeypatch.setattr(vmrace.fuzz.corpus.judge, "explore_on",
                        lambda executor, program, runs_max: explore(executor, program, runs_max=min(runs_max, 300)))


@pytest.mark.long
@pytest.mark.usefixtures("short_proofs")
def test_accepting_a_verdict_writes_what_is_so_and_nothing_else(here: pathlib.Path) -> None:
    before = files(here)
    refused(cli("corpus", "accept", "double-free", "--variant", "pre_patch=ok"), 1,
            "pre_patch is 'BUG double free in __free_pages_ok', not 'ok'; nothing was written")
    assert files(here) == before
    result = cli("corpus", "accept", "double-free", "--variant", "daniel_lru_count=ok", "--variant", "pre_patch=BUG")
    assert result.exit_code == 0, result.output
    path, = (path for path in files(here) if "double-free" in path.name)
    assert load(path).expect == {"pre_patch": bug("double free in __free_pages_ok"), "daniel_lru_count": Verdict(Word.OK, number=SAMPLE)}
    assert path.read_text() == emit(load(path))
    assert set(files(here)) == set(before)


@pytest.mark.long
def test_accepting_without_a_variant_takes_what_is_found_on_all(here: pathlib.Path) -> None:
    assert cli("corpus", "accept", "bug-at").exit_code == 0
    path, = (path for path in files(here) if "bug-at" in path.name)
    assert set(load(path).expect) == set(family("lru_free_2_4").variants)
    refused(cli("corpus", "accept", "bug-at", "--variant", "pre_pach=ok"), 2, "no variant 'pre_pach'", "Did you mean pre_patch?")


@pytest.mark.long
def test_what_is_accepted_is_what_a_replay_finds(here: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry's own title is among all schedules, too; a replay samples some, and comes to another one first."""
    import vmrace.fuzz.corpus.judge
    from vmrace.fuzz.corpus.judge import Judged
    monkeypatch.setattr(vmrace.fuzz.corpus.judge, "_explore",
                        lambda entry, *_: Judged(bug(entry.title), "in 1 of 2 classes", 2, elsewhere=True))
    monkeypatch.setattr(vmrace.fuzz.corpus.judge, "run_sample", lambda *_: Sample(SimpleNamespace(titles=["double free in f"]), 7, ""))
    result = cli("corpus", "accept", "bug-at", "--variant", "daniel_lru_count=BUG")
    assert result.exit_code == 0, result.output
    path, = (path for path in files(here) if "bug-at" in path.name)
    assert load(path).expect["daniel_lru_count"] == bug("double free in f")
    assert cli("replay", path).exit_code == 0


def test_a_verdict_that_is_flaky_is_not_accepted(here: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import vmrace.fuzz.corpus.index
    from vmrace.fuzz.corpus.judge import Judged
    monkeypatch.setattr(vmrace.fuzz.corpus.index, "judge_entry",
                        lambda *args, **how: Judged(Verdict(Word.FLAKY, number=17, of=20), "the same decisions gave different runs", 20))
    before = files(here)
    refused(cli("corpus", "accept", "bug-at", "--variant", "pre_patch"), 1, "FLAKY 17/20", "cannot be accepted")
    assert files(here) == before


@pytest.mark.long
def test_the_way_out_that_a_replay_names_for_a_renamed_point_works(here: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found near it: so it may be that the race was fixed, or that a point was renamed."""
    import vmrace.fuzz.corpus.judge
    monkeypatch.setattr(vmrace.fuzz.corpus.judge, "run_sample", lambda executor, prepared, sample: Sample(None, sample, ""))
    path, = (here / "corpus" / "lru_free_2_4").glob("double-free*")
    renamed = load(path)
    path.unlink()
    path = path.with_name("renamed.toml")
    path.write_text(emit(renamed).replace("page_cache_get(A)", "page_cache_got(A)").replace("asks = ", "# triage\nasks = ", 1))
    result = cli("replay", "--variant", "pre_patch")
    assert result.exit_code == 1
    fixed, found = (line.split(":", 1)[1].split() for line in result.stdout.splitlines() if line.startswith("  if you "))
    assert fixed == ["vmrace", "corpus", "accept", "renamed", "--variant", "pre_patch=ok"]
    assert found == ["vmrace", "shrink", "renamed", "--refind"]
    refused(cli("shrink", "renamed"), 1, "DIVERGED", "--refind looks for it by other schedules")
    assert path.exists()
    again = cli(*found[1:])
    assert again.exit_code == 0, again.output
    assert not path.exists()
    fresh = load(next((here / "corpus" / "lru_free_2_4").glob("double-free*")))
    assert (fresh.title, fresh.asks) == (renamed.title, renamed.asks)
    assert cli("replay").exit_code == 0


@pytest.mark.long
def test_what_is_not_found_again_is_left_as_it_is(here: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import vmrace.fuzz.shrink.again
    monkeypatch.setattr(vmrace.fuzz.shrink.again, "REFIND_RUNS", 50)
    path, = (here / "corpus" / "lru_free_2_4").glob("bug-at*")
    path.write_text(path.read_text().replace(TITLE, "BUG at mm/page_alloc.c:96 in __free_pages_ok"))
    before = files(here)
    refused(cli("shrink", path, "--refind"), 1, path, "not found again in 50 schedules")
    assert files(here) == before


def doctor(*args: object) -> tuple[int, dict[str, list[str]]]:
    """Its exit code, and the texts by their state."""
    result = cli("doctor", *args)
    told: dict[str, list[str]] = {"ok": [], "note": [], "FAIL": []}
    for line in result.stdout.splitlines()[:-1]:
        state, text = line.split(maxsplit=1)
        told[state].append(text)
    assert result.stdout.splitlines()[-1].startswith("vmrace: ")
    return result.exit_code, told


@pytest.mark.long
def test_the_doctor_finds_nothing_wrong_here(here: pathlib.Path) -> None:
    code, told = doctor()
    assert code == 0
    assert not told["FAIL"]
    for word in ("Python 3.", "greenlet ", "click ", "cores", "the explorer of verify and diff is", "variants link",
                 "greenlets and threads give the same digest",
                 "corpus/: 2 entries readable and in canonical form", "corpus/ can be written"):
        assert any(word in text for text in (*told["ok"], *told["note"])), word
    assert len(list(here.rglob("*"))) == 4          # nothing is left behind


@pytest.mark.long
def test_the_doctor_needs_no_corpus(tmp_path: pathlib.Path) -> None:
    code, told = doctor("--corpus", tmp_path / "none")
    assert code == 0
    assert any("does not exist" in text for text in told["note"])
    assert not (tmp_path / "none").exists()


@pytest.mark.long
def test_the_doctor_names_what_is_wrong_with_each_entry_and_where(corpus: pathlib.Path) -> None:
    path = corpus / "lru_free_2_4" / "mine.toml"
    (path.parent / "broken.toml").write_text("format = 2")
    (path.parent / "spaced.toml").write_text(IRQ.read_text().replace("[expect]", "\n[expect]"))
    (path.parent / "binary.toml").write_bytes(b"\xff")
    code, told = doctor("--corpus", corpus)
    assert code == 3
    assert len(told["FAIL"]) == 4
    wanted = {"mine.toml": "should be named", "broken.toml": "format: 2", "spaced.toml": "canonical form from line", "binary.toml": "UTF-8"}
    for name, why in wanted.items():
        assert any(name in text and why in text for text in told["FAIL"]), name


@pytest.mark.long
def test_the_doctor_tells_of_backends_that_differ_and_of_old_packages(here: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    import vmrace.fuzz.measure.installation
    digests = iter("ab" * 20)
    monkeypatch.setattr(vmrace.fuzz.measure.installation, "_digest", lambda executor: next(digests))
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["click>=99.1", "nosuchthing>=1", 'pytest>=99; extra == "test"'])
    code, told = doctor()
    assert code == 3
    for word in ("the backends differ: greenlets a, threads b", "too old (99.1 or newer); pip install -U click", "nosuchthing is missing"):
        assert any(word in text for text in told["FAIL"]), word
    assert not any("pytest" in text for text in told["FAIL"])


@pytest.mark.parametrize(("version", "numbers"), [("3.1", (3, 1)), ("15.0.0", (15, 0, 0)), ("8.2.0rc1", (8, 2)), ("6.100.8", (6, 100, 8))])
def test_versions_are_compared_as_numbers(version: str, numbers: tuple[int, ...]) -> None:
    import vmrace.fuzz.measure.installation
    assert vmrace.fuzz.measure.installation.numbers(version) == numbers


# ---- campaigns ---------------------------------------------------------------------------------------------------------

def fuzz(corpus: pathlib.Path, *options: str, seed: int = 3, seconds: str = "6s") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, "fuzz", VARIANT, "--seed", str(seed), "--for", seconds, "--corpus", str(corpus), *options],
                          capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, subprocess.CompletedProcess[str]]:
    """A campaign that found something. Seeds 3, 4, 5: the most common title takes a few thousand runs, a second or two."""
    corpus = tmp_path_factory.mktemp("found")
    for seed in (3, 4, 5):
        done = fuzz(corpus, "--json", seed=seed, seconds="60s")
        if done.returncode:
            break
    return corpus, done


def test_a_new_title_is_1_and_told_in_json(found: tuple[pathlib.Path, subprocess.CompletedProcess[str]]) -> None:
    corpus, done = found
    assert done.returncode == 1, done.stderr
    told, last = campaign(done.stdout)
    assert last["new"]
    assert last["runs"] > 0
    assert not last["interrupted"]
    assert {one["title"] for one in told if one["type"] == "finding"} == set(last["new"])
    for one in told:
        assert one["variant"] == VARIANT
        assert one["run"] > 0
        assert set(one["before"]) == set(one["after"]) == {"operations", "tasks", "cpus", "preemptions"}
        assert one["after"]["operations"] <= one["before"]["operations"]
        assert load(pathlib.Path(one["path"])).title == one["title"]
    assert {pathlib.Path(one["path"]) for one in told} == set(files(corpus))


def test_what_a_campaign_kept_replays(found: tuple[pathlib.Path, subprocess.CompletedProcess[str]]) -> None:
    assert cli("replay", found[0]).exit_code == 0


@pytest.mark.long
def test_titles_that_are_all_known_are_0(found: tuple[pathlib.Path, subprocess.CompletedProcess[str]], tmp_path: pathlib.Path) -> None:
    """The first campaign stops at its first title, and so does one without a corpus: the same seed comes to the same title."""
    corpus, first = found
    summary = campaign(first.stdout)[1]
    before = files(corpus)
    done = fuzz(corpus, "--json", seed=summary["seed"], seconds="3s")
    told, last = campaign(done.stdout)
    if last["new"]:                # it went on, and came to another one
        assert done.returncode == 1
        return
    assert done.returncode == 0
    assert all(one["type"] != "finding" for one in told)
    assert set(last["known"]) == set(last["titles"])
    assert files(corpus) == before


@pytest.mark.long
@pytest.mark.parametrize(("runs", "workers"), [(1, 1), (7, 2), (1234, 2), (1500, 1)])
def test_so_many_runs_are_so_many(runs: int, workers: int, tmp_path: pathlib.Path) -> None:
    """Not a program or a shard more, however many workers share them."""
    done = fuzz(tmp_path, "--runs", str(runs), "--workers", str(workers), "--keep-going", "--no-shrink", "--json", seconds="60s")
    assert done.returncode in (0, 1), done.stderr
    last = campaign(done.stdout)[1]
    assert last["runs"] == runs
    assert not last["lost_shards"]


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program of a campaign is one that fails: what is asked is what happens then, and not how soon."""
    import vmrace.fuzz.campaign.shard
    program = load(IRQ).program
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_choose", lambda shard: (program, []))


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_what_is_not_shrunk_because_asked_says_so(tmp_path: pathlib.Path) -> None:
    result = cli("fuzz", VARIANT, "--no-shrink", "--corpus", tmp_path)
    assert result.exit_code == 1, result.output
    assert "  minimal   no: not shrunk, as --no-shrink asks\n" in result.stdout
    assert "budget" not in result.stdout
    path, = files(tmp_path)
    assert f"      vmrace shrink {path}\n" in result.stdout
    assert "vmrace: 1 title not shrunk to the end" in result.stdout


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_campaign_ends_near_its_time_and_says_which_shrinking_that_cut(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrinking made to take for ever; it has two seconds after the three of the campaign."""
    import vmrace.fuzz.shrink.minimize
    from vmrace.fuzz.shrink.failing import Attempts
    monkeypatch.setattr(vmrace.fuzz.shrink.minimize, "_prove_operations",
                        lambda state, budget: [Attempts(state.failing, budget).enumerate(1, 10**9) for _ in range(10**9)])
    result = cli("fuzz", VARIANT, "--for", "3s", "--corpus", tmp_path, "--json")
    assert result.exit_code == 1, result.output
    (finding, *_), last = campaign(result.stdout)
    assert finding["cut"] == "the time was up"
    assert not finding["operations_proved"]
    assert load(pathlib.Path(finding["path"])).title == finding["title"]
    assert 5 <= last["seconds"] < 35        # then it would be killed; it is also replayed twenty times, and machines are slow
    assert last["unshrunk"] == [finding["title"]]


@pytest.mark.parametrize(("seconds", "more"), [(1, 2), (60, 6), (3600, 30)])
def test_shrinking_may_take_a_tenth_longer_within_reason(seconds: float, more: float) -> None:
    from vmrace.fuzz.text.times import shrink_seconds
    assert shrink_seconds(seconds) == more


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_finding_of_an_unfinished_shard_is_kept_on_ctrl_c(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard of a minute, and an interrupt as soon as it has seen something: that is confirmed and kept."""
    import vmrace.fuzz.campaign.driver
    import vmrace.fuzz.campaign.shard
    failed, driver = vmrace.fuzz.campaign.shard._Shard._failed, os.getpid()

    def interrupting(shard: object, *args: object) -> None:
        failed(shard, *args)  # type: ignore[arg-type]
        if not stop.asked():                    # a second signal ends it at once
            os.kill(driver, signal.SIGTERM)
        time.sleep(0.1)
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_failed", interrupting)
    result = cli("fuzz", VARIANT, "--for", "60s", "--corpus", tmp_path / "c", "--keep-going", "--json", "--workers", "1")
    assert result.exit_code == 130, result.output
    (finding,), last = campaign(result.stdout)
    assert last["interrupted"]
    assert last["runs"] > 0
    assert last["seconds"] < 40
    assert last["new"] == [finding["title"]] == [load(path).title for path in files(tmp_path / "c")]
    assert finding["cut"] == "interrupted"
    assert cli("replay", tmp_path / "c").exit_code == 0


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_worker_that_does_not_answer_is_not_waited_for_and_what_it_shrank_is_kept(
        tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first interrupt comes while a finding is being shrunk by a worker that is stuck: it is kept as it was found."""
    import vmrace.fuzz.campaign.driver
    import vmrace.fuzz.shrink.minimize
    monkeypatch.setattr(vmrace.fuzz.campaign.driver, "ASKED_SECONDS", 0.5)
    driver = os.getpid()

    def stuck(*arguments: object) -> None:
        os.kill(driver, signal.SIGINT)
        time.sleep(60)
    monkeypatch.setattr(vmrace.fuzz.shrink.minimize, "shrink_program", stuck)
    started = time.monotonic()
    result = cli("fuzz", VARIANT, "--corpus", tmp_path / "c", "--json", "--workers", "1")
    assert result.exit_code == 130, result.output
    assert time.monotonic() - started < 40
    (hit,), last = campaign(result.stdout)
    assert (hit["type"], hit["why"]) == ("raw", "interrupted")
    assert {pathlib.Path(hit["path"])} == set(files(tmp_path / "c"))
    assert last["raw"] == {hit["title"]: hit["path"]} and last["new"] == []


@pytest.mark.long
@pytest.mark.skipif(not pathlib.Path("/proc/self/task").is_dir(), reason="finds the workers in /proc")
def test_a_signal_to_the_whole_group_loses_nothing(tmp_path: pathlib.Path) -> None:
    """`timeout` and batch systems send a signal so: the workers get it, too."""
    process = start(tmp_path, "--for", "60s", "--seed", "3", "--keep-going", "--no-shrink", "--json", group=True)
    until_found(process, tmp_path)
    os.killpg(process.pid, signal.SIGTERM)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    last = campaign(rest)[1]
    assert not last["lost_shards"]
    assert {load(path).title for path in files(tmp_path)} == set(last["new"])


@pytest.mark.long
def test_known_titles_read_as_such(found: tuple[pathlib.Path, subprocess.CompletedProcess[str]], tmp_path: pathlib.Path) -> None:
    kept, first = found
    title = campaign(first.stdout)[1]["new"][0]         # two workers may each have found one
    kept_as = next(path for path in files(kept) if load(path).title == title)       # another test may have found more
    corpus = tmp_path / "known"
    path = corpus / kept_as.relative_to(kept)
    path.parent.mkdir(parents=True)
    shutil.copy(kept_as, path)
    done = fuzz(corpus, "--runs", "30000", "--no-shrink", seed=campaign(first.stdout)[1]["seed"], seconds="20s")
    if done.returncode == 0:
        assert "vmrace: no new title, and 1 known title again, in " in done.stdout
        assert done.stdout.splitlines()[-1].endswith("name an empty corpus: --corpus found")
    assert f"{corpus}/ knows 1 title of this variant: runs that show it again are counted, but do not stop the campaign" in done.stdout
    assert re.search(rf"known     {re.escape(title)}\n          run [\d,]+ \(\w+\), after [\d.]+ s; kept as {path}\n", done.stdout)
    assert re.search(rf"{re.escape(title)} \(known\) +[\d,]+ +[\d,]+\n", done.stdout)


def test_text_says_what_no_finding_means(tmp_path: pathlib.Path) -> None:
    done = fuzz(tmp_path, "--workers", "1", seed=1, seconds="0.3s")
    assert "campaign lru_free_2_4/pre_patch   seed 1   1 worker   stops at the first new title" in done.stdout
    assert re.search(r"^vmrace: (no finding in .*at 95 % confidence fewer than 1 run in|\d+ new titles? in )", done.stdout, re.M)


def test_the_table_of_schedulers_leaves_out_those_that_made_no_run() -> None:
    from vmrace.fuzz.campaign.report import schedulers_table
    from vmrace.fuzz.sampling.portfolio import Tally
    table = schedulers_table({"walk": Tally(runs=7, distinct=6), "surw": Tally(), "checked": Tally(findings=2)})
    assert [line.split() for line in table[1:]] == [["checked", "-", "-", "-", "2"], ["walk", "7", "6", "0", "0"]]


def test_a_campaign_of_no_runs_claims_nothing() -> None:
    from vmrace.fuzz.campaign.report import summary
    from vmrace.fuzz.campaign.status import Status
    assert summary(Status(started=time.monotonic()))[-1].endswith("which says nothing")
    assert "fewer than 1 run in 1,001 fails" in summary(Status(started=time.monotonic(), runs=3000))[-1]


def test_a_shard_that_is_given_up_is_no_success() -> None:
    from vmrace.fuzz.campaign.report import summary
    from vmrace.fuzz.campaign.status import Status
    from vmrace.fuzz.cli.fuzz import _fuzz_exit
    again, lost = (Status(started=time.monotonic(), runs=3000, lost=4, given_up=given_up) for given_up in (0, 1))
    assert (_fuzz_exit(again), _fuzz_exit(lost)) == (0, 3)
    assert "; 4 shards lost and run again: at 95 %" in summary(again)[-1]
    assert "; 4 shards lost, 1 not run again: at 95 %" in summary(lost)[-1]
    lost.new.append("double free in f")
    assert _fuzz_exit(lost) == 1


def test_a_finding_that_is_kept_already_loses_no_triage(tmp_path: pathlib.Path) -> None:
    from vmrace.fuzz.corpus.entry import save
    kept = load(IRQ)
    kept.comment, kept.asks = "# seen by a person\n", "Mine?"
    kept.expect = {"daniel_lru_count": Verdict(Word.OK, number=300)}
    path = save(kept, tmp_path)
    assert save(load(IRQ), tmp_path) == path
    merged = load(path)
    assert (merged.comment, merged.asks) == ("# seen by a person\n", "Mine?")
    assert merged.expect == {"daniel_lru_count": Verdict(Word.OK, number=300), "pre_patch": bug(TITLE)}


@pytest.mark.long
def test_two_campaigns_may_keep_into_one_corpus(tmp_path: pathlib.Path) -> None:
    running = [start(tmp_path, "--for", "4s", "--seed", str(seed), "--workers", "1") for seed in (3, 3)]
    for one in running:
        _, errors = one.communicate(timeout=120)
        assert one.returncode in (0, 1), errors
    assert all(path.suffix == ".toml" for path in files(tmp_path))
    if files(tmp_path):
        assert cli("replay", tmp_path).exit_code == 0


def start(corpus: pathlib.Path, *options: str, group: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, "fuzz", VARIANT, "--corpus", str(corpus), *options], cwd=ROOT, text=True, start_new_session=group,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def until_found(process: subprocess.Popen[str], place: pathlib.Path) -> None:
    """Wait until a campaign has kept an entry, which takes a few seconds."""
    until = time.monotonic() + 60
    while not list(place.rglob("*.toml")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)


def children(process: subprocess.Popen[str]) -> list[int]:
    """Its child processes, by /proc."""
    return [int(pid) for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()]


@pytest.fixture
def running(tmp_path: pathlib.Path) -> Iterator[subprocess.Popen[str]]:
    process = start(tmp_path, "--for", "60s", "--keep-going", "--seed", "3", "--json")
    yield process
    if process.poll() is None:
        for pid in children(process):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_130_and_keeps_what_was_found(how: signal.Signals, running: subprocess.Popen[str], tmp_path: pathlib.Path) -> None:
    until_found(running, tmp_path)
    time.sleep(0.5)
    workers = children(running)
    os.kill(running.pid, how)
    rest, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    last = campaign(rest)[1]
    assert last["interrupted"]
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in workers)
    assert len(files(tmp_path)) == len(last["new"]) >= 1
    assert cli("replay", tmp_path).exit_code == 0


@pytest.mark.long
@pytest.mark.skipif(not pathlib.Path("/proc/self/task").is_dir(), reason="finds the workers in /proc")
def test_a_worker_that_is_killed_costs_its_shard_which_is_run_again(tmp_path: pathlib.Path) -> None:
    process = start(tmp_path, "--for", "6s", "--keep-going", "--seed", "3", "--json")
    deadline = time.monotonic() + 20
    while len(children(process)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.kill(children(process)[0], signal.SIGKILL)
    told, errors = process.communicate(timeout=120)
    assert process.returncode in (0, 1), errors
    events, last = campaign(told)
    lost = [one["text"] for one in events if one["type"] == "lost"]
    assert lost
    assert all(re.search(r"shard \d+ lost .*run again|shrinking of .* lost", text) for text in lost)
    assert last["runs"] > 0


@pytest.mark.long
def test_a_command_that_works_for_long_says_so_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells which entry it is at, on stderr, and takes that away; nothing of it is on stdout."""
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    from vmrace.fuzz.text.terminal import working
    for screen in (Screen(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", screen)
        with working() as say:
            say("  1 of 2 entries: x")
        assert screen.getvalue() == ("\r\x1b[K  1 of 2 entries: x\r\x1b[K" if screen.isatty() else "")
    result = cli("replay", IRQ)
    assert (result.exit_code, result.stderr) == (0, "")


def test_ctrl_c_in_any_command_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    import vmrace.fuzz.replay.replay

    def interrupted(*args: object, **how: object) -> object:
        raise KeyboardInterrupt
    monkeypatch.setattr(vmrace.fuzz.replay.replay, "judge_entry", interrupted)
    refused(cli("replay", IRQ, "--workers", "1"), 130, "interrupted")
