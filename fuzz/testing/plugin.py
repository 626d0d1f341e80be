# SPDX-License-Identifier: MIT
"""The pytest plugin: kept failures are items, `vmrace_fuzz` and `vmrace_verify` are fixtures.

pytest imports this module in each of its runs, also where nothing of vmrace is used. It therefore imports nothing but pytest, and each hook
returns early. Items are made of two kinds of files:

    CORPUS/**/*.run, CORPUS/**/*.toml   if the pyproject.toml of the current folder has a table [tool.vmrace]; CORPUS is its key `corpus`,
                                        or `corpus`. Also of each --vmrace-corpus
    FILE.run                            if the command line of pytest names it

A file of data is read when it is collected, and its function is called when its test runs, under the rule of fuzz/functions/allowed.py:
the project allows it, or --vmrace-allow names it.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import pytest
from vmrace.fuzz.testing.stash import PLAN

if TYPE_CHECKING:
    from vmrace.fuzz.testing.checks import Fuzz, Verify
    from vmrace.fuzz.testing.plan import Plan

SUFFIXES = (".run", ".toml")
MARK = "vmrace"
FIXTURES = ("vmrace_fuzz", "vmrace_verify")


def pytest_addoption(parser: Any) -> None:
    group = parser.getgroup("vmrace", "races of plain functions and of kernel variants (vmrace)")
    group.addoption("--vmrace-runs", metavar="N", help="Limit of schedules of each search.")
    group.addoption("--vmrace-seconds", metavar="S", help="Time limit of each search or exploration.")
    group.addoption("--vmrace-preemptions", metavar="N", help="Explore only schedules with at most N preemptions.")
    group.addoption("--vmrace-seed", metavar="N", help="Seed of the random choices.")
    group.addoption("--vmrace-corpus", metavar="DIR", action="append", default=[], help="Also collect kept failures below DIR. Repeatable.")
    group.addoption("--vmrace-allow", metavar="MODULE:FUNCTION", action="append", default=[],
                    help="A record may have this function called, although its project does not allow it. Repeatable.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vmrace(runs, seconds, preemptions, seed): limits of vmrace in this test; they count more than "
                                       "[tool.vmrace], and less than the command line")
    if _project(pathlib.Path.cwd()) is not None or config.getoption("--vmrace-corpus"):
        plan = _plan(config)                                # also in each worker of pytest-xdist, which collects for itself
        for warning in plan.not_reached() if not hasattr(config, "workerinput") else ():
            config.issue_config_time_warning(pytest.PytestConfigWarning(warning), stacklevel=2)


def _project(place: pathlib.Path) -> pathlib.Path | None:
    """Return the pyproject.toml of a folder, if it mentions vmrace as a tool; a parser then says what it has."""
    for folder in (place, *place.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return path if b"vmrace" in path.read_bytes() else None
    return None


def _plan(config: pytest.Config) -> Plan:
    """Return the settings of this run of pytest. pytest.UsageError if they cannot be used."""
    from vmrace.fuzz.testing.plan import plan_of
    return plan_of(config)


def pytest_collect_file(parent: pytest.Collector, file_path: pathlib.Path) -> pytest.Collector | None:
    if file_path.suffix not in SUFFIXES or not (PLAN in parent.config.stash or file_path.suffix == ".run"):
        return None
    from vmrace.fuzz.testing.items import collected
    return collected(parent, file_path)


@pytest.hookimpl(optionalhook=True)     # from pytest 8 on
def pytest_collect_directory(parent: pytest.Collector, path: pathlib.Path) -> pytest.Collector | None:
    if PLAN not in parent.config.stash or not _plan(parent.config).is_corpus(path):
        return None
    from vmrace.fuzz.testing.items import CorpusDirectory
    return CorpusDirectory.from_parent(parent, path=path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a mark that nothing would read: its limits, and with them the test, would be passed over in silence."""
    for item in items:
        for mark in item.iter_markers(MARK):
            if mark.args:
                raise pytest.UsageError(f"{item.nodeid}: the mark vmrace has its limits by name, like vmrace(runs=1000)")
            _plan(config).check(mark.kwargs, item.nodeid)
            if not set(getattr(item, "fixturenames", ())) & set(FIXTURES):
                raise pytest.UsageError(f"{item.nodeid}: the mark vmrace is read by {' and '.join(FIXTURES)}, and the test uses neither")


@pytest.hookimpl(trylast=True)          # after the call of the test itself, and only if that raised nothing
def pytest_runtest_call(item: pytest.Item) -> None:
    """Fail a test that has a fixture of ours and never calls it: it has run no schedule."""
    for name in FIXTURES:
        check = getattr(item, "funcargs", {}).get(name)
        if check is not None and not check.calls:
            pytest.fail(f"{name} was never called: this test has run no schedule", pytrace=False)


@pytest.fixture
def vmrace_fuzz(request: pytest.FixtureRequest) -> Fuzz:
    """Sample schedules of a program: if one fails, `vmrace_fuzz(make, *args)` keeps it, and fails the test with its story."""
    from vmrace.fuzz.testing.checks import Fuzz
    return Fuzz(_plan(request.config), request.node)


@pytest.fixture
def vmrace_verify(request: pytest.FixtureRequest) -> Verify:
    """Run every class of schedules of a program: `vmrace_verify(make, *args)` fails the test unless the program is proved."""
    from vmrace.fuzz.testing.checks import Verify
    return Verify(_plan(request.config), request.node)
