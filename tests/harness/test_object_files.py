# SPDX-License-Identifier: MIT
"""Kernel source is compiled once and kept; an object file is used again only while all that it is made of is the same."""

from __future__ import annotations

import contextlib
import pathlib
import sys
import textwrap
from collections.abc import Callable

import pytest
from vmrace.harness.link import source as object_files
from vmrace.harness.link.image import Image
from vmrace.harness.link.linker import link

Write = Callable[[str, str], str]

PLAIN = """\
    __FILE__ = "mm/plain.c"


    def answer():
        if True:
            return 1
    """
STRUCT = """\
    from vmrace.harness.kernel import racy, struct


    class page(struct):
        count = racy(0)


    def fields():
        return sorted(name for name in ("count", "extra") if hasattr(page, name))
    """
ADDS = """\
    from vmrace.harness.kernel import racy


    class page(page):
        extra = racy(0)
    """


@pytest.fixture
def write(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes a module of kernel source under a name. Object files are kept, and this process forgets its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(object_files, "_made", {})

    def written(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return name
    return written


def call(image: Image, function: str) -> object:
    return image.namespace[function]()


def linked_anew(monkeypatch: pytest.MonkeyPatch, *modules: str, probes: bool = False) -> Image:
    """Link as another process would: only what is on the disk is known."""
    monkeypatch.setattr(object_files, "_made", {})
    return link(*modules, probes=probes)


def test_a_second_process_compiles_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write("kept_plain", PLAIN)
    first = link(name)
    monkeypatch.setattr(object_files, "_compile", lambda *_: pytest.fail("compiled again"))
    second = linked_anew(monkeypatch, name)
    assert call(first, "answer") == call(second, "answer") == 1
    assert [*first.origin.values()] == [*second.origin.values()]


def test_two_images_share_no_code_object(write: Write) -> None:
    name = write("kept_twice", PLAIN)
    assert link(name).namespace["answer"].__code__ is not link(name).namespace["answer"].__code__


def test_a_changed_text_is_compiled_again(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write("kept_changed", PLAIN)
    link(name)
    write("kept_changed", PLAIN.replace("return 1", "return 2"))
    assert call(linked_anew(monkeypatch, name), "answer") == 2


def test_a_field_that_a_patch_adds_does_not_stay_in_the_base(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    base, patch = write("kept_struct", STRUCT), write("kept_adds", ADDS)
    for modules, fields in (((base,), ["count"]), ((base, patch), ["count", "extra"]), ((base,), ["count"])):
        assert call(linked_anew(monkeypatch, *modules), "fields") == fields


def test_blocks_are_numbered_from_the_first_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = write("kept_one", PLAIN), write("kept_other", PLAIN.replace("answer", "reply"))
    for order in ((one, other), (other, one), (one, other)):
        image = linked_anew(monkeypatch, *order, probes=True)
        call(image, "reply")
        marked = [pathlib.Path(image.places[number][0]).stem for number, mark in enumerate(image.probes) if mark]
        assert marked == ["kept_other"] * 2, order


def test_a_damaged_object_file_is_made_again(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    name = write("kept_damaged", PLAIN)
    link(name)
    kept, = tmp_path.glob("**/kept_damaged*.vmlinux")
    for damage in (b"", b"no object file", kept.read_bytes()[:40]):
        kept.write_bytes(damage)
        assert call(linked_anew(monkeypatch, name), "answer") == 1


def test_a_folder_that_cannot_be_written_keeps_nothing(write: Write, tmp_path: pathlib.Path) -> None:
    name = write("kept_nowhere", PLAIN)
    (tmp_path / "__pycache__").write_text("no folder")
    assert call(link(name), "answer") == 1
    assert (tmp_path / "__pycache__").read_text() == "no folder"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the disk is full")])
def test_a_write_that_is_cut_leaves_no_file(error: BaseException, write: Write, tmp_path: pathlib.Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise error
    name = write("kept_cut", PLAIN)
    monkeypatch.setattr(object_files.os, "replace", cut)
    with pytest.raises(KeyboardInterrupt) if isinstance(error, KeyboardInterrupt) else contextlib.nullcontext():
        assert call(link(name), "answer") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]


def test_where_python_keeps_nothing_the_linker_keeps_nothing(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    link(write("kept_not", PLAIN))
    assert not [*tmp_path.glob("**/*.vmlinux")]
