# SPDX-License-Identifier: MIT
"""The kernel toolkit: every name that kernel source may use, spelled as in include/linux.

The linker binds kernel source to `TOOLKIT`, with the changes of `CORE_TOOLKIT` for the core that an image is linked for. Plain
functions import from this module without a linker, and so have the list operations of the core "functions".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmrace.harness.kernel import list as _list
from vmrace.harness.kernel import up as _up
from vmrace.harness.kernel import watched_list as _watched_list
from vmrace.harness.kernel.atomic import (
    atomic_add,
    atomic_dec,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    atomic_sub,
    atomic_t,
    cmpxchg,
    xchg,
)
from vmrace.harness.kernel.barrier import (
    cpu_relax,
    data_race,
    likely,
    mb,
    rmb,
    smp_cond_load_relaxed,
    smp_mb,
    smp_mb__after_clear_bit,
    smp_mb__before_clear_bit,
    smp_rmb,
    smp_wmb,
    unlikely,
    wmb,
)
from vmrace.harness.kernel.bitops import (
    __clear_bit,
    __set_bit,
    clear_bit,
    flags_t,
    read_word,
    set_bit,
    test_and_change_bit,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
    write_word,
)
from vmrace.harness.kernel.bug import BUG, BUG_ON, WARN_ON, printk
from vmrace.harness.kernel.completion import complete, complete_all, completion, wait_for_completion
from vmrace.harness.kernel.irq import READ, RMW, WRITE, point, raise_irq
from vmrace.harness.kernel.list import LIST_HEAD, list_entry, list_head
from vmrace.harness.kernel.order import happens_after, happens_before
from vmrace.harness.kernel.rwlock import read_lock, read_unlock, rwlock_t, write_lock, write_unlock
from vmrace.harness.kernel.sched import (
    TASK_INTERRUPTIBLE,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    __set_task_state,
    current,
    function_here,
    in_interrupt,
    need_resched,
    schedule,
    set_current_state,
    set_task_state,
    smp_processor_id,
    yield_cpu,
)
from vmrace.harness.kernel.semaphore import (
    down,
    down_read,
    down_read_trylock,
    down_trylock,
    down_write,
    downgrade_write,
    rw_semaphore,
    semaphore,
    up,
    up_read,
    up_write,
)
from vmrace.harness.kernel.slab import kfree
from vmrace.harness.kernel.spinlock import (
    atomic_dec_and_lock,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    spin_is_locked,
    spin_lock,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irq,
    spin_unlock_irqrestore,
    spinlock_t,
)
from vmrace.harness.kernel.struct import device, embed, guarded, guarded_array, plain, racy, racy_array, struct
from vmrace.harness.kernel.thread import join, spawn, thread
from vmrace.harness.kernel.user import now, saw, touches
from vmrace.harness.kernel.wait import (
    add_wait_queue,
    add_wait_queue_exclusive,
    remove_wait_queue,
    wait_queue_head_t,
    waitqueue_active,
    wake_up,
    wake_up_all,
)
from vmrace.harness.kernel.watched_list import INIT_LIST_HEAD, list_add, list_add_tail, list_del, list_del_init, list_empty

__all__ = [
    "BUG", "BUG_ON", "CONFIG_SMP", "INIT_LIST_HEAD", "LIST_HEAD", "READ", "RMW", "TASK_INTERRUPTIBLE", "TASK_RUNNING",
    "TASK_UNINTERRUPTIBLE", "WARN_ON", "WRITE", "__clear_bit", "__set_bit", "__set_current_state", "__set_task_state",
    "add_wait_queue", "add_wait_queue_exclusive", "atomic_add", "atomic_dec", "atomic_dec_and_lock", "atomic_dec_and_test",
    "atomic_inc", "atomic_inc_and_test", "atomic_read", "atomic_set", "atomic_sub", "atomic_t", "clear_bit", "cmpxchg", "complete",
    "complete_all", "completion", "cpu_relax", "current", "data_race", "device", "down", "down_read", "down_read_trylock",
    "down_trylock", "down_write", "downgrade_write", "embed", "flags_t", "function_here", "guarded", "guarded_array",
    "happens_after", "happens_before", "in_interrupt", "join", "kfree", "likely", "list_add", "list_add_tail", "list_del",
    "list_del_init", "list_empty", "list_entry", "list_head", "local_irq_disable", "local_irq_enable", "local_irq_restore",
    "local_irq_save", "mb", "need_resched", "now", "plain", "point", "printk", "racy", "racy_array", "raise_irq", "read_lock",
    "read_unlock", "read_word", "remove_wait_queue", "rmb", "rw_semaphore", "rwlock_t", "saw", "schedule", "semaphore", "set_bit",
    "set_current_state", "set_task_state", "smp_cond_load_relaxed", "smp_mb", "smp_mb__after_clear_bit", "smp_mb__before_clear_bit",
    "smp_processor_id", "smp_rmb", "smp_wmb", "spawn", "spin_is_locked", "spin_lock", "spin_lock_irq", "spin_lock_irqsave",
    "spin_trylock", "spin_unlock", "spin_unlock_irq", "spin_unlock_irqrestore", "spinlock_t", "struct", "test_and_change_bit",
    "test_and_clear_bit", "test_and_set_bit", "test_bit", "thread", "touches", "unlikely", "up", "up_read", "up_write",
    "wait_for_completion", "wait_queue_head_t", "waitqueue_active", "wake_up", "wake_up_all", "wmb", "write_lock", "write_unlock",
    "write_word", "xchg", "yield_cpu",
]

CONFIG_SMP = 1

TOOLKIT: dict[str, Any] = {name: globals()[name] for name in __all__} | {name: getattr(_list, name) for name in _watched_list.FUNCTIONS}

# core -> the names that it defines otherwise: each use of a guarded list is checked, or a lock excludes no other task (one cpu)
CORE_TOOLKIT: dict[str, Mapping[str, object]] = {
    "fast": {},
    "checked": _watched_list.CHECKED,
    "functions": _watched_list.FUNCTIONS,
    "up": _watched_list.UP | _up.OVERRIDES | {"CONFIG_SMP": 0},
    "floor": {},
}
