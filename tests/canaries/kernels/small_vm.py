# SPDX-License-Identifier: MIT
"""The least VM that the shared interface can drive: pages in use are counted, pins hold a count, and each address space has one
word, whichever page is named, which can be swapped out.

Nothing is locked: `map` loses a count, `unpin` loses a reference, `swap_out` loses a store, `read` fails while `invalidate` is between its
two stores, `sync` makes a page dirty again that `writeback` has written, until `shrink_cache` drops it. `touch` fails
if `truncate` comes between its two looks and is itself stopped half-way: that takes two preemptions.
"""

from vmrace.harness.kernel import BUG, now, plain, racy, saw, struct

__FILE__ = "mm/small.c"


class page_t(struct):
    used = plain(0)
    refs = racy(0)
    pinned = plain(0)


class process_t(struct):
    word = racy(0)
    swap = racy(0)
    present = racy(1)


class vm_t(struct):
    nr_used = racy(0)
    gate = racy(1)
    readable = racy(1)
    dirty = racy(0)


pages = [page_t("A"), page_t("B"), page_t("C")]
processes = [process_t("m0"), process_t("m1"), process_t("m2"), process_t("m3")]
vm = vm_t("vm")


def op_map(mm, page):
    if not pages[page].used:
        pages[page].used = 1
        vm.nr_used = vm.nr_used + 1


def get_page(page):
    page.refs = page.refs + 1


def put_page(page):
    page.refs = page.refs - 1


def op_pin(mm, page, k):
    get_page(pages[page])


def op_unpin(k):
    put_page(pages[0])


def fault(process):
    if not process.present:
        process.word = process.swap
        process.present = 1


def op_store(mm, page, value):
    since = now()
    process = processes[mm]
    fault(process)
    process.word = value
    saw("store", mm, (0, 0), value, since)


def op_load(mm, page):
    since = now()
    process = processes[mm]
    fault(process)
    saw("load", mm, (0, 0), process.word, since)


def op_swap_out():
    for process in processes[:1]:
        if process.present:
            process.swap = process.word
            process.present = 0


def op_invalidate(file):
    vm.readable = 0
    vm.readable = 1


def op_read(file, index):
    since = now()
    if not vm.readable:
        saw("failed", "f0", index, "-EIO in read, the disk is well", since)


def op_writeback(file):
    vm.dirty = 1
    vm.dirty = 0


def op_sync(file):
    vm.dirty = vm.dirty


def op_shrink_cache(number):
    vm.dirty = 0


def op_truncate(file, pages):
    vm.gate = 2
    vm.gate = 0


def op_touch(file, index):
    if vm.gate == 1 and vm.gate == 2:
        BUG(9)


def boot(threads):
    return


def start():
    return


def leave(task, mms):
    return


def drain():
    for page in pages:
        if not page.refs:
            page.used = 0
