# SPDX-License-Identifier: MIT
"""A program whose functions reach an object that vmrace can neither look into nor put back is not decided; one that only looks so is."""

import decimal
import hashlib
import logging
import pathlib
import re
import sqlite3
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.functions.sample import fuzz
from vmrace.harness.functions.program import Program, ProgramError
from vmrace.harness.functions.verify import verify
from vmrace.harness.incomplete import Reason
from vmrace.harness.kernel.cell import cell
from vmrace.harness.machine.machine import m


def program(made: Callable[[], Any], act: Callable[[Any], Any]) -> Program:
    x, thing = cell("x", value=0), made()

    def task() -> None:
        x.value += 1
        act(thing)

    return Program([task, task])


def database() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:")
    made.execute("create table t (x)")
    return made


@pytest.mark.parametrize(("made", "act", "name"), [
    (database, lambda thing: thing.execute("insert into t values (1)"), "a Connection"),
    (hashlib.md5, lambda thing: thing.update(b"1"), "a HASH")])
def test_a_program_with_a_hidden_state_is_not_decided(made: Callable[[], Any], act: Callable[[Any], Any], name: str) -> None:
    found = verify(program, made, act)
    assert found.why is not None and found.why.reason is Reason.HIDDEN and not found.titles
    assert name in found.why.detail
    sampled = fuzz(program, made, act, runs=20)
    assert sampled.unseen is not None and sampled.unseen.reason is Reason.HIDDEN


@pytest.mark.parametrize(("made", "act"), [
    (lambda: ElementTree.Element("a"), lambda thing: ElementTree.SubElement(thing, "b")),
    (decimal.Context, lambda thing: setattr(thing, "prec", thing.prec + 1))])
def test_an_object_of_python_that_changes_is_refused(made: Callable[[], Any], act: Callable[[Any], Any]) -> None:
    with pytest.raises(ProgramError, match="cannot be put back before the next run"):
        verify(program, made, act)


@pytest.mark.parametrize(("made", "act"), [
    (lambda: re.compile("a"), lambda thing: thing.match("ab")), (lambda: struct.Struct("i"), lambda thing: thing.pack(1)),
    (lambda: logging.getLogger("quiet"), lambda thing: thing.debug("x")), (lambda: pathlib.Path("a"), lambda thing: thing / "b"),
    (lambda: decimal.Decimal(1), lambda thing: thing + 1), (lambda: m, lambda thing: thing.step),
    (lambda: ElementTree.Element("a"), lambda thing: thing.get("b"))])
def test_an_object_of_python_that_does_not_change_is_no_matter(made: Callable[[], Any], act: Callable[[Any], Any]) -> None:
    assert verify(program, made, act).proved
