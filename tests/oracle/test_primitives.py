# SPDX-License-Identifier: MIT
"""Tests of the oracle: small programs whose outcomes were written down by hand, from the kernel's rules."""

from __future__ import annotations

import pytest

from tests.oracle.interpreter import outcomes
from tests.oracle.language import RUNNING, UNINTERRUPTIBLE, Block, Object, Program, Statement, Task, check
from tests.oracle.state import Illegal

X, Y, Z = Object("x", "cell"), Object("y", "cell"), Object("z", "cell")
A, BITS = Object("a", "atomic", 1), Object("bits", "word")
LOCK, RW, MUTEX, RWSEM = Object("lock", "spinlock"), Object("rw", "rwlock"), Object("mutex", "mutex"), Object("rwsem", "rwsem")
SEM, QUEUE = Object("sem", "semaphore"), Object("queue", "queue")
EVERYTHING = (X, Y, Z, A, BITS, LOCK, RW, MUTEX, RWSEM, SEM, QUEUE)
STUCK = "stuck"

SLEEP: Block = (("set_current_state", UNINTERRUPTIBLE), ("schedule",))
ADD_X = ("add", "x", 1)


def program(*bodies: Block, cpus: tuple[int, ...] = (), handlers: tuple[Block, ...] = (), pending: tuple[str, ...] = (),
            cpu_count: int = 0, preempt: bool = False) -> Program:
    """Return a program with each body on a cpu of its own, or on that of `cpus`. Its handlers are h0, h1, ..."""
    places = cpus or range(len(bodies))
    tasks = tuple(Task(cpu, body) for cpu, body in zip(places, bodies, strict=True))
    made = Program(EVERYTHING, tasks, tuple((f"h{number}", body) for number, body in enumerate(handlers)), pending, cpu_count, preempt)
    check(made)
    return made


def values(made: Program, name: str) -> set[object]:
    """Return the values that the object can have at the end, and STUCK if the program can get stuck."""
    at = [one.name for one in EVERYTHING if one.kind in ("cell", "atomic", "word")].index(name)
    found = outcomes(made)
    return {outcome.values[at] for outcome in found if not outcome.stuck} | {STUCK for outcome in found if outcome.stuck}


def results(made: Program) -> set[object]:
    """Return the results that its tasks can have, and STUCK if the program can get stuck."""
    return {STUCK if outcome.stuck else outcome.results for outcome in outcomes(made)}


# ---- data

def test_two_additions_can_lose_one() -> None:
    assert values(program((ADD_X,), (ADD_X,)), "x") == {1, 2}


def test_two_atomic_additions_lose_none() -> None:
    assert values(program((("atomic_inc", "a"),), (("atomic_inc", "a"),)), "a") == {3}


def test_one_of_two_tasks_takes_the_last_count() -> None:
    drop: Block = (("atomic_dec_and_test", "r0", "a"),)
    assert results(program((("atomic_inc", "a"), *drop), drop)) == {((0,), (1,)), ((1,), (0,)), ((1,), (1,))}


def test_one_of_two_compare_and_exchange_wins() -> None:
    assert results(program((("cmpxchg", "r0", "a", 1, 2),), (("cmpxchg", "r0", "a", 1, 3),))) == {((1,), (2,)), ((3,), (1,))}


def test_an_exchange_is_one_step() -> None:
    assert results(program((("xchg", "r0", "a", 2),), (("xchg", "r0", "a", 3),))) == {((1,), (2,)), ((3,), (1,))}


def test_a_plain_store_of_a_word_undoes_another_bit() -> None:
    assert values(program((("__set_bit", 0, "bits"),), (("set_bit", 1, "bits"),)), "bits") == {1, 3}


def test_locked_bits_do_not_disturb_each_other() -> None:
    made = program((("set_bit", 0, "bits"), ("test_and_change_bit", "r0", 0, "bits")), (("test_and_set_bit", "r0", 1, "bits"),))
    assert values(made, "bits") == {2}
    assert results(made) == {((1,), (0,))}


def test_a_branch_and_a_bounded_loop_follow_registers() -> None:
    body: Block = (("set", "r0", 0), ("while", "r0", 0, 3, (ADD_X, ("load", "r1", "x"), ("if", "r1", 2, (("set", "r0", 7),), ()))))
    assert results(program(body)) == {((7, 2),)}
    assert values(program((("while", "r0", 0, 3, (ADD_X,)),)), "x") == {3}


# ---- spinning

def test_a_spin_lock_excludes() -> None:
    body: Block = (("spin_lock", "lock"), ADD_X, ("spin_unlock", "lock"))
    assert values(program(body, body), "x") == {2}


def test_locks_taken_the_other_way_round_can_deadlock() -> None:
    made = program((("spin_lock", "lock"), ("write_lock", "rw"), ("write_unlock", "rw"), ("spin_unlock", "lock")),
                   (("write_lock", "rw"), ("spin_lock", "lock"), ("spin_unlock", "lock"), ("write_unlock", "rw")))
    assert results(made) == {((), ()), STUCK}


def test_a_trylock_fails_while_the_lock_is_held() -> None:
    made = program((("spin_lock", "lock"), ("spin_trylock", "r0", "lock"), ("spin_is_locked", "r1", "lock"), ("spin_unlock", "lock"),
                    ("spin_trylock", "r2", "lock"), ("spin_unlock", "lock")))
    assert results(made) == {((0, 1, 1),)}


def test_a_reader_reads_twice_beside_a_writer_that_waits() -> None:
    reader: Block = (("read_lock", "rw"), ("read_lock", "rw"), ("load", "r0", "x"), ("load", "r1", "x"),
                     ("read_unlock", "rw"), ("read_unlock", "rw"))
    assert results(program(reader, (("write_lock", "rw"), ("store", "x", 1), ("write_unlock", "rw")))) == {((0, 0), ()), ((1, 1), ())}


def test_atomic_dec_and_lock_takes_the_lock_for_the_last_count_only() -> None:
    body: Block = (("atomic_dec_and_lock", "r0", "a", "lock"), ("spin_is_locked", "r1", "lock"),
                   ("if", "r0", 1, (("spin_unlock", "lock"),), ()))
    assert results(program(body)) == {((1, 1),)}
    assert results(program((("atomic_inc", "a"), *body))) == {((0, 0),)}


def test_atomic_dec_and_lock_needs_no_lock_below_one() -> None:
    """Test the fast path, atomic_add_unless(v, -1, 1)."""
    made = program((("atomic_set", "a", 0), ("spin_lock", "lock"), ("atomic_dec_and_lock", "r0", "a", "lock"), ("spin_unlock", "lock")))
    assert results(made) == {((0,),)}
    assert values(made, "a") == {-1}


def test_the_last_count_goes_under_the_lock() -> None:
    holder: Block = (("spin_lock", "lock"), ("atomic_read", "r0", "a"), ("atomic_read", "r1", "a"), ("spin_unlock", "lock"))
    dropper: Block = (("atomic_dec_and_lock", "r0", "a", "lock"), ("if", "r0", 1, (("spin_unlock", "lock"),), ()))
    assert results(program(holder, dropper)) == {((1, 1), (1,)), ((0, 0), (1,))}


# ---- interrupts

SEES_X: Block = (("load", "r0", "x"), ("store", "y", "r0"))


def test_an_interrupt_comes_between_a_store_and_interrupts_off() -> None:
    for off, on in ((("local_irq_save", "f0"), ("local_irq_restore", "f0")), (("local_irq_disable",), ("local_irq_enable",)),
                    (("spin_lock_irq", "lock"), ("spin_unlock_irq", "lock")),
                    (("spin_lock_irqsave", "f0", "lock"), ("spin_unlock_irqrestore", "lock", "f0"))):
        made = program((("store", "x", 1), off, ("store", "x", 0), on), handlers=(SEES_X,), pending=("h0",))
        assert values(made, "y") == {0, 1}, off


def test_no_interrupt_comes_while_they_are_off() -> None:
    for off, on in ((("local_irq_save", "f0"), ("local_irq_restore", "f0")), (("local_irq_disable",), ("local_irq_enable",)),
                    (("spin_lock_irq", "lock"), ("spin_unlock_irq", "lock")),
                    (("spin_lock_irqsave", "f0", "lock"), ("spin_unlock_irqrestore", "lock", "f0"))):
        made = program((off, ("store", "x", 1), ("store", "x", 0), on), handlers=(SEES_X,), pending=("h0",))
        assert values(made, "y") == {0}, off


def test_an_interrupt_comes_between_interrupts_on_and_off_again() -> None:
    region: Block = (("local_irq_disable",), ADD_X, ("local_irq_enable",))
    assert values(program((*region, *region), handlers=(SEES_X,), pending=("h0",)), "y") == {0, 1, 2}


def test_restoring_saved_flags_leaves_interrupts_off_in_an_outer_region() -> None:
    made = program((("local_irq_disable",), ("local_irq_save", "f0"), ("store", "x", 1), ("local_irq_restore", "f0"), ("store", "x", 0),
                    ("local_irq_enable",)), handlers=(SEES_X,), pending=("h0",))
    assert values(made, "y") == {0}


def test_an_idle_cpu_takes_an_interrupt_while_another_has_them_off() -> None:
    made = program((("local_irq_disable",), ("store", "x", 1), ("store", "x", 0), ("local_irq_enable",)), handlers=(SEES_X,),
                   pending=("h0",), cpu_count=2)
    assert values(made, "y") == {0, 1}


def test_any_cpu_takes_an_interrupt() -> None:
    made = program((ADD_X,), handlers=((("smp_processor_id", "r0"), ("store", "y", "r0")),), pending=("h0",), cpu_count=3)
    assert values(made, "y") == {0, 1, 2}


def test_a_raised_interrupt_comes_after_it_was_raised() -> None:
    made = program((("store", "x", 1), ("raise_irq", "h0"), ("store", "x", 2)), handlers=(SEES_X,))
    assert values(made, "y") == {1, 2}


def test_an_interrupt_is_interrupted_once_and_not_twice() -> None:
    handler: Block = (("atomic_inc", "a"), ("atomic_read", "r0", "a"), ("if", "r0", 3, (("store", "x", 1),), ()),
                      ("if", "r0", 4, (("store", "y", 1),), ()), ("atomic_dec", "a"))
    made = program((), handlers=(handler,), pending=("h0",) * 3)
    assert values(made, "x") == {0, 1}
    assert values(made, "y") == {0}


def test_an_interrupt_on_the_holder_of_its_lock_hangs() -> None:
    handler: Block = (("spin_lock", "lock"), ("spin_unlock", "lock"))
    assert results(program((("spin_lock", "lock"), ("spin_unlock", "lock")), handlers=(handler,), pending=("h0",))) == {((),), STUCK}
    assert results(program((("spin_lock_irq", "lock"), ("spin_unlock_irq", "lock")), handlers=(handler,), pending=("h0",))) == {((),)}


def test_an_interrupt_reads_beside_the_reader_it_interrupts() -> None:
    reads: Block = (("read_lock", "rw"), ("read_unlock", "rw"))
    assert results(program(reads, handlers=(reads,), pending=("h0",))) == {((),)}


# ---- tasks of one cpu

def test_tasks_of_one_cpu_do_not_interleave() -> None:
    assert values(program((ADD_X,), (ADD_X,), cpus=(0, 0)), "x") == {2}


def test_a_preemptible_kernel_interleaves_them() -> None:
    assert values(program((ADD_X,), (ADD_X,), cpus=(0, 0), preempt=True), "x") == {1, 2}


def test_nobody_is_preempted_under_a_spin_lock_or_with_interrupts_off() -> None:
    for enter, leave in ((("spin_lock", "lock"), ("spin_unlock", "lock")), (("local_irq_disable",), ("local_irq_enable",)),
                         (("read_lock", "rw"), ("read_unlock", "rw"))):
        body: Block = (enter, ADD_X, leave)
        assert values(program(body, body, cpus=(0, 0), preempt=True), "x") == {2}


def test_a_task_is_preempted_between_a_store_and_interrupts_off() -> None:
    made = program((("store", "x", 1), ("local_irq_disable",), ("store", "x", 0), ("local_irq_enable",)), (("load", "r0", "x"),),
                   cpus=(0, 0), preempt=True)
    assert results(made) == {((), (0,)), ((), (1,))}


def test_tasks_that_wait_in_turn_on_one_cpu_are_stuck_and_one_that_gets_there_is_not() -> None:
    waits: Block = (("until", "x", 1),)
    assert values(program(waits, waits, cpus=(0, 0), preempt=True), "x") == {STUCK}
    assert values(program(waits, waits, (("store", "x", 1),), cpus=(0, 0, 0), preempt=True), "x") == {1}


@pytest.mark.parametrize("gives_way", ["schedule", "yield_cpu"])
def test_a_task_that_gives_way_lets_others_run(gives_way: str) -> None:
    made = program((("store", "x", 1), (gives_way,), ("store", "x", 2)), (("load", "r0", "x"),), cpus=(0, 0))
    assert results(made) == {((), (0,)), ((), (1,)), ((), (2,))}


def test_a_woken_task_waits_for_its_cpu() -> None:
    """Let the task that woke it go on, unless it can be preempted."""
    bodies: tuple[Block, ...] = (("down", "sem"), ("load", "r0", "x")), (("up", "sem"), ("store", "x", 1))
    assert results(program(*bodies, cpus=(0, 0))) == {((1,), ())}
    assert results(program(*bodies, cpus=(0, 0), preempt=True)) == {((0,), ()), ((1,), ())}


# ---- semaphores

def test_a_mutex_excludes() -> None:
    body: Block = (("down", "mutex"), ADD_X, ("up", "mutex"))
    assert values(program(body, body), "x") == {2}


def test_a_semaphore_lets_in_as_many_as_were_counted_up() -> None:
    down: Block = (("down", "sem"),)
    assert results(program(down, down, (("up", "sem"),))) == {STUCK}
    assert results(program(down, down, (("up", "sem"), ("up", "sem")))) == {((), (), ())}


def test_a_woken_sleeper_competes_with_a_newcomer() -> None:
    """Release a mutex and acquire it again before the sleeper runs: both orders are seen."""
    made = program((("down", "mutex"), ("up", "mutex"), ("down", "mutex"), ("store", "x", 1), ("up", "mutex")),
                   (("down", "mutex"), ("load", "r0", "x"), ("up", "mutex")))
    assert results(made) == {((), (0,)), ((), (1,))}


def test_down_trylock_returns_0_if_it_took_it() -> None:
    made = program((("down_trylock", "r0", "mutex"), ("down_trylock", "r1", "mutex"), ("up", "mutex")))
    assert results(made) == {((0, 1),)}


def test_down_read_trylock_returns_1_if_it_took_it() -> None:
    """It takes the semaphore beside a reader, and neither beside a writer nor past one that waits."""
    made = program((("down_write", "rwsem"), ("down_read_trylock", "r0", "rwsem"), ("downgrade_write", "rwsem"),
                    ("down_read_trylock", "r1", "rwsem"), ("up_read", "rwsem"), ("up_read", "rwsem")))
    assert results(made) == {((0, 1),)}
    reader: Block = (("down_read", "rwsem"), ("down_read_trylock", "r0", "rwsem"), ("up_read", "rwsem"),
                     ("if", "r0", 1, (("up_read", "rwsem"),), ()))
    assert results(program(reader, (("down_write", "rwsem"), ("up_write", "rwsem")))) == {((1,), ()), ((0,), ())}


def test_a_reader_waits_behind_a_writer_that_waits() -> None:
    """Read twice, which can deadlock, unlike with a rwlock."""
    reader: Block = (("down_read", "rwsem"), ("down_read", "rwsem"), ("up_read", "rwsem"), ("up_read", "rwsem"))
    assert results(program(reader, (("down_write", "rwsem"), ("up_write", "rwsem")))) == {((), ()), STUCK}


def test_a_downgraded_writer_lets_readers_in_and_no_writer() -> None:
    writer: Block = (("down_write", "rwsem"), ("store", "x", 1), ("downgrade_write", "rwsem"), ("load", "r0", "y"), ("load", "r1", "y"),
                     ("up_read", "rwsem"))
    reader: Block = (("down_read", "rwsem"), ("load", "r0", "x"), ("store", "y", 1), ("up_read", "rwsem"))
    assert results(program(writer, reader)) == {((0, 0), (1,)), ((0, 1), (1,)), ((1, 1), (1,)), ((1, 1), (0,))}
    other: Block = (("down_write", "rwsem"), ("store", "y", 1), ("up_write", "rwsem"))
    assert results(program(writer, other)) == {((0, 0), ()), ((1, 1), ())}


@pytest.mark.parametrize(("lock", "take", "release"), [("mutex", "down", "up"), ("rwsem", "down_read", "up_read")])
def test_a_sleeper_that_is_woken_without_the_lock_sleeps_again(lock: str, take: str, release: str) -> None:
    """Have it stand on a wait queue, too, which another task wakes."""
    sleeper: Block = (("add_wait_queue", "queue"), (take, lock), ("load", "r0", "x"), (release, lock), ("remove_wait_queue", "queue"))
    alone = ("down", "up") if lock == "mutex" else ("down_write", "up_write")
    waker: Block = ((alone[0], lock), ("store", "x", 1), ("wake_up", "queue"), ("store", "x", 0), (alone[1], lock))
    assert results(program(sleeper, waker)) == {((0,), ())}


def test_a_task_that_slept_for_a_lock_is_running_after_it() -> None:
    """Set a state before: after the sleep it is lost, and schedule() returns; without a sleep it is kept."""
    made = program((("set_current_state", UNINTERRUPTIBLE), ("down", "mutex"), ("up", "mutex"), ("schedule",)),
                   (("down", "mutex"), ("up", "mutex")))
    assert results(made) == {((), ()), STUCK}


# ---- wait queues

def waits(*body: Statement, exclusive: bool = False) -> Block:
    add = "add_wait_queue_exclusive" if exclusive else "add_wait_queue"
    return ((add, "queue"), *body, ("set_current_state", RUNNING), ("remove_wait_queue", "queue"))


TEST: Statement = ("load", "r0", "x")
MAKE_TRUE: Block = (("store", "x", 1), ("wake_up", "queue"))


def test_a_state_set_before_the_test_loses_no_wake_up() -> None:
    for how in ("set_current_state", "__set_current_state"):
        sleeper = waits((how, UNINTERRUPTIBLE), TEST, ("if", "r0", 0, (("schedule",),), ()))
        assert results(program(sleeper, MAKE_TRUE)) == {((0,), ()), ((1,), ())}


def test_a_state_set_after_the_test_loses_the_wake_up() -> None:
    for how in ("set_current_state", "__set_current_state"):
        sleeper = waits(TEST, ("if", "r0", 0, ((how, UNINTERRUPTIBLE), ("schedule",)), ()))
        assert results(program(sleeper, MAKE_TRUE)) == {((0,), ()), ((1,), ()), STUCK}


def test_an_interrupt_wakes_the_task_it_came_over() -> None:
    sleeper = waits(("set_current_state", UNINTERRUPTIBLE), TEST, ("if", "r0", 0, (("schedule",),), ()))
    assert results(program(sleeper, handlers=(MAKE_TRUE,), pending=("h0",))) == {((0,),), ((1,),)}


def test_a_wake_up_wakes_all_that_are_not_exclusive_and_one_that_is() -> None:
    def sleeper(exclusive: bool) -> Block:
        return (("add_wait_queue_exclusive" if exclusive else "add_wait_queue", "queue"), *SLEEP, ("atomic_inc", "a"))
    made = program(sleeper(False), sleeper(True), sleeper(True), sleeper(False), (("wake_up", "queue"),), cpus=(0, 0, 0, 0, 0))
    woken = {tuple(number for number in range(4) if outcome.results[number] is not None) for outcome in outcomes(made)}
    assert (0, 1, 3) in woken                   # all slept when the wake-up came
    assert () in woken                          # or none did
    assert not any({1, 2} <= set(some) for some in woken)


def test_wake_up_all_wakes_every_exclusive_sleeper() -> None:
    sleeper: Block = (("add_wait_queue_exclusive", "queue"), *SLEEP)
    made = program(sleeper, sleeper, (("wake_up_all", "queue"),), cpus=(0, 0, 0))
    assert ((), (), ()) in results(made)


def test_an_exclusive_entry_of_a_running_task_does_not_use_up_the_wake_up() -> None:
    """Have both tasks stand on the queue; the second one wakes it while it runs."""
    made = program((("down", "sem"), ("add_wait_queue_exclusive", "queue"), *SLEEP),
                   (("add_wait_queue_exclusive", "queue"), ("up", "sem"), ("yield_cpu",), ("wake_up", "queue")), cpus=(0, 0))
    assert results(made) == {((), ()), STUCK}   # stuck where it did not yield: then the first one was not yet on the queue


def test_a_task_that_does_not_yet_sleep_does_not_use_up_the_wake_up() -> None:
    """Have try_to_wake_up() set its state, find it on the run queue and return 0: the next exclusive task is woken, too."""
    sleeper: Block = (("add_wait_queue_exclusive", "queue"), *SLEEP, ("remove_wait_queue", "queue"))
    assert results(program(sleeper, sleeper, (("wake_up", "queue"),))) == {((), (), ()), STUCK}


def test_a_queue_is_active_while_somebody_stands_on_it() -> None:
    made = program((("add_wait_queue", "queue"), ("waitqueue_active", "r0", "queue"), ("remove_wait_queue", "queue"),
                    ("waitqueue_active", "r1", "queue")))
    assert results(made) == {((1, 0),)}


# ---- what is no kernel code

@pytest.mark.parametrize("body", [
    (("spin_lock", "lock"), ("down", "mutex")),
    (("local_irq_disable",), ("schedule",)),
    (("spin_unlock", "lock"),),
    (("local_irq_disable",),),
    (("spin_lock", "lock"),),
], ids=str)
def test_illegal_programs_are_refused(body: Block) -> None:
    with pytest.raises(Illegal):
        outcomes(program(body))


def test_an_interrupt_that_sleeps_is_refused() -> None:
    with pytest.raises(Illegal):
        outcomes(program((), handlers=((("down", "sem"),),), pending=("h0",)))


def test_a_guarded_field_is_touched_under_its_lock() -> None:
    field = Object("field", "guarded", 0, "rwsem")
    touch: Block = (("store", "field", 1),)
    for take, release, legal in (("down_write", "up_write", True), ("down_read", "up_read", False)):
        made = Program((RWSEM, field), (Task(0, ((take, "rwsem"), *touch, (release, "rwsem"))),))
        if legal:
            assert {outcome.values for outcome in outcomes(made)} == {(1,)}
        else:
            with pytest.raises(Illegal):
                outcomes(made)
