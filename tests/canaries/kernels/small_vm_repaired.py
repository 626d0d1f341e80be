# SPDX-License-Identifier: MIT
"""One lock around everything."""

from vmrace.harness.kernel import now, saw, spin_lock, spin_unlock, spinlock_t

__FILE__ = "mm/small.c"

vm_lock = spinlock_t("vm_lock")


def op_map(mm, page):
    spin_lock(vm_lock)
    if not pages[page].used:
        pages[page].used = 1
        vm.nr_used = vm.nr_used + 1
    spin_unlock(vm_lock)


def get_page(page):
    spin_lock(vm_lock)
    page.refs = page.refs + 1
    spin_unlock(vm_lock)


def put_page(page):
    spin_lock(vm_lock)
    page.refs = page.refs - 1
    spin_unlock(vm_lock)


def op_store(mm, page, value):
    since = now()
    process = processes[mm]
    spin_lock(vm_lock)
    fault(process)
    process.word = value
    spin_unlock(vm_lock)
    saw("store", mm, (0, 0), value, since)


def op_load(mm, page):
    since = now()
    process = processes[mm]
    spin_lock(vm_lock)
    fault(process)
    value = process.word
    spin_unlock(vm_lock)
    saw("load", mm, (0, 0), value, since)


def op_swap_out():
    for process in processes[:1]:
        spin_lock(vm_lock)
        if process.present:
            process.swap = process.word
            process.present = 0
        spin_unlock(vm_lock)


def op_writeback(file):
    spin_lock(vm_lock)
    vm.dirty = 1
    vm.dirty = 0
    spin_unlock(vm_lock)


def op_sync(file):
    spin_lock(vm_lock)
    vm.dirty = vm.dirty
    spin_unlock(vm_lock)


def op_invalidate(file):
    spin_lock(vm_lock)
    vm.readable = 0
    vm.readable = 1
    spin_unlock(vm_lock)


def op_read(file, index):
    since = now()
    spin_lock(vm_lock)
    if not vm.readable:
        saw("failed", "f0", index, "-EIO in read, the disk is well", since)
    spin_unlock(vm_lock)
