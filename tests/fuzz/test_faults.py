# SPDX-License-Identifier: MIT
"""Each fault that is injected from outside has the outcome and the loss that its test states; some ids read fault -> outcome -> loss.

Campaigns here run a program that fails in every run (`easy`), so that a test does not depend on the time until a finding.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import vmrace.fuzz.campaign.driver
import vmrace.fuzz.campaign.hits
import vmrace.fuzz.campaign.shard
import vmrace.fuzz.shrink.minimize
from click.testing import CliRunner, Result
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.entry import Entry, load, save
from vmrace.fuzz.corpus.hit_file import load_of_functions
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.text import writing
from vmrace.fuzz.verify import certificate
from vmrace.fuzz.verify import subject as subjects
from vmrace.harness import stop
from vmrace.harness.errors import HarnessError
from vmrace.harness.explore.exploration import EQUIVALENCE

from tests import documents

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
VARIANT = "lru_free_2_4/pre_patch"
IRQ = GOLDEN / "last-reference.toml"
TITLE = "BUG at mm/page_alloc.c:95 in __free_pages_ok"
HOME = os.getpid()

Patch = pytest.MonkeyPatch


@pytest.fixture
def easy(monkeypatch: Patch) -> None:
    """Make every program of a campaign one that fails."""
    program = load(IRQ).program
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_choose", lambda shard: (program, []))


def campaign(place: pathlib.Path, *options: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Run a campaign; return its exit code, and the events and the summary of its JSON."""
    result = CliRunner().invoke(main, ["fuzz", VARIANT, "--corpus", str(place), "--seed", "1", "--json", *options])
    return result.exit_code, *documents.campaign(result.stdout)


def kept(place: pathlib.Path, suffix: str = ".toml") -> list[pathlib.Path]:
    return sorted(path for path in place.rglob("*") if path.is_file() and path.suffix == suffix)


def once(mark: pathlib.Path) -> bool:
    """True if this is the first call for `mark` in any process."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def raising(error: BaseException) -> Callable[..., Any]:
    def fails(*args: object, **how: object) -> Any:
        raise error
    return fails


def leaving(code: int) -> Callable[..., Any]:
    return lambda *args, **how: os._exit(code)


def killed(*args: object, **how: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def hanging(*args: object, **how: object) -> Any:
    time.sleep(600)


# ---- a worker that runs a shard -----------------------------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.parametrize("error", [HarnessError("upside down"), MemoryError(), RecursionError("too deep"), KeyError("x")],
                         ids=lambda error: f"{type(error).__name__} in one shard -> told, exit 1 -> the rest of that shard")
@pytest.mark.usefixtures("easy")
def test_a_harness_error_ends_only_its_shard(error: Exception, tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    """The findings that the shard made before the error are kept, and another shard is run."""
    seen, mark = vmrace.fuzz.campaign.shard._Shard._failed, tmp_path / "mark"

    def fails(shard: Any, *args: Any) -> None:
        seen(shard, *args)
        if once(mark):
            raise error
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_failed", fails)
    code, told, last = campaign(tmp_path / "c", "--runs", "40", "--keep-going", "--no-shrink", "--workers", "1")
    assert code == 1
    assert [one["title"] for one in told if one["type"] == "finding"] == last["new"]
    assert TITLE in last["new"]
    text, = last["errors"]
    assert type(error).__name__ in text
    assert (last["lost_shards"], last["given_up_shards"]) == (1, 1)
    assert last["runs"] == 40


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_findings_of_a_shard_before_a_harness_error_are_kept(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    """The other shards only sleep, so none of them can find it again."""
    seen, run, mark = vmrace.fuzz.campaign.shard._Shard._failed, vmrace.fuzz.campaign.shard._Shard._search, tmp_path / "mark"

    def fails(shard: Any, *args: Any) -> None:
        seen(shard, *args)
        raise HarnessError("upside down")
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_failed", fails)
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_search", lambda shard: run(shard) if once(mark) else time.sleep(0.5))
    code, _told, last = campaign(tmp_path / "c", "--for", "4s", "--no-shrink", "--workers", "1")
    assert (code, last["new"]) == (1, [TITLE])


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_campaign_of_only_harness_errors_exits_3(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_search", raising(HarnessError("upside down")))
    code, _told, last = campaign(tmp_path / "c", "--for", "60s")
    assert code == 3
    assert last["given_up_shards"] > vmrace.fuzz.campaign.driver.LOST_IN_A_ROW_MAX
    assert last["seconds"] < 50             # a campaign that only fails does not go on for a minute


@pytest.mark.long
@pytest.mark.parametrize("end", [killed, leaving(0), leaving(1)], ids=[
    "a worker is killed in a shard -> told, run again -> nothing",
    "a worker exits 0 without a result -> told, run again -> nothing",
    "a worker exits 1 without a result -> told, run again -> nothing"])
@pytest.mark.usefixtures("easy")
def test_the_shard_of_a_worker_that_dies_is_run_again(end: Callable[[], None], tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    run, mark = vmrace.fuzz.campaign.shard._Shard._search, tmp_path / "mark"

    def search(shard: Any) -> None:
        if once(mark):
            end()
        run(shard)
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_search", search)
    code, told, last = campaign(tmp_path / "c", "--runs", "40", "--keep-going", "--no-shrink", "--workers", "1")
    assert code == 1
    assert any(one["type"] == "lost" and "run again" in one["text"] for one in told)
    assert (last["lost_shards"], last["given_up_shards"], last["runs"]) == (1, 0, 40)


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_campaign_that_gives_up_lost_shards_counts_them_and_exits_3(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_search", killed)
    code, told, last = campaign(tmp_path / "c", "--runs", "1000", "--workers", "1")
    assert code == 3
    assert last["lost_shards"] > vmrace.fuzz.campaign.driver.RETRIES_MAX
    assert last["given_up_shards"] >= 1
    lines = [one["text"] for one in told if one["type"] == "lost"]
    assert sum("given up" in line for line in lines) == last["given_up_shards"]
    assert sum(" lost (" in line for line in lines) == last["lost_shards"]
    assert sum(line.startswith("shard 0 lost (") for line in lines) == 1 + vmrace.fuzz.campaign.driver.RETRIES_MAX
    last_said = {line.split()[1]: line for line in lines}           # the last line of each shard, also of one due to be run again
    assert all("given up" in line for line in last_said.values())


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_lost_shard_is_run_again_at_most_three_times(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    run = vmrace.fuzz.campaign.shard._Shard._search
    marks = [tmp_path / f"mark{number}" for number in range(vmrace.fuzz.campaign.driver.RETRIES_MAX)]

    def search(shard: Any) -> None:
        if any(map(once, marks)):
            killed()
        run(shard)
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_search", search)
    code, told, last = campaign(tmp_path / "c", "--runs", "40", "--keep-going", "--no-shrink", "--workers", "1")
    assert (code, last["lost_shards"], last["given_up_shards"], last["runs"]) == (1, 3, 0, 40), told


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_campaign_with_a_hanging_worker_ends_in_its_time_and_a_grace(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_search", hanging)
    monkeypatch.setattr(vmrace.fuzz.campaign.driver, "GRACE_SECONDS", 1.0)
    code, _told, last = campaign(tmp_path / "c", "--for", "1s")
    assert code == 3
    assert last["given_up_shards"] >= 1
    assert last["seconds"] < 20             # 1 s, 2 s to shrink, 1 s of grace, and a slow machine
    assert children() == []


# ---- a worker that confirms and shrinks ---------------------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.parametrize(("fault", "why"), [
    (raising(HarnessError("upside down")), "HarnessError: upside down"), (raising(MemoryError()), "MemoryError"),
    (raising(RecursionError("deep")), "RecursionError: deep"), (killed, "killed by signal 9"), (leaving(0), "exit code 0")], ids=[
    "confirming raises HarnessError -> told, exit 3 -> nothing: the run is kept as it was found",
    "confirming raises MemoryError -> told, exit 3 -> nothing: the run is kept as it was found",
    "confirming raises RecursionError -> told, exit 3 -> nothing: the run is kept as it was found",
    "who confirms is killed -> told, exit 3 -> nothing: the run is kept as it was found",
    "who confirms exits 0 -> told, exit 3 -> nothing: the run is kept as it was found"])
@pytest.mark.usefixtures("easy")
def test_a_hit_that_is_not_confirmed_is_kept_as_it_was_found(fault: Any, why: str, tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    import vmrace.fuzz.shrink.pipeline
    with monkeypatch.context() as patched:
        patched.setattr(vmrace.fuzz.shrink.pipeline, "_replays", fault)
        code, told, last = campaign(tmp_path / "c", "--for", "20s", "--runs", "30", "--workers", "1")
    assert code == 3
    assert last["new"] == [] and kept(tmp_path / "c") == []
    one, = (one for one in told if one["type"] == "raw")
    assert why in one["why"]
    assert last["raw"] == {one["title"]: one["path"]}
    path, = kept(tmp_path / "c", ".hit")
    assert str(path) == one["path"]
    again = CliRunner().invoke(main, ["shrink", one["path"], "--into", str(tmp_path / "out")])        # the hit file is enough
    assert again.exit_code == 0, again.output
    entry, = kept(tmp_path / "out")
    assert load(entry).title == one["title"]
    assert kept(tmp_path / "c", ".hit") == []


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_hit_whose_shrinker_died_is_confirmed_without_shrinking(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(vmrace.fuzz.shrink.minimize, "shrink_program", killed)
    code, told, _last = campaign(tmp_path / "c", "--for", "20s", "--workers", "1")
    assert code == 1
    finding, = (one for one in told if one["type"] == "finding")
    assert finding["cut"] == vmrace.fuzz.campaign.hits.DIED
    assert any(one["type"] == "lost" and "shrinking of" in one["text"] for one in told)
    assert load(pathlib.Path(finding["path"])).title == finding["title"]
    assert kept(tmp_path / "c", ".hit") == []


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_shrinking_that_hangs_ends_in_its_time_and_the_run_is_kept(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(vmrace.fuzz.shrink.minimize, "shrink_program", hanging)
    monkeypatch.setattr(vmrace.fuzz.campaign.driver, "GRACE_SECONDS", 8.0)
    code, told, last = campaign(tmp_path / "c", "--for", "3s", "--workers", "1")
    assert code == 3
    assert last["seconds"] < 60
    one, = (one for one in told if one["type"] == "raw")
    assert hit_file.load(pathlib.Path(one["path"]))[0].title == one["title"]


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_hit_is_written_down_before_it_is_confirmed(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    import vmrace.fuzz.shrink.pipeline
    again, seen = vmrace.fuzz.shrink.pipeline._replays, tmp_path / "seen"

    def looking(*args: Any) -> Any:
        seen.write_text("\n".join(map(str, kept(tmp_path / "c", ".hit"))))
        return again(*args)
    monkeypatch.setattr(vmrace.fuzz.shrink.pipeline, "_replays", looking)
    assert campaign(tmp_path / "c", "--no-shrink")[0] == 1
    assert seen.read_text().endswith(".hit")
    assert kept(tmp_path / "c", ".hit") == []


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_only_workers_run_programs_and_never_the_driver(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    import vmrace.fuzz.run.executor
    run = vmrace.fuzz.run.executor.Executor.run

    def elsewhere(*args: Any) -> Any:
        assert os.getpid() != HOME
        return run(*args)
    monkeypatch.setattr(vmrace.fuzz.run.executor.Executor, "run", elsewhere)
    assert campaign(tmp_path / "c")[0] == 1


def children() -> list[int]:
    with contextlib.suppress(ChildProcessError):
        return [os.waitpid(-1, os.WNOHANG)[0]]
    return []


# ---- the system ---------------------------------------------------------------------------------------------------------------

def command(*args: object, cwd: pathlib.Path, before: Callable[[], None] | None = None, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "vmrace", *map(str, args)], cwd=cwd, text=True, preexec_fn=before, timeout=300,
                          env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{cwd}"}, **{"capture_output": True, **how})


def limited(what: int, number: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (number, number))


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert exit 3, no traceback, and a last line of stderr that contains `words`."""
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("vmrace: ")
    for word in words:
        assert word in last


@pytest.mark.usefixtures("easy")
def test_if_no_process_can_be_started_a_campaign_exits_3(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(os, "fork", raising(OSError(errno.EAGAIN, "Resource temporarily unavailable")))
    code, _told, last = campaign(tmp_path / "c")
    assert code == 3
    assert last["errors"] == ["no worker process can be started: Resource temporarily unavailable"]


@pytest.mark.long
@pytest.mark.parametrize("number", [7, 10, 20])
@pytest.mark.parametrize("args", [("fuzz", VARIANT, "--for", "2s", "--corpus", "c", "--workers", "8"), ("replay", IRQ),
                                  ("verify", VARIANT, "--size", "1", "--operations", "exit,touch", "--state", "s", "--workers", "8"),
                                  ("fuzz", "tests.programs.lost_update:make", "--for", "1s"),
                                  ("verify", "tests.programs.lastzero:make", "--arg", "8")], ids=lambda args: args[0])
def test_with_too_few_file_descriptors_no_verdict_is_given(number: int, args: tuple[object, ...], tmp_path: pathlib.Path) -> None:
    """With enough descriptors the command works as usual. With too few it exits 3 with a line, unless it has a true finding."""
    done = command(*args, cwd=tmp_path, before=limited(resource.RLIMIT_NOFILE, number))
    assert "Traceback" not in done.stderr, done.stderr
    found = "FINDING" in done.stdout
    assert done.returncode in ((1, 3) if found else (0, 3)), (done.stdout, done.stderr)
    if done.returncode == 0:
        assert any(words in done.stdout for words in ("all as expected", "no finding in", "proved: "))


def test_a_campaign_with_a_closed_stdout_exits_3_unless_it_has_a_finding(tmp_path: pathlib.Path) -> None:
    for target, more in ((VARIANT, ("--corpus", "c")), ("tests.programs.readers:make", ())):
        script = f"{sys.executable} -m vmrace fuzz {target} --for 4s --keep-going {' '.join(more)} | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == (1 if "FINDING" in done.stderr else 3), done.stderr
        assert "stdout: cannot be written: Broken pipe" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("args", [("variants",), ("replay", IRQ), ("show", IRQ), ("verify", IRQ), ("corpus", "--corpus", GOLDEN)],
                         ids=lambda args: args[0])
@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="has no /dev/full")
def test_with_stdout_on_a_full_disk_a_command_exits_3(args: tuple[object, ...], tmp_path: pathlib.Path) -> None:
    with open("/dev/full", "w") as full:
        done = command(*args, cwd=tmp_path, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    one_line(done, "stdout: cannot be written: No space left on device")


@pytest.mark.long
@pytest.mark.usefixtures("easy")
def test_a_finding_that_a_full_disk_cannot_keep_is_printed_in_full(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    place = tmp_path / "c"
    monkeypatch.setattr(os, "fsync", raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    monkeypatch.setattr(vmrace.fuzz.text.writing, "check_writable", lambda directory: None)
    result = CliRunner().invoke(main, ["fuzz", VARIANT, "--corpus", str(place), "--seed", "1"])
    assert result.exit_code == 1
    assert "cannot be written: No space left on device" in result.stdout
    assert kept(place) == kept(place, ".hit") == kept(place, writing.PARTIAL) == []
    text = result.stdout.partition("this is its entry:\n\n")[2].partition("\n\nscheduler ")[0]
    (tmp_path / "e.toml").write_text(text.rstrip() + "\n")
    monkeypatch.undo()
    assert CliRunner().invoke(main, ["replay", str(tmp_path / "e.toml")]).exit_code == 0


def test_a_full_disk_is_reported_before_a_campaign_starts(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(os, "fsync", raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    result = CliRunner().invoke(main, ["fuzz", VARIANT, "--corpus", str(tmp_path / "c")])
    assert result.exit_code == 3
    assert result.stderr == f"vmrace: {tmp_path / 'c'}: cannot be written: No space left on device\n"


@pytest.mark.long
@pytest.mark.parametrize("args", [("replay", "e.toml", "--accept"), ("corpus", "accept", "e.toml"), ("shrink", "e.toml"),
                                  ("verify", "e.toml", "--certify", "--variant", "pre_patch"),
                                  ("verify", "tests.programs.lastzero:make", "--arg", "4", "--certify"),
                                  ("verify", VARIANT, "--size", "1", "--operations", "exit,touch", "--state", "s"),
                                  ("verify", VARIANT, "--size", "1", "--operations", "exit,touch")], ids=lambda args: " ".join(args[::3]))
def test_if_a_file_cannot_be_written_its_old_content_stays(args: tuple[object, ...], tmp_path: pathlib.Path) -> None:
    """A limit of 20 bytes for each file stands for a full disk."""
    (tmp_path / "e.toml").write_bytes(IRQ.read_bytes())
    done = command(*args, cwd=tmp_path, before=limited(resource.RLIMIT_FSIZE, 20))
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "cannot be written: File too large" in done.stderr.splitlines()[-1]
    assert (tmp_path / "e.toml").read_bytes() == IRQ.read_bytes()
    assert all(path.name in ("e.toml", ".gitignore") or not path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())


# ---- signals ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=["SIGHUP -> as Ctrl-C, exit 130 -> nothing",
                                                                        "SIGTERM -> as Ctrl-C, exit 130 -> nothing"])
@pytest.mark.parametrize("target", [VARIANT, "tests.programs.lost_update:make"])
def test_a_signal_ends_a_campaign_in_order(number: signal.Signals, target: str, tmp_path: pathlib.Path) -> None:
    process = running(target, tmp_path)
    process.send_signal(number)
    told, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert documents.campaign(told.strip())[1]["interrupted"]


@pytest.mark.long
@pytest.mark.parametrize("target", [VARIANT, "tests.programs.lost_update:make"])
def test_a_second_interrupt_ends_a_campaign_at_once(target: str, tmp_path: pathlib.Path) -> None:
    from tests.fuzz.test_interrupts import gone
    process = running(target, tmp_path, STUCK)
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1].endswith("vmrace: interrupted at once")
    assert gone(process.pid) == []


STUCK = """
import sys, time
import vmrace.fuzz.functions.search, vmrace.fuzz.campaign.shard
from vmrace.__main__ import main
sampled = vmrace.fuzz.functions.search.Search.sample
vmrace.fuzz.functions.search.Search.sample = lambda search: (print(flush=True), time.sleep(600))
vmrace.fuzz.campaign.shard._Shard._search = lambda shard: time.sleep(600)
main()
"""


def running(target: str, place: pathlib.Path, script: str = "from vmrace.__main__ import main; main()") -> subprocess.Popen[str]:
    """Start a campaign and wait until it has workers."""
    process = subprocess.Popen([sys.executable, "-c", script, "fuzz", target, "--for", "100s", "--keep-going", "--json", "--corpus", "c"],
                               cwd=place, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 100
    while not pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1.0)
    return process


@pytest.mark.long
@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").is_file(), reason="looks at processes in /proc")
@pytest.mark.parametrize("target", [VARIANT, "tests.programs.readers:make"])
def test_workers_do_not_outlive_a_driver_that_is_killed(target: str, tmp_path: pathlib.Path) -> None:
    from tests.fuzz.test_interrupts import gone
    process = running(target, tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert gone(process.pid) == []


# ---- code of a user -----------------------------------------------------------------------------------------------------------

MINE = """
import os, signal, time
from vmrace.harness.kernel.cell import cell
from vmrace.harness.functions.program import Program


def make(what):
    x = cell("x", value=0)

    def add():
        x.value += 1
        if what == "loops":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            while True:
                time.sleep(1)
        if what != "fails":
            {"exit0": lambda: os._exit(0), "exit1": lambda: os._exit(1), "exec": lambda: os.execv("/bin/true", ["true"]),
             "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV)}[what]()

    return Program([add, add], check=lambda: x.value == 2)
"""


@pytest.fixture
def mine(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "pyproject.toml").write_text('[tool.vmrace]\nfunctions = ["mine"]\n')
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("what", ["exit0", "exit1", "exec", "crash"], ids=[
    "os._exit(0) in a program -> told, exit 3 -> its run", "os._exit(1) in a program -> told, exit 3 -> its run",
    "exec in a program -> told, exit 3 -> its run", "a crash in a program -> told, exit 3 -> its run"])
@pytest.mark.parametrize("args", [("fuzz", "mine:make", "--for", "2s"), ("verify", "mine:make"), ("replay", "mine.run"),
                                  ("show", "mine.run"), ("verify", "--check", "mine.json")], ids=lambda args: " ".join(args[:2]))
def test_a_program_that_ends_its_process_gets_no_verdict(what: str, args: tuple[str, ...], mine: pathlib.Path) -> None:
    (mine / "mine.run").write_text(f'format = 1\ntitle = "x"\nfunctions = "mine:make"\nargs = ["{what}"]\nschedule = ["cpu0 to the end"]\n')
    said = {"certificate": 1, "functions": "mine:make", "args": json.dumps([what]), "program": "", "image": "", "vmrace": "", "bound": None,
            "equivalence": EQUIVALENCE, "verdict": "proved", "complete": True, "executions": 1, "blocked": 0, "digest": "0" * 24,
            "titles": {}}
    (mine / "mine.json").write_text(json.dumps(said))
    more = ("--arg", what) if "mine:make" in args else ()
    done = command(*args, *more, cwd=mine)
    one_line(done, "the process that ran the program was lost")


@pytest.mark.long
@pytest.mark.parametrize("args", [("fuzz", "--for"), ("verify", "--for-each")], ids=lambda args: args[0])
def test_a_program_that_blocks_its_timer_is_killed_at_its_time_limit(args: tuple[str, str], mine: pathlib.Path) -> None:
    """It blocks SIGALRM, so that no timer ends it."""
    script = "import vmrace.fuzz.text.times as times; times.GRACE_SECONDS = 1.0; from vmrace.__main__ import main; main()"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script, args[0], "mine:make", "--arg", "loops", args[1], "1s"], cwd=mine, text=True,
                          capture_output=True, timeout=120, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{mine}"})
    one_line(done, "it did not end in time")
    assert time.monotonic() - started < 60


@pytest.mark.long
@pytest.mark.parametrize(("fault", "why"), [
    ("raise vmrace.fuzz.functions.sample.HarnessError('upside down')", "upside down"),
    ("os._exit(0)", "the process that ran the program was lost"),
    ("os.kill(os.getpid(), 9)", "killed by signal 9")], ids=[
    "confirming a failure of functions raises -> told, exit 3 -> nothing: its run is kept",
    "confirming a failure of functions exits 0 -> told, exit 3 -> nothing: its run is kept",
    "confirming a failure of functions is killed -> told, exit 3 -> nothing: its run is kept"])
def test_a_failure_of_functions_is_written_down_before_it_is_confirmed(fault: str, why: str, mine: pathlib.Path) -> None:
    script = ("import os, vmrace.fuzz.functions.sample\n"
              f"def confirm(*args):\n    {fault}\n"
              "vmrace.fuzz.functions.sample.shrink_failure = confirm\n"
              "from vmrace.__main__ import main; main()")
    done = subprocess.run([sys.executable, "-c", script, "fuzz", "mine:make", "--arg", "fails", "--for", "5s", "--seed", "1"], cwd=mine,
                          text=True, capture_output=True, timeout=120, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{mine}"})
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert why in done.stdout + done.stderr
    path, = (mine / ".vmrace").glob("*.hit")
    assert path.name in done.stdout + done.stderr
    assert load_of_functions(path).title == "CHECK: the program's own check fails"
    again = command("shrink", path, cwd=mine)
    assert again.returncode == 0, again.stderr
    assert "confirmed 20 of 20 replays" in again.stdout
    assert not path.exists()
    kept_run, = (mine / ".vmrace").glob("*.run")
    assert command("replay", kept_run, cwd=mine).returncode == 0


# ---- verdicts -----------------------------------------------------------------------------------------------------------------

@pytest.fixture
def proved(tmp_path: pathlib.Path) -> pathlib.Path:
    """Write an entry that expects a proof on one variant, beside an entry without a mistake; return their folder."""
    from tests.fuzz.test_interrupts import PROVED
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "proved.toml").write_bytes(PROVED.read_bytes())
    (tmp_path / "corpus" / "right.toml").write_bytes(IRQ.read_bytes())
    return tmp_path / "corpus"


@pytest.mark.long
@pytest.mark.parametrize("error", [HarnessError("upside down"), MemoryError(), RecursionError("deep")], ids=lambda error:
                         f"{type(error).__name__} in an exploration -> undecided, exit 3 -> no verdict")
@pytest.mark.parametrize("accept", [False, True])
def test_a_harness_error_drops_no_expected_proof(error: Exception, accept: bool, proved: pathlib.Path, monkeypatch: Patch) -> None:
    import vmrace.fuzz.run.exhaustive
    before = (proved / "proved.toml").read_bytes()
    explored = vmrace.fuzz.run.exhaustive.explore

    def explore(run: Any, *args: Any, **how: Any) -> Any:
        return explored(raising(error), *args, **how)
    monkeypatch.setattr(vmrace.fuzz.run.exhaustive, "explore", explore)
    result = CliRunner().invoke(main, ["replay", str(proved / "proved.toml"), *["--accept"] * accept])
    assert result.exit_code == 3, result.output
    assert "an error of vmrace" in result.stdout
    assert "undecided" in result.stdout.splitlines()[-1]
    assert (proved / "proved.toml").read_bytes() == before
    result = CliRunner().invoke(main, ["corpus", "accept", str(proved / "proved.toml"), "--variant", "daniel_lru_count"])
    assert result.exit_code == 3
    assert (proved / "proved.toml").read_bytes() == before


@pytest.mark.long
def test_a_harness_error_in_one_entry_leaves_the_others_judged(proved: pathlib.Path, monkeypatch: Patch) -> None:
    import vmrace.fuzz.replay.replay
    judge = vmrace.fuzz.replay.replay.judge_entry

    def judging(entry: Entry, *args: Any, **how: Any) -> Any:
        if entry.path is not None and entry.path.stem == "proved":
            raise MemoryError
        return judge(entry, *args, **how)
    monkeypatch.setattr(vmrace.fuzz.replay.replay, "judge_entry", judging)
    before = (proved / "proved.toml").read_bytes()
    result = CliRunner().invoke(main, ["replay", str(proved), "--accept"])
    assert result.exit_code == 3
    assert "4 verdicts" in result.stdout and "2 undecided" in result.stdout
    assert "daniel_lru_count" in (proved / "right.toml").read_text()
    assert (proved / "proved.toml").read_bytes() == before


@pytest.mark.long
def test_a_proof_whose_budget_runs_out_is_inconclusive(proved: pathlib.Path, monkeypatch: Patch) -> None:
    import vmrace.fuzz.corpus.judge
    monkeypatch.setattr(vmrace.fuzz.corpus.judge, "_enough", lambda expected: 5)
    monkeypatch.setattr(vmrace.fuzz.replay.replay, "PROVE_MAX", 5)
    before = (proved / "proved.toml").read_bytes()
    result = CliRunner().invoke(main, ["replay", str(proved / "proved.toml"), "--accept"])
    assert result.exit_code == 3
    assert "5 runs were not enough" in result.stdout
    assert (proved / "proved.toml").read_bytes() == before


@pytest.mark.long
def test_a_check_of_a_claim_that_cannot_be_run_does_not_count_as_changed(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    import vmrace.fuzz.claims.checks

    from tests.fuzz.test_interrupts import room
    monkeypatch.setattr(vmrace.fuzz.claims.checks, "explore_on", raising(MemoryError()))
    result = CliRunner().invoke(main, ["claims", "--corpus", str(room(tmp_path / "room") / "ledger")])
    assert result.exit_code == 3, result.output
    assert "1 not done" in result.stdout.splitlines()[-1]


# ---- writing ------------------------------------------------------------------------------------------------------------------

def test_a_test_whether_a_folder_can_be_written_leaves_nothing(tmp_path: pathlib.Path) -> None:
    writing.check_writable(tmp_path / "new" / "place")
    writing.check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("diff", VARIANT, "lru_free_2_4/daniel_lru_count", "--entry", str(IRQ)), ("shrink", str(IRQ))],
                         ids=["diff", "shrink"])
def test_a_result_that_could_not_be_written_is_refused_before_the_work(command: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = CliRunner().invoke(main, [*command, "--into", str(tmp_path / "file")])
    assert result.exit_code == 3
    assert result.stdout == "" and f"{tmp_path / 'file'}: cannot be written" in result.stderr


@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_a_killed_write_leaves_the_old_content(when: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text("before\n")
    pid = os.fork()
    if not pid:
        setattr(os, when, killed)
        pathlib.Path.replace = killed  # type: ignore[method-assign, assignment]
        writing.write(path, "after, and longer\n" * 1000)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert path.read_text() == "before\n"
    left = [one.name for one in tmp_path.iterdir() if one != path]
    assert len(left) == 1 and left[0].endswith(writing.PARTIAL)
    writing.write(tmp_path / "other", "x")                          # the next write to that folder removes the partial file
    assert sorted(one.name for one in tmp_path.iterdir()) == ["e.toml", "other"]


@pytest.mark.parametrize("what", ["entry", "record", "certificate", "table", "hit"])
def test_every_file_is_written_beside_its_place_and_renamed(what: str, tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    """A reader never sees a half-written file, as the file in place is never open for writing."""
    from vmrace.fuzz.functions import run_file
    from vmrace.fuzz.verify import scope_document
    from vmrace.harness.replay.named_schedule import parse

    from tests.fuzz.test_scope_options import table
    renamed: list[pathlib.Path] = []
    replace = pathlib.Path.replace
    monkeypatch.setattr(pathlib.Path, "replace", lambda path, target: renamed.append(pathlib.Path(target)) or replace(path, target))
    entry = load(IRQ)
    document = tmp_path / "README.md"
    document.write_text(f"{scope_document.BEGIN}\n{scope_document.END}\n")
    subject = subjects.of_functions("tests.programs.lost_update:make", ("2",))
    found = subject.explore()
    hit = vmrace.fuzz.run.hit.Hit(TITLE, entry.program, [1, 0], [], 0, "x", 0.0)
    path = {"entry": lambda: save(entry, tmp_path),
            "record": lambda: run_file.save(run_file.Record("a", "b:c", (), (parse("cpu0 to the end"),)), tmp_path),
            "certificate": lambda: (certificate.write_certificate(tmp_path / "c.json", subject, found), tmp_path / "c.json")[1],
            "table": lambda: (scope_document.put(document, table({})), document)[1],
            "hit": lambda: hit_file.save(hit, VARIANT, tmp_path)}[what]()
    assert renamed == [pathlib.Path(os.path.realpath(path))]


def in_processes(count: int, deed: Callable[[int], None]) -> Iterator[int]:
    pids = []
    for number in range(count):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                deed(number)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    for pid in pids:
        yield os.waitpid(pid, 0)[1]


def test_two_processes_that_change_one_entry_lose_no_change(tmp_path: pathlib.Path) -> None:
    from vmrace.fuzz.corpus.entry import expect
    path = tmp_path / "e.toml"
    path.write_bytes(IRQ.read_bytes())

    def change(number: int) -> None:
        for turn in range(10):
            expect(path, {("pre_patch", "daniel_lru_count")[number]: f"ok in {turn + 1}"})
    assert set(in_processes(2, change)) == {0}
    assert load(path).expect == dict.fromkeys(("pre_patch", "daniel_lru_count"), Verdict(Word.OK, number=10))


def test_processes_that_change_one_table_lose_no_row(tmp_path: pathlib.Path) -> None:
    from vmrace.fuzz.programs.enumerate import Scope
    from vmrace.fuzz.verify import scope_document
    from vmrace.fuzz.verify.scope_report import Table
    path = tmp_path / "README.md"
    path.write_text(f"{scope_document.BEGIN}\n{scope_document.END}\n")

    def change(number: int) -> None:
        for turn in range(10):
            scope_document.put(path, Table(f"f/v{number}{turn}", Scope(1, 1, 0, (), {}), [((), ())], 1, {}))
    assert set(in_processes(4, change)) == {0}
    assert len(scope_document.rows_of(path.read_text())) == 40


# ---- scopes, explorations -----------------------------------------------------------------------------------------------------

def test_a_scope_whose_workers_exit_0_without_a_result_is_inconclusive(tmp_path: pathlib.Path) -> None:
    from tests.fuzz.test_scope import Fake, proof

    class Leaves(Fake):
        def explore(self, program: Any, **how: Any) -> Any:
            os._exit(0)
    code, lines = proof(tmp_path / "state", ["touch"], Leaves, ops=1, as_json=True)
    assert code == 3
    assert documents.document(lines[-1], "verify")["scope"]["inconclusive"] == {"its worker process died twice": 2}


@pytest.mark.long
def test_a_state_file_on_a_full_disk_ends_the_proof_and_keeps_its_lines(tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    from vmrace.fuzz.verify import scope

    from tests.fuzz.test_scope import proof
    add, write = scope.State.add, os.write

    def full(state: Any, result: Any) -> None:
        def half(file: int, data: bytes) -> int:
            if file == state.file.file.fileno():
                write(file, data[:9])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(file, data)
        if len(state.results) == 3:
            patched.setattr(os, "write", half)
        add(state, result)
    with monkeypatch.context() as patched:
        patched.setattr(scope.State, "add", full)
        code, lines = proof(tmp_path / "state", ["touch", "read"])
    assert len((tmp_path / "state").read_bytes().splitlines()) == 4         # the head, and three results
    assert code == 3
    assert any("state: cannot be written: No space left on device" in line for line in lines)
    code, lines = proof(tmp_path / "state", ["touch", "read"], as_json=True)
    assert code == 0
    assert documents.document(lines[-1], "verify")["scope"]["verdict"] == "proved"


@pytest.mark.long
def test_a_proof_that_was_interrupted_or_ran_out_of_time_changes_no_row(tmp_path: pathlib.Path) -> None:
    from vmrace.fuzz.verify import scope_document

    from tests.fuzz.test_scope import Slow, proof
    path = tmp_path / "README.md"
    path.write_text(f"{scope_document.BEGIN}\n{scope_document.END}\n")
    assert proof(tmp_path / "state", ["touch", "read", "fork"], into=path)[0] == 0
    row, = scope_document.rows_of(path.read_text())
    (tmp_path / "state").unlink()
    code, lines = proof(tmp_path / "state", ["touch", "read", "fork"], Slow, seconds_max=0.1, into=path)
    assert code == 3
    assert any("README.md: not changed: " in line for line in lines)
    stop.ask()
    try:
        assert proof(tmp_path / "other", ["touch", "read", "fork"], into=path)[0] == 130
    except KeyboardInterrupt:
        pass                        # the signal may come before the proof has begun
    finally:
        stop.clear()
    assert scope_document.rows_of(path.read_text()) == [row]


@pytest.mark.long
def test_keyboard_interrupt_in_python_is_raised_to_the_caller() -> None:
    """Only a command handles signals itself: elsewhere KeyboardInterrupt is neither a finding nor an error of vmrace."""
    from vmrace.fuzz.functions.sample import fuzz as sample
    from vmrace.fuzz.run.executor import Executor
    from vmrace.harness.functions.verify import verify
    from vmrace.harness.schedulers import NoPreempt
    from vmrace.variants.family import family

    from tests.programs import lastzero

    class Interrupts(NoPreempt):
        def begin(self, m: Any) -> None:
            super().begin(m)
            m.want(1)

        def at(self, m: Any) -> int:
            raise KeyboardInterrupt
    executor = Executor(family("lru_free_2_4"), "pre_patch")
    prepared = executor.prepare(load(IRQ).program)
    with pytest.raises(KeyboardInterrupt):
        executor.run(prepared, Interrupts())
    signal.signal(signal.SIGVTALRM, raising(KeyboardInterrupt()))
    for deed in (lambda: verify(lastzero.make, 12), lambda: sample(lastzero.make, 12)):
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            deed()


def result_of(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.mark.parametrize("args", [("replay", "{}", "--accept"), ("corpus", "accept", "{}"), ("shrink", "{}"), ("verify", "{}", "--certify"),
                                  ("show", "{}"), ("cost", VARIANT), ("variants",), ("claims",), ("corpus",)], ids=lambda args: args[0])
def test_a_command_that_is_asked_to_stop_at_its_very_end_exits_130(
        args: tuple[str, ...], tmp_path: pathlib.Path, monkeypatch: Patch) -> None:
    """The request comes after the command last checked for one."""
    import vmrace.fuzz.cli.main
    path = tmp_path / "e.toml"
    path.write_bytes(IRQ.read_bytes())
    monkeypatch.setattr(vmrace.fuzz.cli.main.Commands, "_invoke", lambda group, context: stop.ask())
    result = result_of(*(arg.format(path) for arg in args))
    assert (result.exit_code, result.stderr) == (130, "vmrace: interrupted\n")
