# SPDX-License-Identifier: MIT
"""The fixtures `vmrace_fuzz` and `vmrace_verify`: a program that fails fails the test, with its story, and is kept in a file."""

from __future__ import annotations

import os
import pathlib
import shlex
import sys
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.functions import run_file
from vmrace.fuzz.functions.allowed import replay_command
from vmrace.fuzz.functions.result import Failure, Sampled
from vmrace.fuzz.functions.run_file import Record, RecordError
from vmrace.fuzz.functions.sample import fuzz_runner
from vmrace.fuzz.functions.shrink import confirm
from vmrace.fuzz.run.target import NoSuch, literal, split
from vmrace.fuzz.testing.plan import Limits, Plan
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.wording import count
from vmrace.fuzz.verify import reasons
from vmrace.harness import stop
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.verify import verify_runner
from vmrace.harness.printable import printable

Make = Callable[..., Program]


class _Check:
    """A fixture that can be called. `calls`: how often it was."""

    def __init__(self, plan: Plan, node: pytest.Item):
        self.plan, self.node = plan, node
        self.calls = 0

    def limits(self, **given: Any) -> Limits:
        self.calls += 1
        return self.plan.limits(self.node, {name: value for name, value in given.items() if value is not None})

    def tell(self, **facts: object) -> None:
        """Put facts into the report of the test, for --junitxml and other plugins."""
        self.node.user_properties += [(f"vmrace_{name}", str(value)) for name, value in facts.items()]

    def failed(self, head: str, failures: list[Failure], make: Make, args: tuple[Any, ...]) -> None:
        """Fail the test: keep each failure, and tell its story."""
        lines = [head]
        for failure in failures:
            lines += ["", failure.title, f"  minimal   {failure.minimal}", "", *failure.story, "", "schedule",
                      *(f"  {line}" for line in failure.schedule), "", *kept(failure, make, args, self.plan.kept)]
        pytest.fail("\n".join(printable(line) for text in lines for line in text.split("\n")), pytrace=False)


class Fuzz(_Check):
    """Sample schedules of programs in one test."""

    def __call__(self, make: Make, *args: Any, runs: int | None = None, seconds: float | None = None, seed: int | None = None) -> Sampled:
        """Sample schedules of the program that `make(*args)` returns, up to the first that fails.

        The limits `runs`, `seconds` and `seed` count more than those of the test's mark. Fails the test if a schedule fails, or if the
        absence of failures would show nothing. Raises ProgramError if `make` makes no program that can be run.
        """
        limits = self.limits(runs=runs, seconds=seconds, seed=seed)
        with watchdog.watched():
            runner = Runner(make, *args)
            found = fuzz_runner(runner, runs=limits.runs, seconds=limits.seconds, seed=limits.seed)
        stop.look()
        self.tell(program=runner.name, runs=found.runs, titles="; ".join(found.titles))
        where = f"{runner.name}: {count(found.runs, 'schedule')}, seed {found.seed}"
        if found.why:
            self.failed(f"{where}: {found.why}: nothing is said of it", [], make, args)
        if found.unconfirmed:
            ours = "; ".join(f"{one.title}: {why}" for one, why in found.unconfirmed)
            self.failed(f"{where}: this is our bug, please report it: {ours}", [], make, args)
        if found.failures:
            self.failed(f"{where}: {count(len(found.failures), 'finding')}", found.failures, make, args)
        if found.unseen or not found.runs:
            self.failed(f"{where}: no finding, which says nothing: {found.unseen or 'no schedule was run'}", [], make, args)
        return found


class Verify(_Check):
    """Run every class of schedules of programs in one test."""

    def __call__(self, make: Make, *args: Any, preemptions: int | None = None, runs: int | None = None,
                 seconds: float | None = None) -> Exploration:
        """Run every class of schedules of the program that `make(*args)` returns, with at most `preemptions` preemptions, if given.

        The limits count more than those of the test's mark. Fails the test unless the program is proved: also if the exploration is
        inconclusive. Raises ProgramError if `make` makes no program that can be run.
        """
        limits = self.limits(preemptions=preemptions, runs=runs, seconds=seconds)
        with watchdog.watched():
            runner = Runner(make, *args)
            found = verify_runner(runner, bound=limits.preemptions, runs_max=self._runs(limits, runs), seconds_max=limits.seconds)
        self.tell(program=runner.name, classes=found.classes, titles="; ".join(found.titles))
        if found.proved:
            return found
        where = f"{runner.name}: {count(found.classes, 'class of schedules')}"
        if not found.titles:
            more = found.why is not None and found.why.reason.budget
            hint = "Allow more with runs= and seconds=, or with --vmrace-runs and --vmrace-seconds." if more else reasons.hint(found.why)
            self.failed(f"{where}: inconclusive: {found.why}" + f"\n{hint}" * bool(hint), [], make, args)
        title = min(found.titles, key=lambda one: (found.fewest(one).preemptions, one))
        seen = found.fewest(title)
        failure = Failure(title, found.classes, found.seconds, "verify", len(seen.switches) // 2, seen.switches, seen.forced)
        confirm(runner, failure)
        share = f"{title} in {found.classes_with(title):,} of {count(found.classes, 'class of schedules')}"
        self.failed(f"{runner.name}: {share}" + "".join(f"; {one}" for one in found.titles if one != title), [failure], make, args)
        raise AssertionError("the test has failed")

    def _runs(self, limits: Limits, runs: int | None) -> int:
        """Return the limit of runs. The default is that of samples: a proof has none."""
        marked = any("runs" in mark.kwargs for mark in self.node.iter_markers("vmrace"))
        return limits.runs if runs is not None or marked or self.plan.given["runs"] is not None or self.plan.settings.runs else 1 << 60


def kept(failure: Failure, make: Make, args: tuple[Any, ...], place: pathlib.Path) -> list[str]:
    """Keep a failure, and return the lines that say where it is, and which command replays it; or why it is kept nowhere."""
    try:
        target, texts = named(make, args)
    except NoSuch as error:
        return [f"it is kept nowhere: {error}"]
    try:
        if place.name.startswith(".") and not (place / ".gitignore").is_file():
            writing.write(place / ".gitignore", "*\n")
        path = run_file.save(Record(failure.title, target, texts, failure.schedule), place)
    except OSError as error:
        return [f"it is kept nowhere: {error.filename}: cannot be written: {writing.why(error)}"]
    except RecordError as error:
        return [f"it is kept nowhere: {error}"]
    prefix = _python_path(sys.modules[split(target)[0]])
    return [f"kept in {path}", f"next: {prefix}{replay_command(path, target)}"]


def named(make: Make, args: tuple[Any, ...]) -> tuple[str, tuple[str, ...]]:
    """Return MODULE:FUNCTION and the arguments as texts, by which a record names a program. NoSuch if that is not possible."""
    module, name = getattr(make, "__module__", ""), getattr(make, "__qualname__", "")
    if getattr(sys.modules.get(module), name, None) is not make:
        raise NoSuch(f"{module}:{name} is not a function of a module, which is what a file can name")
    split(f"{module}:{name}")
    texts = tuple(map(repr, args))
    for text, arg in zip(texts, args, strict=True):
        value = literal(text)
        if type(value) is not type(arg) or value != arg:
            raise NoSuch(f"the argument {text} is not a literal of Python, which is what a file can name")
    return f"{module}:{name}", texts


def _python_path(module: Any) -> str:
    """Return `PYTHONPATH=FOLDER ` if a command would not find the module without it: pytest looks in more places than commands do."""
    path = pathlib.Path(module.__file__ or "").resolve()
    depth = module.__name__.count(".") + (path.stem == "__init__")
    top = path.parents[depth]
    here = pathlib.Path.cwd().resolve()
    if top == here or not top.is_relative_to(here) or "site-packages" in top.parts:
        return ""
    return f"PYTHONPATH={shlex.quote(os.path.relpath(top, here))} "
