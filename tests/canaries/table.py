# SPDX-License-Identifier: MIT
"""The canaries: for each sanitizer, kernels that must trip it and the titles that it must report.

`kernel` is a module of kernels/; with `kernel_repaired` linked over it no schedule may have a finding. `tasks` is
(cpu, calls) of each task; `cpus` may be more, for interrupts. The last three sanitizers judge the small family at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmrace.variants.program import Op, Program, TaskProgram

from tests.toy import Tasks


@dataclass(frozen=True)
class Canary:
    """A kernel that must trip a sanitizer. `core` is "checked" for the sanitizers that watch only checked images."""

    sanitizer: str
    title: str
    kernel: str
    tasks: Tasks
    cpus: int = 2
    core: str = "fast"
    preempt: bool = False
    preemptions: int = 2

    @property
    def name(self) -> str:
        calls = "-".join("_".join(call) for _, ops in self.tasks for call in ops)
        return f"{self.kernel}-{self.title.partition(' ')[0].rstrip(':').lower()}-{calls}"


def two(first: str, second: str) -> Tasks:
    """Return one call on each of two cpus; an operand follows after a colon."""
    return (0, [tuple(first.split(":"))]), (1, [tuple(second.split(":"))])


HELD = ("load", "store", "guarded", "constant", "item", "inner", "atomic", "reference", "bit", "word", "spinlock", "trylock", "rwlock",
        "semaphore", "rw_semaphore", "wait", "wake", "list", "link")        # what a free object can hold


CANARIES = (
    Canary("bug", "BUG at mm/canary.c:42 in claim", "bug_check", two("claim", "claim")),
    Canary("bug", "BUG at mm/canary.c:42 in claim", "bug_check", ((0, [("claim",)]), (0, [("claim",)])), cpus=1, preempt=True),
    Canary("bug", "WARN at mm/canary.c:7 in use", "bug_warning", two("use", "use")),
    Canary("bug", "PRINTK: swap_dup: swap entry overflow in use", "bug_printk", two("use", "use")),
    Canary("bug", "OOPS: NULL pointer dereference in count_pages", "bug_null", two("count_pages", "truncate")),
    Canary("lifetime", "double free in put_page", "lifetime_double_free", two("put_page", "put_page")),
    Canary("lifetime", "use after free in lookup", "lifetime_use_after_free", two("lookup", "remove")),
    Canary("lifetime", "LIST: free of a page_t still on lru_list in free_page", "lifetime_free_linked", two("lru_add", "release")),
    Canary("lifetime", "allocation of a linked object in alloc_page", "lifetime_allocate_linked", two("lru_add", "alloc_page")),
    *(Canary("lifetime", "use after free in touch", "lifetime_slab", two(f"use:{what}", "release"), preemptions=1) for what in HELD),
    *(Canary("lifetime", "use after free in touch", "lifetime_slab", two(f"use:{what}", "release"), preemptions=1, core="checked")
      for what in ("guarded", "list", "link")),
    Canary("lifetime", "use after free in touch", "lifetime_slab", ((0, [("use", "atomic")]), (0, [("release",)])), cpus=1,
           preempt=True, preemptions=1),
    Canary("lifetime", "use after free in find", "lifetime_cache", two("find", "unmap"), core="checked"),
    Canary("lifetime", "use after free in load", "lifetime_kfree", two("load", "drop")),
    Canary("lifetime", "use after free in walk", "lifetime_kfree", two("walk", "drop")),
    Canary("lifetime", "use after free in unlink", "lifetime_kfree", two("unlink", "drop")),
    Canary("lifetime", "double free in drop", "lifetime_kfree", two("drop", "drop")),
    Canary("refcount", "REFCOUNT: count below zero in drop", "refcount_below_zero", two("drop", "drop")),
    Canary("refcount", "REFCOUNT: count below zero in subtract", "refcount_subtracted", two("subtract", "subtract")),
    Canary("refcount", "REFCOUNT: count below zero in drop_and_lock", "refcount_subtracted", two("drop_and_lock", "drop_and_lock")),
    Canary("refcount", "REFCOUNT: count raised from zero in take", "refcount_revived", two("take", "drop")),
    Canary("lists", "LIST: list_add of a linked page_t.lru in lru_add", "lists_added_twice", two("lru_add", "lru_add")),
    Canary("lists", "LIST: list_del of an unlinked page_t.lru in lru_del", "lists_deleted_unlinked", two("lru_del", "lru_del")),
    Canary("lists", "LIST: list_del of an unlinked page_t.lru in lru_del", "lists_deleted_unlinked", two("lru_del", "lru_del"),
           core="checked"),
    Canary("lists", "LIST: list_del of an unlinked page_t.lru in lru_del", "lists_deleted_unlinked",
           ((0, [("lru_del",)]), (0, [("lru_del",)])), cpus=1, core="up", preempt=True),
    Canary("lockdep", "LOCKDEP: lock order lru_lock -> page_lock -> lru_lock", "lockdep_order",
           ((0, [("shrink",), ("truncate",)]),), core="checked"),
    Canary("lockdep", "LOCKDEP: lock order mm_lock -> tasklist_lock -> mm_lock", "lockdep_readers",
           ((0, [("walk",), ("leave",)]),), core="checked"),
    Canary("lockdep", "LOCKDEP: lock taken in an interrupt and with interrupts on", "lockdep_irq",
           ((0, [("update",), ("submit",)]),), core="checked"),
    Canary("lockdep", "LOCKDEP: lock released by a task that does not hold it in break_in", "lockdep_released",
           two("take", "break_in")),
    Canary("lockdep", "LOCKDEP: lock still held on return to user space", "lockdep_kept", two("take", "fail")),
    Canary("lockdep", "DEADLOCK: lock taken again by its holder in update_again", "lockdep_recursion", two("update", "ask")),
    Canary("lockdep", "DEADLOCK: lock taken in an interrupt on its holder in complete", "lockdep_recursion",
           ((0, [("update",)]), (1, [("submit",)]))),
    Canary("lockset", "LOCKSET: device_t.used touched without its lock in use", "lockset_field", two("use", "prepare"), core="checked"),
    Canary("lockset", "LOCKSET: device_t.swap_map touched without its lock in map_slot", "lockset_field",
           two("map_slot", "prepare"), core="checked"),
    Canary("lockset", "LOCKSET: device_list touched without its lock in register_device", "lockset_field",
           two("register_device", "prepare"), core="checked"),
    Canary("lockset", "LOCKSET: device_t.used touched without its lock in use", "lockset_reader", two("use", "prepare"), core="checked"),
    # without preemption the interrupt comes after the end of the task, to an idle cpu
    Canary("lockset", "LOCKSET: device_t.done touched without its lock in complete", "lockset_in_irq", ((0, [("submit",)]),),
           core="checked", preemptions=0),
    *(Canary("lockset", f"LOCKSET: devices touched without its lock in {call}", "lockset_list", two(call, "prepare"), core="checked")
      for call in ("first", "follow", "cut", "look")),
    Canary("race", "RACE: store page_t.index in rename and load in lookup", "race_plain", two("rename", "lookup"), core="checked"),
    Canary("race", "RACE: store page_t.index in rename and store in rename", "race_plain", two("rename", "rename"), core="checked"),
    Canary("race", "RACE: store page_t.slots in map_slot and load in lookup_slot", "race_plain", two("map_slot", "lookup_slot"),
           core="checked"),
    Canary("race", "RACE: load page_t.flags in clear_both and atomic store", "race_plain", two("clear_both", "reference"), core="checked"),
    Canary("race", "RACE: store page_t.flags in __set and load in clear_both", "race_plain", two("__set", "clear_both"), core="checked"),
    Canary("race", "RACE: store page_t.index in rename and load in index_of", "race_marked", two("rename", "guess"), core="checked"),
    Canary("race", "RACE: store page_t.index in restart and load in lookup", "race_marked", two("restart", "lookup"), core="checked"),
    Canary("atomic_sleep", "SLEEP: sleeping with a spinlock held in write_page", "atomic_sleep", two("write_page", "write_page")),
    Canary("atomic_sleep", "SLEEP: sleeping in an interrupt in complete", "atomic_sleep", two("submit", "submit")),
    Canary("atomic_sleep", "SLEEP: sleeping with interrupts off in wait_on_page", "atomic_sleep", two("wait_on_page", "finish")),
    Canary("atomic_sleep", "SLEEP: sleeping with a spinlock held in give_up_cpu", "atomic_sleep", two("give_up_cpu", "finish")),
    Canary("progress", "DEADLOCK: nobody can run: lru_lock in truncate, page_lock in shrink", "progress_deadlock",
           two("shrink", "truncate")),
    Canary("progress", "DEADLOCK: tasks asleep for ever: wait_on_page", "progress_asleep", two("wait_on_page", "finish")),
    Canary("progress", "LIVELOCK: one, other", "progress_livelock", two("one", "other"), preemptions=0),
)


@dataclass(frozen=True)
class FamilyCanary:
    """A program of the shared interface that must trip a sanitizer on the small family."""

    sanitizer: str
    title: str
    program: Program


def program(setup: str, first: str, second: str) -> Program:
    """Return a program on two cpus; each text has operations separated by semicolons."""
    def ops(text: str) -> tuple[Op, ...]:
        return tuple(Op(name, tuple(rest)) for name, *rest in (part.split() for part in text.split(";") if part.strip()))
    return Program(ops(setup), (TaskProgram(0, ops(first)), TaskProgram(1, ops(second))), 2)


FAMILY_CANARIES = (
    FamilyCanary("invariant", "INVARIANT: nr_used differs from the pages in use", program("", "map m0.0", "map m0.1")),
    FamilyCanary("quiet", "BETWEEN OPERATIONS: INVARIANT: a page is dirty and nobody writes it",
                 program("", "sync f0; shrink_cache 1", "writeback f0")),
    FamilyCanary("leak", "LEAK: page left over after everything was given up",
                 program("map m0.0; pin m0.0 k0; pin m0.0 k1", "unpin k0", "unpin k1")),
    FamilyCanary("data", "DATA: a load returns an old value", program("store m0.0", "store m0.0; load m0.0", "swap_out")),
    FamilyCanary("user", "USER: -EIO in read, the disk is well", program("", "invalidate f0", "read f0.0")),
)
