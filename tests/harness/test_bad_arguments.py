# SPDX-License-Identifier: MIT
"""A kernel object with an impossible argument raises ProgramError with one line, before any run uses it."""

from __future__ import annotations

import pytest
from vmrace.harness.errors import ProgramError
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel import LIST_HEAD, atomic_t, list_add, list_head, semaphore
from vmrace.harness.schedulers import NoPreempt


def test_a_kernel_object_whose_name_is_not_a_string_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"atomic_t\(0\): the first argument of a kernel object is its name"):
        Runner(lambda: atomic_t(0))


def test_a_semaphore_with_a_negative_count_is_refused() -> None:
    with pytest.raises(ProgramError, match="semaphore s begins with the count -1"):
        Runner(lambda: semaphore("s", count=-1))


@pytest.mark.parametrize("type_stable", [False, True])
def test_a_free_list_refuses_a_link_that_no_struct_embeds(type_stable: bool) -> None:
    def make() -> Program:
        free, link = LIST_HEAD("free", freelist=True, type_stable=type_stable), list_head("link")
        return Program([lambda: list_add(link, free)])
    with pytest.raises(ProgramError, match="link is put on a free list, and no struct embeds it"):
        Runner(make).run(NoPreempt())


def test_making_a_program_inside_another_is_refused() -> None:
    def make() -> Program:
        return Program([lambda: None])

    def outer() -> Program:
        Runner(make)
        return make()
    with pytest.raises(ProgramError, match="make: made inside of another program"):
        Runner(outer)
