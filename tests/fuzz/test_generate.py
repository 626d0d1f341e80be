# SPDX-License-Identifier: MIT
"""Generated and mutated programs are legal on every variant, bounded, and from subsets; states and places are as documented."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from vmrace.fuzz.campaign.start_states import KNOWN, SETUPS_MAX, States
from vmrace.fuzz.corpus.entry import Entry, emit, parse
from vmrace.fuzz.programs import generate
from vmrace.fuzz.programs.generate import SETUP_MAX, TASK_OPS_MAX, TASKS_MAX
from vmrace.fuzz.run.executor import SetupFailed
from vmrace.fuzz.sampling.contention import Places
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt, Walk
from vmrace.variants.operations import OPERANDS
from vmrace.variants.program import CPUS_MAX, Op, Program, over_limits, parse_op

from tests.fuzz.family_programs import executor, program

OPERATIONS_HERE = executor().operations()
ROUNDS = 60


def made(seed: int, rounds: int = ROUNDS) -> Iterator[Program]:
    """Generate programs: new ones, mutations of mutations, longer setups, and programs that start from those."""
    rng = random.Random(seed)
    base = other = generate.program(rng, OPERATIONS_HERE)
    yield base
    for number in range(rounds):
        if number % 10 == 9:
            base = generate.program(rng, OPERATIONS_HERE)
        else:
            base = generate.mutate(rng, base, other, OPERATIONS_HERE)
        other = rng.choice((base, other))
        setup = generate.extended(rng, base.setup, OPERATIONS_HERE)
        yield from (base, setup, generate.from_setup(rng, setup.setup, OPERATIONS_HERE))


@pytest.mark.parametrize("variant", ["pre_patch", "daniel_lru_count"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_generated_program_runs_on_every_variant(variant: str, seed: int) -> None:
    """A HarnessError fails this test: a kernel may fail, vmrace may not."""
    runner, rng, ran = executor(variant), random.Random(seed), 0
    for one in made(seed):
        try:
            prepared = runner.prepare(one)
        except SetupFailed as failed:
            assert failed.finding.title
            continue
        for scheduler in (NoPreempt(), Walk(rng, 0.1), Walk(rng, 0.3)):
            runner.run(prepared, scheduler)
        ran += 1
    assert ran > ROUNDS         # of three times as many: most setups are fine


@pytest.mark.parametrize("seed", range(5))
def test_every_generated_program_is_legal_text_and_bounded(seed: int) -> None:
    for one in made(seed, 200):
        assert 1 <= one.cpus <= CPUS_MAX
        assert len(one.tasks) <= TASKS_MAX
        assert over_limits(one.cpus, (task.cpu for task in one.tasks)) == ""
        assert len(one.setup) <= SETUP_MAX + 6
        for task in one.tasks:
            assert 0 <= task.cpu < one.cpus
            assert len(task.ops) <= TASK_OPS_MAX + 1
        for op in (*one.setup, *(op for task in one.tasks for op in task.ops)):
            assert parse_op(str(op), "made") == op
        entry = Entry(title="t", asks="", source="", found_on="lru_free_2_4/pre_patch", program=one, schedule=(), expect={})
        assert parse(emit(entry)).program == one


def test_the_same_seed_generates_the_same_programs() -> None:
    assert list(made(7, 20)) == list(made(7, 20)) != list(made(8, 20))


def test_programs_of_a_swarm_use_only_its_subset_of_the_operations() -> None:
    """With shares of 0.3, 0.5 and 0.7 of 44 operations, none of 200 swarms is likely to have all (0.7 ** 44 is 2e-7)."""
    rng = random.Random(1)
    sizes = []
    for _ in range(200):
        drawn = generate.swarm(rng, OPERATIONS_HERE)
        assert set(drawn.operations) <= set(OPERATIONS_HERE)
        assert 1 <= len(drawn.operations) < len(OPERATIONS_HERE)
        sizes.append(len(drawn.operations))
        for kind, pool in drawn.pool.items():
            assert pool
            assert set(pool) <= set(OPERANDS[kind])
        for _ in range(20):
            op = drawn.op(rng)
            assert op.name in drawn.operations
            assert op.name != "fork" or op.operands[0] != op.operands[1]
    assert min(sizes) < len(OPERATIONS_HERE) / 3
    assert max(sizes) > len(OPERATIONS_HERE) / 2


def test_generated_programs_use_every_operation_and_every_number_of_cpus() -> None:
    rng = random.Random(1)
    names: Counter[str] = Counter()
    cpus: Counter[int] = Counter()
    for _ in range(500):
        one = generate.program(rng, OPERATIONS_HERE)
        names.update(one.operations())
        cpus[one.cpus] += 1
    assert set(names) == set(OPERATIONS_HERE)
    assert set(cpus) == {1, 2, 3, 4}
    assert cpus.most_common(1)[0][0] == 2


def test_from_one_operation_only_that_operation_is_made() -> None:
    rng = random.Random(1)
    base = generate.program(rng, ("store",))
    for _ in range(50):
        base = generate.mutate(rng, base, base, ("store",))
        assert base.operations() <= {"store"}


# ---- states --------------------------------------------------------------------------------------------------------------

def setup(*names: str) -> tuple[Op, ...]:
    return tuple(Op(name, ()) for name in names)


def test_a_state_is_the_description_of_a_page_without_its_name_and_with_few_counts() -> None:
    states = States()
    assert states.reach(setup("a"), {"A": "1 LRU dirty", "B": "0 FREE"}) == {"1 LRU dirty"}
    assert states.reach(setup("b"), {"B": "1 LRU dirty"}) == {"1 LRU dirty"}
    assert states.reach(setup("c"), {"A": "3 LRU"}) == states.reach(setup("d"), {"A": "17 LRU"}) == {"3 LRU"}
    assert states.reach(setup("e"), {"A": "0 FREE"}) == {""}


def test_the_shortest_setups_of_a_state_are_kept() -> None:
    states = States()
    for length in range(12, 0, -1):
        states.reach(setup(*"x" * length), {"A": "1 LRU"})
    assert [len(one) for one in states.setups["1 LRU"]] == list(range(1, SETUPS_MAX + 1))
    states.reach(setup("x"), {"A": "1 LRU"})
    assert len(states.setups["1 LRU"]) == SETUPS_MAX


def test_words_of_states_are_picked_evenly_however_many_states_have_them() -> None:
    """One state has `swap`, and many have `file`: a pick by states would choose swap once in 31 times."""
    states = States()
    for number in range(30):
        states.reach(setup(f"file{number}"), {"A": "file " + " ".join(word for bit, word in enumerate("abcde") if number >> bit & 1)})
    states.reach(setup("swap"), {"A": "swap"})
    assert len(states.setups) == 31
    assert set(states.words) == {"file", "swap", *"abcde"}
    rng = random.Random(1)
    picked = Counter(states.setup(rng)[0].name for _ in range(2000))
    assert picked["swap"] / 2000 == pytest.approx(1 / 7, abs=0.04)      # sd is sqrt(1/7 * 6/7 / 2000) = 0.008


def test_without_a_known_state_the_setup_is_empty() -> None:
    assert States().setup(random.Random(1)) == ()


def test_a_triple_of_state_and_operations_is_new_until_it_was_met_a_few_times() -> None:
    states = States()
    one = program([], ["store m0.0"], ["swap_out"])
    assert states.novelty(one) == 0.0                   # its setup never ran, so its state is not known
    for _ in range(KNOWN):
        assert states.meet(one, {"A": "1 LRU"})
    assert states.met["1 LRU", "store", "swap_out"] == KNOWN
    assert not states.meet(one, {"A": "1 LRU"})
    assert states.novelty(one) == 0.0
    assert states.meet(one, {"A": "2 LRU"})             # the same operations from another state
    other = program([], ["load m0.0"], ["swap_out"])
    assert states.novelty(other) > 0.0
    assert states.meet(other, {"A": "1 LRU"})           # another operation from the same state


def test_the_operations_of_a_triple_are_of_different_tasks_in_any_order() -> None:
    states = States()
    states.meet(program([], ["store m0.0", "load m0.0"], ["swap_out"]), {"A": "1 LRU"})
    states.meet(program([], ["swap_out"], ["store m0.0"]), {"A": "1 LRU"})
    assert states.met == {("1 LRU", "store", "swap_out"): 2, ("1 LRU", "load", "swap_out"): 1}


def test_a_program_of_one_task_has_no_new_triple() -> None:
    states = States()
    assert not states.meet(program([], ["store m0.0", "swap_out"]), {"A": "1 LRU"})


# ---- places --------------------------------------------------------------------------------------------------------------

def contended(one: Program) -> tuple[Places, dict[str, list[int]]]:
    places = Places()
    prepared = executor().prepare(one)
    m.recorder = places
    try:
        executor().run(prepared, NoPreempt())
    finally:
        m.recorder = None
    return places, {str(key): steps for key, steps in places.contended().items()}


def test_a_program_of_one_task_has_no_contended_place() -> None:
    places, found = contended(program(["store m0.0"], ["swap_out", "reclaim"]))
    assert places.objects
    assert found == {}


def test_tasks_that_touch_other_processes_pages_and_no_list_contend_for_no_page() -> None:
    _, found = contended(program(["fork m0 m1"], ["load m0.0"], ["load m1.1"]))
    _, more = contended(program(["store m0.0"], ["swap_out"], ["store m0.0"]))
    assert len(more) > len(found)


def test_a_contended_object_was_written_by_one_of_several_tasks_without_a_common_lock() -> None:
    places, found = contended(program(["store m0.0"], ["exit m0"], ["swap_out", "shrink_cache 1"]))
    assert found
    for touched in places.objects.values():
        assert touched.steps == sorted(touched.steps)
    for key, steps in places.contended().items():
        touched = places.objects[key]
        assert touched.written
        assert len(touched.tasks) > 1
        assert not touched.locks
        assert steps == touched.steps


def shared_under_locks(places: Places) -> dict[str, set[str]]:
    """Return the common locks of each object that several tasks touched and one of them changed."""
    return {str(key): {str(lock) for lock in touched.locks} for key, touched in places.objects.items()
            if touched.written and len(touched.tasks) > 1 and touched.locks}


def test_an_object_under_a_common_lock_is_no_contended_place() -> None:
    places, found = contended(program([], ["map m0.0"], ["map m0.1"]))         # mmap takes mmap_sem for writing
    guarded = shared_under_locks(places)
    assert "m0.mmap_sem" in guarded["(m0, 'mmap_cache')"]
    assert "(m0, 'mmap_cache')" not in found


def test_two_page_faults_of_one_process_contend_for_its_page_table_lock() -> None:
    places, found = contended(program([], ["store m0.0"], ["store m0.1"]))     # a fault takes mmap_sem for reading
    assert "m0.page_table_lock" in found, shared_under_locks(places)


def test_the_places_count_for_each_step_the_other_tasks_that_could_run() -> None:
    places, _ = contended(program(["store m0.0"], ["load m0.0"], ["swap_out"]))
    assert set(places.others.values()) <= {0, 1, 2}
    assert max(places.others.values()) >= 1


def test_the_memory_of_a_worker_is_bounded_and_shares_its_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker remembers many thousand setups over a campaign: the latest, of a few hundred operations."""
    from vmrace.fuzz.campaign import start_states as module
    monkeypatch.setattr(module, "REMEMBERED", 50)
    states, setups = module.States(), []
    for one in made(3, 200):
        states.reach(one.setup, {"A": "1 LRU"})
        setups.append(one.setup)
    assert len(states.reached) <= 50
    assert setups[-1] in states.reached
    ops = [op for setup in setups for op in setup]
    assert len({id(op) for op in ops}) == len(set(ops)) < len(ops) / 2
