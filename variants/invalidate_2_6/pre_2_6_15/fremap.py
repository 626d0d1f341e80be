# SPDX-License-Identifier: GPL-2.0-only
"""mm/fremap.c: page tables filled on demand, and vmas that show the pages of a file in another order."""
from vmrace.harness.kernel import current, data_race, down_read, down_write, list_add_tail
from vmrace.harness.kernel import list_del, spin_lock, spin_unlock, up_read, up_write
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_populate
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    count_mapped,
    i_size_read,
    linear_page_index,
    mk_pte,
    page_cache_release,
    page_mapcount,
    pgoff_to_pte,
    pte_dirty,
    pte_none,
    pte_offset,
    pte_page,
    pte_present,
    ptep_get_and_clear,
    set_pte_at,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import find_vma
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import page_add_file_rmap, page_remove_rmap
from vmrace.variants.invalidate_2_6.types import EINVAL, ENOMEM, INT_MAX, PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, VM_NONLINEAR, VM_SHARED


__FILE__ = "mm/fremap.c"


def zap_pte(mm, vma, addr, ptep):
    """page_table_lock is held. Returns whether there was a page."""
    pte = ptep.val
    page = None

    if pte_present(pte):
        pte = ptep_get_and_clear(ptep)              # ptep_clear_flush()
        page = pte_page(pte)
        if pte_dirty(pte):
            set_page_dirty(page)
        page_remove_rmap(page)
        page_cache_release(page)
    else:
        set_pte_at(mm, addr, ptep, None)            # pte_clear()
    return bool(page)


def install_page(mm, vma, addr, page, prot):
    """Map a page of the file in place of what is there. The page is not locked, its reference becomes the pte's."""
    ptl = mm.page_table_lock
    pte = pte_offset(mm, addr)
    spin_lock(ptl)                                  # get_locked_pte()

    # it may have been truncated
    err = -EINVAL
    inode = vma.vm_file.f_mapping.host
    size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    if data_race(page.mapping) is None or data_race(page.index) >= size:
        spin_unlock(ptl)                            # goto unlock
        return err
    err = -ENOMEM
    if page_mapcount(page) > INT_MAX // 2:
        spin_unlock(ptl)                            # goto unlock
        return err

    if pte_none(pte.val) or not zap_pte(mm, vma, addr, pte):
        mm.file_rss += 1

    set_pte_at(mm, addr, pte, mk_pte(page, prot))
    page_add_file_rmap(page)
    # left out: update_mmu_cache(), with the pte as it is now
    err = 0
    # unlock:
    spin_unlock(ptl)
    return err


def install_file_pte(mm, vma, addr, pgoff, prot):
    """Say which page of the file belongs there, for a fault to find."""
    ptl = mm.page_table_lock
    pte = pte_offset(mm, addr)
    spin_lock(ptl)                                  # get_locked_pte()

    if not pte_none(pte.val) and zap_pte(mm, vma, addr, pte):
        mm.file_rss -= 1

    set_pte_at(mm, addr, pte, pgoff_to_pte(pgoff))
    # left out: update_mmu_cache(), with the pte as it is now
    spin_unlock(ptl)
    return 0


def sys_remap_file_pages(start, size, pgoff, nonblock):
    """Let a page of a shared mapping show another page of its file."""
    mm = current().mm
    end = start + size
    err = -EINVAL
    has_write_lock = 0

    # VM_NONLINEAR is set under the write lock
    down_read(mm.mmap_sem)
    while True:
        # retry:
        vma = find_vma(mm, start)

        # vm_private_data is the cursor of a nonlinear vma: a linear one must not use it for anything else, and does not
        if vma and vma.vm_flags & VM_SHARED and vma.vm_ops and end > start and start >= vma.vm_start and end <= vma.vm_end:
            # before any page is populated
            if pgoff != linear_page_index(vma, start) and not vma.vm_flags & VM_NONLINEAR:
                if not has_write_lock:
                    up_read(mm.mmap_sem)
                    down_write(mm.mmap_sem)
                    has_write_lock = 1
                    continue                        # goto retry
                mapping = vma.vm_file.f_mapping
                spin_lock(mapping.i_mmap_lock)
                vma.vm_flags |= VM_NONLINEAR
                list_del(vma.shared)                # vma_prio_tree_remove()
                list_add_tail(vma.shared, mapping.i_mmap_nonlinear)     # vma_nonlinear_insert()
                mapping.nr_mmap -= 1                # between these two it seems to be on neither list
                count_mapped(mapping, vma, 1)
                spin_unlock(mapping.i_mmap_lock)

            err = filemap_populate(vma, start, size, vma.vm_page_prot, pgoff, nonblock)     # vma->vm_ops->populate
        break
    if not has_write_lock:
        up_read(mm.mmap_sem)
    else:
        up_write(mm.mmap_sem)
    return err
