# SPDX-License-Identifier: MIT
"""Linking binds by symbol name, and the last definition wins; source that cannot be linked is reported with file and line."""

from __future__ import annotations

import itertools
import pathlib
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.harness.errors import LinkError
from vmrace.harness.link.image import KERNEL_CPUS, KERNEL_TASKS, Image
from vmrace.harness.link.linker import link
from vmrace.harness.schedulers import NoPreempt

from tests.toy import Toy

Write = Callable[..., str]
numbers = itertools.count()


@pytest.fixture
def source(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes a kernel source module and returns the name to link it by."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str) -> str:
        name = f"kernel_source_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return name
    return write


def refused(*modules: str) -> str:
    with pytest.raises(LinkError) as caught:
        link(*modules)
    return str(caught.value)


BASE = """\
    from vmrace.harness.kernel import atomic_inc, atomic_t

    __FILE__ = "mm/base.c"
    count = atomic_t("count")


    def callee():
        return "base"


    def caller():
        atomic_inc(count)
        return callee()
    """
PATCH = """\
    __FILE__ = "mm/patch.c"


    def callee():
        return "patch"
    """


def call(image: Image, name: str) -> Any:
    """Call a function of the image as the boot task, and return its result."""
    from vmrace.harness.machine.machine import m
    from vmrace.harness.machine.task import NEVER, Task
    m.current, m.stop = Task(-1, "boot"), NEVER
    return image[name]()


# ---- binding ---------------------------------------------------------------------------------------------------------------

def test_without_a_patch_the_base_calls_its_own_functions(source: Write) -> None:
    assert call(link(source(BASE)), "caller") == "base"


def test_an_unchanged_caller_reaches_the_last_definition(source: Write) -> None:
    assert call(link(source(BASE), source(PATCH)), "caller") == "patch"


def test_the_order_of_the_modules_decides_which_definition_is_the_last(source: Write) -> None:
    assert call(link(source(PATCH), source(BASE)), "caller") == "base"


def test_linking_a_patch_leaves_the_base_image_alone(source: Write) -> None:
    base = source(BASE)
    before = link(base)
    link(base, source(PATCH))
    assert call(before, "caller") == "base"


def test_data_is_private_to_an_image(source: Write) -> None:
    base = source(BASE)
    one, other = link(base), link(base)
    call(one, "caller")
    assert (one["count"].counter, other["count"].counter) == (1, 0)


def test_loading_the_boot_state_resets_data(source: Write) -> None:
    image = link(source(BASE))
    call(image, "caller")
    image.load(image.boot)
    assert image["count"].counter == 0


def test_a_saved_state_is_not_changed_by_later_stores(source: Write) -> None:
    image = link(source(BASE))
    call(image, "caller")
    saved = image.save()
    call(image, "caller")
    image.load(saved)
    assert image["count"].counter == 1


def test_a_state_of_many_objects_is_restored_whole(source: Write) -> None:
    image = link(source("""
        from vmrace.harness.kernel import atomic_t
        counters = [atomic_t(f"counter{n}") for n in range(150)]
    """))
    counters, numbered = image["counters"], list(range(1, 151))
    for counter, number in zip(counters, numbered, strict=True):
        counter.counter = number
    saved = image.save()
    image.load(image.boot)
    assert [counter.counter for counter in counters] == [0] * 150
    image.load(saved)
    assert [counter.counter for counter in counters] == numbered


def test_a_package_stands_for_its_modules(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "kernel_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("def first():\n    return 'a'\n\n\ndef both():\n    return 'a'\n")
    (package / "b.py").write_text("def both():\n    return 'b'\n")
    image = link("kernel_package")
    assert (call(image, "first"), call(image, "both")) == ("a", "b")


def test_images_of_different_source_have_different_digests(source: Write) -> None:
    base = source(BASE)
    assert link(base).digest == link(base).digest
    assert link(base).digest != link(base, source(PATCH)).digest


# ---- source that cannot be linked ------------------------------------------------------------------------------------------

def test_an_undefined_reference_is_reported_with_file_line_and_function(source: Write) -> None:
    name = source("""\
        def caller():
            a = 1
            return page_cache_release(a)
        """)
    assert refused(name).endswith(f"{name}.py:3: undefined reference to page_cache_release in caller")


def test_an_undefined_reference_in_a_replaced_function_is_no_error(source: Write) -> None:
    image = link(source("def callee():\n    return gone()\n"), source(PATCH))
    assert call(image, "callee") == "patch"


def test_an_undefined_reference_in_a_comprehension_is_reported(source: Write) -> None:
    assert "2: undefined reference to gone in caller" in refused(source("def caller(xs):\n    return [gone(x) for x in xs]\n"))


def test_a_bug_in_a_comprehension_names_the_function_around_it(source: Write) -> None:
    name = source("from vmrace.harness.kernel import BUG\n\n__FILE__ = 'mm/x.c'\n\n\ndef caller():\n    return [BUG(x) for x in (3, 4)]\n")
    assert Toy(name).run([(0, [("caller",)])], NoPreempt()).titles == ["BUG at mm/x.c:3 in caller"]


def test_a_symbol_defined_in_a_later_module_is_found(source: Write) -> None:
    user = source("from vmrace.variants.anything import callee\n\n\ndef user():\n    return callee()\n")
    assert call(link(user, source(PATCH)), "user") == "patch"


def test_an_undefined_extern_is_reported_even_if_unused(source: Write) -> None:
    name = source("# nothing\nfrom vmrace.variants.lru_free_2_4.pre_patch import put_page\n")
    assert refused(name).endswith(f"{name}.py:2: undefined reference to put_page (declared extern, defined nowhere)")


@pytest.mark.parametrize("statement", [
    "from vmrace.harness.kernel import *", "from vmrace.harness.kernel import spin_lock as lock",
    "from vmrace.variants.lru_free_2_4.types import *",
    "from os import path", "from vmrace.fuzz.run.executor import Executor", "from . import other"])
def test_kernel_source_may_import_only_plain_names_from_the_toolkit_or_variants(source: Write, statement: str) -> None:
    name = source(f"\n{statement}\n")
    assert refused(name).endswith(f"{name}.py:2: kernel source imports names from vmrace.harness.kernel or vmrace.variants, plainly")


def test_an_import_that_the_toolkit_lacks_is_reported(source: Write) -> None:
    name = source("from vmrace.harness.kernel import spin_lock, spin_look\n")
    assert refused(name).endswith(f"{name}.py:1: vmrace.harness.kernel has no spin_look")


@pytest.mark.parametrize(("statement", "kind"), [
    ("import os", "import"), ("for i in (1, 2):\n    pass", "for"), ("if 1:\n    a = 1", "if"), ("while 0:\n    pass", "while"),
    ("with open('x'):\n    pass", "with"), ("try:\n    a = 1\nfinally:\n    pass", "try"), ("a = 1\ndel a", "delete"),
    ("a = 1\na += 1", "augassign"), ("async def f():\n    pass", "asyncfunctiondef"), ("assert 1", "assert")])
def test_a_statement_out_of_place_is_reported(source: Write, statement: str, kind: str) -> None:
    name = source(statement + "\n")
    line = 1 + statement.startswith("a = 1")
    assert refused(name).endswith(f"{name}.py:{line}: {kind} has no place in kernel source")


def test_linking_a_module_that_does_not_exist_is_reported() -> None:
    assert refused("no_such_kernel_source") == "no kernel source module 'no_such_kernel_source'"


def test_after_a_failed_link_the_next_one_works(source: Write) -> None:
    refused(source("import os\n"))
    assert call(link(source(BASE)), "caller") == "base"


# ---- the file and function that a finding names ----------------------------------------------------------------------------

TWO_FILES = """\
    from vmrace.harness.kernel import BUG, BUG_ON, atomic_inc, atomic_t

    __FILE__ = "include/linux/mm.h"

    count = atomic_t("count")


    def PAGE_BUG(__LINE__):
        BUG(__LINE__)


    def get_page():
        atomic_inc(count)


    __FILE__ = "mm/two.c"


    def check():
        BUG_ON(count.counter, 7)


    def twice():
        get_page()
        PAGE_BUG(95)
    """


def test_the_file_directive_names_the_file_of_the_functions_below_it(source: Write) -> None:
    image = link(source(TWO_FILES))
    files = {origin.function: origin.kernel_file for origin in image.origin.values()}
    assert files == {"PAGE_BUG": "include/linux/mm.h", "get_page": "include/linux/mm.h", "check": "mm/two.c", "twice": "mm/two.c"}


def test_without_a_file_directive_a_function_is_of_its_module(source: Write) -> None:
    name = source("def f():\n    return 1\n")
    assert [origin.kernel_file for origin in link(name).origin.values()] == [name]


def test_the_file_directive_is_no_global_of_the_image(source: Write) -> None:
    assert not link(source(TWO_FILES)).defines("__FILE__")


def test_a_bug_in_a_macro_names_the_calling_function(source: Write) -> None:
    run = Toy(source(TWO_FILES)).run([(0, [("twice",)])], NoPreempt())
    assert run.titles == ["BUG at mm/two.c:95 in twice"]


def test_an_event_in_an_accessor_of_a_header_names_the_calling_function(source: Write) -> None:
    run = Toy(source(TWO_FILES)).trace([(0, [("twice",)])], NoPreempt())
    event = next(event for event in run.events if event.obj == "count")
    assert (event.function, event.label) == ("twice", "get_page(count)")


def test_bug_on_is_linked_as_a_condition_and_a_bug(source: Write) -> None:
    run = Toy(source(TWO_FILES)).run([(0, [("check",), ("get_page",), ("check",)])], NoPreempt())
    assert (run.titles, run.steps) == (["BUG at mm/two.c:7 in check"], 1)


def test_linking_removes_likely_unlikely_and_data_race(source: Write) -> None:
    image = link(source("""\
        from vmrace.harness.kernel import data_race, likely, unlikely


        def f():
            return likely(1) + unlikely(2) + data_race(3)
        """))
    assert call(image, "f") == 6
    assert image["f"].__code__.co_names == ()


def test_linking_remembers_the_places_of_data_race(source: Write) -> None:
    image = link(source("from vmrace.harness.kernel import data_race\n\n\ndef f(x):\n    return data_race(x.y)\n"))
    assert [span for _, *span in image.racy_spans] == [[5, 11, 5, 25]]


def test_an_access_through_data_race_is_remembered_with_its_field(source: Write) -> None:
    image = link(source("from vmrace.harness.kernel import data_race\n\n\ndef f(x):\n    data_race(x).y = 1\n"))
    assert sorted(span for _, *span in image.racy_spans) == [[5, 4, 5, 16], [5, 4, 5, 18]]


# ---- probes ----------------------------------------------------------------------------------------------------------------

BLOCKS = """\
    def f(x):
        if x:
            return 1
        else:
            return 2


    def g():
        return f(1)
    """


def test_probes_mark_the_blocks_that_ran(source: Write) -> None:
    image = link(source(BLOCKS), probes=True)
    call(image, "g")
    ran = sorted(image.places[number][1] for number, mark in enumerate(image.probes) if mark)
    assert ran == [2, 3, 9]


def test_without_probes_there_are_no_marks(source: Write) -> None:
    assert len(link(source(BLOCKS)).probes) == 1


# ---- lists and their locks -------------------------------------------------------------------------------------------------

def test_a_list_guard_may_be_a_global_or_a_field_beside_it(source: Write) -> None:
    name = source("""\
        from vmrace.harness.kernel import LIST_HEAD, embed, list_add, list_head, spin_lock, spin_unlock, spinlock_t, struct


        class zone_t(struct):
            lock = embed(spinlock_t)
            free = embed(list_head, guard=".lock")
            entry = embed(list_head)
            other = embed(list_head)


        lock = spinlock_t("lock")
        everything = LIST_HEAD("everything", "lock")
        zone = zone_t("zone")


        def good():
            spin_lock(lock)
            list_add(zone.other, everything)
            spin_unlock(lock)
            spin_lock(zone.lock)
            list_add(zone.entry, zone.free)
            spin_unlock(zone.lock)


        def bad_global():
            spin_lock(zone.lock)
            list_add(zone.other, everything)
            spin_unlock(zone.lock)


        def bad_field():
            spin_lock(lock)
            list_add(zone.entry, zone.free)
            spin_unlock(lock)
        """)
    toy = Toy(name, core="checked")
    titles = [toy.run([(0, [(function,)])], NoPreempt()).title for function in ("good", "bad_global", "bad_field")]
    assert titles == [None, "LOCKSET: everything touched without its lock in bad_global",
                      "LOCKSET: zone.free touched without its lock in bad_field"]


# ---- structs that a patch adds fields to -----------------------------------------------------------------------------------

STRUCTS = """\
    from vmrace.harness.kernel import plain, struct


    class page(struct):
        \"""mm.h\"""
        index = plain(3)


    frame = page("frame")


    def fields():
        return sorted(page.fields), sorted(page.embedded)
    """
ADDS = """\
    from vmrace.harness.kernel import atomic_t, embed, plain, struct


    class counters(struct):
        readers = embed(atomic_t, 5)


    class page(page):
        \"""What the patch adds.\"""
        age = plain(7)
        used = embed(counters)


    def added():
        return frame.index, frame.age, frame.used.readers.counter
    """


def test_objects_of_the_base_have_the_fields_that_a_patch_adds(source: Write) -> None:
    base, patch = source(STRUCTS), source(ADDS)
    image = link(base, patch)
    assert call(image, "fields") == (["age", "index"], ["used"])
    assert call(image, "added") == (3, 7, 5)
    assert call(link(base), "fields") == (["index"], [])


def test_fields_that_a_patch_adds_are_part_of_the_state(source: Write) -> None:
    image = link(source(STRUCTS), source(ADDS))
    image["frame"].age, image["frame"].used.readers.counter = 8, 9
    image.load(image.boot)
    assert call(image, "added") == (3, 7, 5)


def test_two_patches_may_add_to_one_struct(source: Write) -> None:
    more = source("""\
        from vmrace.harness.kernel import plain


        class page(page):
            zone = plain(1)
        """)
    assert call(link(source(STRUCTS), source(ADDS), more), "fields") == (["age", "index", "zone"], ["used"])


def test_a_patch_to_a_struct_that_does_not_exist_is_reported(source: Write) -> None:
    told = refused(source(ADDS))
    assert ".py:8: adds to struct page, which no module before it defines" in told
    assert "which no module before it defines" in refused(source(ADDS), source(STRUCTS))


def test_the_task_structs_are_part_of_the_state(source: Write) -> None:
    image = link(source("""\
        from vmrace.harness.kernel import plain, struct


        class task_struct(struct):
            mm = plain(1)
        """))
    for task in image.tasks:
        task.mm = 2
    image.load(image.boot)
    assert [task.mm for task in image.tasks] == [1] * (KERNEL_TASKS + KERNEL_CPUS)
