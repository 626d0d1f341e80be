# SPDX-License-Identifier: MIT
"""The operations of the counted kernel, and the state of user space."""

from vmrace.harness.kernel import READ, plain, point, raise_irq, struct


class process(struct):
    alive = plain(1)


first = process("m0.process")


def op_touch(file, index):
    point(first, READ)
    count_page(pages[index])


def op_lock(file, index):
    lock_page(pages[index])
    pages[index].index
    unlock_page(pages[index])


def op_load(number, page):
    pages[page].index
    pages[page].index


def op_irq_put(k):
    raise_irq(put_page, pages[0])


def boot(threads):
    return


def start():
    return


def leave(task, mms):
    put_page(pages[1])


def drain():
    return
