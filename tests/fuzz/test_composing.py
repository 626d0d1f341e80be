# SPDX-License-Identifier: MIT
"""Facts that no single program has together are composed to a program, which fails or is dropped."""

from __future__ import annotations

import random
from typing import Any

import pytest
from vmrace.fuzz.campaign.accesses import Accesses, choose, pairs
from vmrace.fuzz.campaign.composing import Composing, Edges, Meeting
from vmrace.fuzz.campaign.facts import IN_IRQ, IRQS_ON, LOADED, ORDER, STORED, TRIES_MAX, Fact, Facts, Goal, Witness, facts_of
from vmrace.fuzz.campaign.messages import Lesson, ShardResult, ShardTask
from vmrace.fuzz.campaign.shard import _Shard
from vmrace.fuzz.campaign.worker import Worker
from vmrace.fuzz.programs.compose import composed, only_tasks
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import Program, TaskProgram, parse_op

LRU = "pagemap_lru_lock"


def program(setup: list[str], *tasks: list[str]) -> Program:
    return Program(tuple(parse_op(text, "setup") for text in setup),
                   tuple(TaskProgram(cpu, tuple(parse_op(text, "task") for text in ops)) for cpu, ops in enumerate(tasks)),
                   max(2, len(tasks)))


def order(held: str, lock: str, held_shared: bool = False, shared: bool = False) -> Fact:
    return Fact(ORDER, lock, shared, held, held_shared)


def goals(*facts: Fact) -> list[Goal]:
    known = Facts()
    for fact in facts:
        known.witness([fact], Witness(program([], ["reclaim"]), True))
    return known.goals()


# ---- goals -----------------------------------------------------------------------------------------------------------------------

def test_two_orders_of_two_locks_are_a_goal() -> None:
    ab, ba = order("a", "b"), order("b", "a")
    assert goals(ab, ba) == [(ab, ba)]
    assert goals(ab, order("b", "c")) == []


def test_a_cycle_of_three_locks_is_a_goal_and_listed_once() -> None:
    facts = order("a", "b"), order("b", "c"), order("c", "a")
    assert goals(*facts[::-1]) == [facts]


def test_a_longer_cycle_with_locks_of_a_shorter_one_is_no_goal() -> None:
    ab, ba = order("a", "b"), order("b", "a")
    assert goals(ab, ba, order("b", "c"), order("c", "a")) == [(ab, ba)]


@pytest.mark.parametrize(("first", "second", "deadlocks"), [
    ((True, False), (True, False), True),       # readers hold, writers wait
    ((False, True), (True, False), False),      # a reader waits for b, which a reader holds
    ((True, False), (False, True), False),
    ((False, False), (False, False), True)])
def test_a_reader_does_not_wait_for_a_reader(first: tuple[bool, bool], second: tuple[bool, bool], deadlocks: bool) -> None:
    """Each pair says whether a reader holds the first lock, and whether a reader waits for the second."""
    ab, ba = order("a", "b", *first), order("b", "a", *second)
    assert goals(ab, ba) == ([(ab, ba)] if deadlocks else [])


def test_a_lock_used_in_an_interrupt_and_with_interrupts_on_is_a_goal() -> None:
    inside, outside = Fact(IN_IRQ, "a"), Fact(IRQS_ON, "a")
    assert goals(inside, outside) == [(inside, outside)]
    assert goals(inside, Fact(IRQS_ON, "b")) == []
    assert goals(Fact(IN_IRQ, "a", True), Fact(IRQS_ON, "a", True)) == []       # readers


def test_a_goal_is_tried_a_few_times_and_again_when_a_fact_becomes_easy_to_show() -> None:
    facts, goal = Facts(), (order("a", "b"), order("b", "a"))
    hard, easy = Witness(program([], ["reclaim"]), False), Witness(program(["reclaim"], ["reclaim"]), True)
    facts.witness(goal, hard)
    for _ in range(TRIES_MAX):
        assert facts.goals() == [goal]
        facts.try_goal(goal)
    assert facts.goals() == []
    facts.witness(goal[:1], easy)               # longer, but easy
    assert facts.witnesses[goal[0]] == easy
    assert facts.goals() == [goal]
    facts.witness(goal[:1], hard)
    assert facts.witnesses[goal[0]] == easy


def test_facts_that_learn_from_a_copy_are_equal_to_it() -> None:
    facts, goal = Facts(), (order("a", "b"), order("b", "a"))
    facts.witness(goal[:1], Witness(program([], ["reclaim"]), False))
    copy = facts.copy()
    copy.witness(goal, Witness(program([], ["reclaim"]), True))
    copy.try_goal(goal)
    assert facts.goals() == []
    assert copy.news is not None
    facts.add(copy.news)
    assert (facts.witnesses, facts.tried) == (copy.witnesses, copy.tried)


# ---- composed programs ------------------------------------------------------------------------------------------------------------

def test_a_composed_program_has_the_setups_and_tasks_of_its_parts() -> None:
    first, second = program(["store m0.0"], ["unmap m0.0"]), program(["read f0.0"], ["invalidate f0"], ["reclaim"])
    one, other, apart = composed([first, second])
    assert one == program(["store m0.0", "read f0.0"], ["unmap m0.0"], ["invalidate f0"], ["reclaim"])
    assert other == program(["read f0.0", "store m0.0"], ["invalidate f0"], ["reclaim"], ["unmap m0.0"])
    assert apart == program(["store m0.0", "read f1.0"], ["unmap m0.0"], ["invalidate f1"], ["reclaim"])
    assert list(composed([first])) == [first]


def test_a_composed_program_is_always_legal() -> None:
    from vmrace.fuzz.programs import generate
    rng, names = random.Random(4), list(OPERATIONS)
    for _ in range(300):
        parts = [generate.program(rng, names) for _ in range(rng.choice((2, 3)))]
        for made in composed(parts):
            assert all(parse_op(str(op), "") == op for line in (made.setup, *(task.ops for task in made.tasks)) for op in line)
            assert len(made.tasks) == sum(len(part.tasks) for part in parts)
            assert all(task.cpu < made.cpus for task in made.tasks)
            assert [task.cpu for task in made.tasks] == sorted(task.cpu for task in made.tasks)


def test_a_program_with_some_of_its_tasks_keeps_its_setup() -> None:
    assert only_tasks(program(["store m0.0"], ["unmap m0.0"], ["reclaim"]), [1]) == program(["store m0.0"], ["reclaim"])


# ---- a search --------------------------------------------------------------------------------------------------------------------

VARIANT = ("lru_free_2_4", "daniel_lru_count")


@pytest.fixture(scope="module")
def fast() -> Executor:
    return Executor(family(VARIANT[0]), VARIANT[1], probes=True)


def shown(fast: Executor, one: Program) -> list[Fact]:
    prepared = fast.prepare(one)
    prepared.image.lockdep.begin_anew()
    fast.run(prepared, NoPreempt())
    return facts_of(prepared.image.lockdep)


SWAPON, INVALIDATES = program([], ["swapon"]), program(["mmap_private m0.2 f0.0", "pin m0.2 k0"], ["invalidate f0"])


def shard() -> _Shard:
    worker = Worker(*VARIANT)
    worker.begin(Lesson())
    return _Shard(worker, ShardTask(*VARIANT, seed=1, number=0, runs=5000, seconds=600.0))


def test_facts_are_those_of_the_tasks_and_not_of_the_setup(fast: Executor) -> None:
    busy, idle = (shown(fast, program(setup, tasks)) for setup, tasks in (([], ["store m0.0"]), (["store m0.0"], ["bdflush"])))
    fault = order("mm_struct.mmap_sem", "mm_struct.page_table_lock")
    assert fault in busy
    assert fault not in idle


def test_the_steps_of_a_fact_are_those_before_the_second_lock(fast: Executor) -> None:
    one = program([], ["store m0.0"])
    prepared = fast.prepare(one)
    edges = Edges((order("mm_struct.mmap_sem", "mm_struct.page_table_lock"),))
    with m.watched(edges):
        fast.run(prepared, NoPreempt())
    assert edges.steps
    others = Edges((order("mm_struct.page_table_lock", "mm_struct.mmap_sem"),))
    with m.watched(others):
        fast.run(prepared, NoPreempt())
    assert others.steps == []


def test_a_goal_that_the_composed_program_does_not_show_is_dropped() -> None:
    search, facts = shard(), Facts()
    goal = (order(LRU, "x"), order("x", LRU))
    facts.witness(goal, Witness(INVALIDATES, True))
    assert Composing(search, facts, goal).program() is None
    assert 0 < search.result.runs < 10


def test_witnesses_of_two_lock_orders_are_composed_to_a_deadlock() -> None:
    """Neither witness deadlocks: the one acquires the locks in one order, the other in the other order."""
    search = shard()
    for one in (SWAPON, INVALIDATES):
        prepared = search.fast.prepare(one)
        prepared.image.lockdep.begin_anew()
        for lead in (0, -1):
            assert not search.fast.run(prepared, NoPreempt(lead)).findings
        search._witness(one, prepared, easily=True)
    facts = search.worker.memory.facts
    goal: Any = next(goal for goal in facts.goals() if {fact.what for fact in goal} == {LRU, "lru_list_lock"})
    assert len({facts.witnesses[fact].program for fact in goal}) == 2
    search._compose(Composing(search, facts, goal))
    titles = {hit.title: hit for hit in search.result.hits}
    assert f"LOCKDEP: lock order lru_list_lock -> {LRU} -> lru_list_lock" in titles
    deadlock = next(hit for title, hit in titles.items() if title.startswith("DEADLOCK: nobody can run: "))
    assert len(deadlock.composed) == 2
    assert [line.partition(": ")[2] for line in deadlock.composed] == ["- | swapon", "mmap_private m0.2 f0.0; pin m0.2 k0 | invalidate f0"]
    assert isinstance(search.result, ShardResult) and search.result.tallies["composed"].findings >= 1


# ---- accesses --------------------------------------------------------------------------------------------------------------------

def access(kind: str, what: str, held: str = "") -> Fact:
    return Fact(kind, what, held=held)


def test_two_accesses_without_a_common_lock_are_a_goal_if_one_stores() -> None:
    load, bare = access(LOADED, "page.mapping", "a and b"), access(STORED, "page.mapping")
    assert list(pairs([bare, load])) == [(load, bare), (bare, bare)]
    assert list(pairs([load, access(STORED, "page.mapping", "b and c")])) == []        # b is common
    assert list(pairs([load, access(LOADED, "page.mapping")])) == []


def test_a_goal_of_accesses_is_chosen_until_it_was_met_or_tried() -> None:
    facts, rng = Facts(), random.Random(1)
    load, store = access(LOADED, "page.mapping", "a"), access(STORED, "page.mapping", "b")
    facts.witness([load, store], Witness(program([], ["reclaim"]), True))
    assert facts.goals() == []
    assert choose(facts, rng) == (load, store)
    facts.copy().meet((load, store))
    assert choose(facts, rng) == (load, store)
    facts.meet((load, store))
    assert choose(facts, rng) is None
    other = access(STORED, "page.mapping")
    facts.witness([other], Witness(program([], ["reclaim"]), True))
    chosen = {choose(facts, rng) for _ in range(50)}
    assert chosen == {(load, other), (other, other), (other, store)}
    for goal in chosen:
        assert goal is not None
        facts.try_goal(goal)
    assert choose(facts, rng) is None


def recorded(fast: Executor, one: Program, scheduler: Any) -> Accesses:
    seen = Accesses({})
    with m.watched(seen):
        fast.run(fast.prepare(one), scheduler)
    return seen


def test_accesses_name_fields_and_the_locks_that_are_held(fast: Executor) -> None:
    seen = recorded(fast, program([], ["store m0.0"], ["store m0.1"]), NoPreempt())
    assert access(STORED, "mm_struct.mmap_cache", "mm_struct.mmap_sem") in seen.at
    assert seen.at[access(STORED, "mm_struct.mmap_cache", "mm_struct.mmap_sem")]
    assert all(fact.kind in (LOADED, STORED) and "m0" not in fact.what for fact in seen.at)


def test_accesses_of_different_tasks_to_one_place_are_together(fast: Executor) -> None:
    """Both tasks fault in one process, so they share its count of pages; with a process each, they share less."""
    same, apart = (set(recorded(fast, program([], ["store m0.0"], [f"store {page}"]), NoPreempt()).together()) for page in ("m0.1", "m1.0"))
    alone = list(recorded(fast, program([], ["store m0.0"]), NoPreempt()).together())
    assert alone == []
    assert same
    assert same != apart


def test_a_meeting_composes_accesses_that_no_witness_has_together(fast: Executor) -> None:
    """An operation on a file of one process, and one of another; together they meet on the pages of that file."""
    search = shard()
    facts = search.worker.memory.facts
    for one in (program(["write f0.0"], ["truncate f0 1"]), program(["mmap_shared m0.0 f0.0"], ["store m0.0"])):
        prepared = search.fast.prepare(one)
        for lead in (0, -1):
            search.places(prepared, search.one(one, prepared, "nopreempt", NoPreempt(lead)))
    met, found = set(facts.met), None
    while found is None:
        goal = choose(facts, random.Random(2))
        assert goal is not None, "no goal can be met"
        assert goal not in met
        facts.try_goal(goal)
        meeting = Meeting(search, facts, goal)
        found = meeting.program()
    seen = [recorded(search.fast, found[0], NoPreempt(lead)) for lead in (*range(len(found[0].tasks)), -1)]
    assert any(goal in one.together() for one in seen)
    before = search.result.runs
    meeting.direct(*found)
    assert before < search.result.runs <= before + (len(found[0].tasks) + 1) * (Meeting.children_max + 1)
