# SPDX-License-Identifier: MIT
"""lifetime: a slab cache gets an object back that another cpu has just found."""

from vmrace.harness.kernel import WRITE, plain, racy, spin_lock, spin_unlock, spinlock_t, struct, touches

__FILE__ = "mm/canary.c"


class vma_t(struct):
    lives_while = "in_use"
    vm_end = racy(0)
    in_use = plain(1)


class mm_t(struct):
    mmap_cache = racy(None)


lock = spinlock_t("lock")
vma = vma_t("vma", vm_end=1)
mm = mm_t("mm", mmap_cache=vma)


def kmem_cache_free(obj):
    touches(WRITE, obj, "in_use")
    obj.in_use = 0


def find():
    found = mm.mmap_cache
    if found:
        found.vm_end


def unmap():
    spin_lock(lock)
    found = mm.mmap_cache
    if found:
        mm.mmap_cache = None
        kmem_cache_free(found)
    spin_unlock(lock)
