# SPDX-License-Identifier: GPL-2.0-only
"""mm/mmap.c: the vmas of an mm, mapping one page, unmapping it, and the end of an mm.

mm_rb is a chain by address here (see types): linked through vm_rb, with the vma before as what the kernel calls rb_parent.
"""
from vmrace.harness.kernel import BUG, atomic_read, current, data_race, down_write, spin_lock, spin_unlock, up_write
from vmrace.variants.lru_free_2_4.pre_patch.filemap import generic_file_mmap
from vmrace.variants.lru_free_2_4.pre_patch.hardware import kmem_cache_alloc_vma, kmem_cache_free
from vmrace.variants.lru_free_2_4.pre_patch.memory import clear_page_tables, zap_page_range
from vmrace.variants.lru_free_2_4.pre_patch.page_alloc import nr_free_pages
from vmrace.variants.lru_free_2_4.types import (
    EINVAL,
    ENOMEM,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_TYPE,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    PGDIR_MASK,
    PGDIR_SHIFT,
    PGDIR_SIZE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    TASK_SIZE,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_SHARED,
    VM_WRITE,
    max_map_count,
    protection_map,
    swapper_space,
    vm,
)


__FILE__ = "lib/rbtree.c"


def rb_link(mm, vma, prev):
    """rb_link_node() and rb_insert_color(): in behind `prev`, or first."""
    if prev:
        vma.vm_rb = prev.vm_rb
        prev.vm_rb = vma
    else:
        vma.vm_rb = mm.mm_rb
        mm.mm_rb = vma


def rb_erase(mm, vma):
    if mm.mm_rb is vma:
        mm.mm_rb = vma.vm_rb
    else:
        prev = mm.mm_rb
        while prev.vm_rb is not vma:
            prev = prev.vm_rb
        prev.vm_rb = vma.vm_rb


__FILE__ = "mm/mmap.c"


def vm_enough_memory(pages):
    """A guess, from numbers that are read without any lock."""
    free = atomic_read(vm.page_cache_size)
    free += nr_free_pages()
    free += data_race(vm.nr_swap_pages)
    free += data_race(swapper_space.nrpages)
    # left out: unused dentries and inodes, of which there are none
    return free > pages


def __remove_shared_vm_struct(vma):
    """The mapping's i_shared_lock is held, if it has a file."""
    file = vma.vm_file

    if file:
        if vma.vm_next_share is not None:
            vma.vm_next_share.vm_pprev_share = vma.vm_pprev_share
        vma.vm_pprev_share.vm_next_share = vma.vm_next_share


def remove_shared_vm_struct(vma):
    lock_vma_mappings(vma)
    __remove_shared_vm_struct(vma)
    unlock_vma_mappings(vma)


def lock_vma_mappings(vma):
    mapping = None
    if vma.vm_file:
        mapping = vma.vm_file.f_dentry.d_inode.i_mapping
    if mapping:
        spin_lock(mapping.i_shared_lock)


def unlock_vma_mappings(vma):
    mapping = None
    if vma.vm_file:
        mapping = vma.vm_file.f_dentry.d_inode.i_mapping
    if mapping:
        spin_unlock(mapping.i_shared_lock)


def calc_vm_flags(prot, flags):
    """PROT_READ, _WRITE and _EXEC have the values of VM_READ, _WRITE and _EXEC; no MAP_ flag used here becomes a VM_ flag."""
    return prot & (PROT_READ | PROT_WRITE | PROT_EXEC)


def find_vma_prepare(mm, addr):
    """The vma that find_vma() would find, and the one before it."""
    prev = None
    vma = mm.mm_rb
    while vma:
        if vma.vm_end > addr:
            break
        prev = vma
        vma = vma.vm_rb
    return vma, prev


def __vma_link_list(mm, vma, prev):
    if prev:
        vma.vm_next = prev.vm_next
        prev.vm_next = vma
    else:
        vma.vm_next = mm.mmap
        mm.mmap = vma


def __vma_link_rb(mm, vma, prev):
    rb_link(mm, vma, prev)


def __vma_link_file(vma):
    """The mapping's i_shared_lock is held, if it has a file."""
    file = vma.vm_file
    if file:
        inode = file.f_dentry.d_inode
        mapping = inode.i_mapping

        head = mapping.i_mmap
        if vma.vm_flags & VM_SHARED:
            head = mapping.i_mmap_shared

        # first on the file's list
        vma.vm_next_share = head.vm_next_share
        if vma.vm_next_share is not None:
            head.vm_next_share.vm_pprev_share = vma
        head.vm_next_share = vma
        vma.vm_pprev_share = head


def __vma_link(mm, vma, prev):
    __vma_link_list(mm, vma, prev)
    __vma_link_rb(mm, vma, prev)
    __vma_link_file(vma)


def vma_link(mm, vma, prev):
    lock_vma_mappings(vma)
    spin_lock(mm.page_table_lock)
    __vma_link(mm, vma, prev)
    spin_unlock(mm.page_table_lock)
    unlock_vma_mappings(vma)

    mm.map_count += 1


def do_mmap_pgoff(file, addr, len, prot, flags, pgoff):
    """Map one page at a given address of current's mm (MAP_FIXED). mmap_sem is held for writing. The address, or an error.

    Left out: get_unmapped_area() for an address not given, limits, access modes of the file, shared anonymous memory.
    """
    mm = current().mm

    if mm.map_count > max_map_count:
        return -ENOMEM

    if addr > TASK_SIZE - len:
        return -ENOMEM
    if addr & ~PAGE_MASK:
        return -EINVAL

    vm_flags = calc_vm_flags(prot, flags) | mm.def_flags | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC

    if file and flags & MAP_TYPE == MAP_SHARED:
        vm_flags |= VM_SHARED | VM_MAYSHARE
    elif flags & MAP_TYPE != MAP_PRIVATE:
        return -EINVAL

    # clear old maps
    while True:
        # munmap_back:
        vma, prev = find_vma_prepare(mm, addr)
        if vma and vma.vm_start < addr + len:
            if do_munmap(mm, addr, len):
                return -ENOMEM
            continue                                # goto munmap_back
        break

    # private and writable: is there enough memory?
    if (vm_flags & (VM_SHARED | VM_WRITE) == VM_WRITE
            and not flags & MAP_NORESERVE
            and not vm_enough_memory(len >> PAGE_SHIFT)):
        return -ENOMEM

    # left out: vma_merge(), since no vma is adjacent

    vma = kmem_cache_alloc_vma(mm, addr)
    if not vma:
        return -ENOMEM

    vma.vm_mm = mm
    vma.vm_start = addr
    vma.vm_end = addr + len
    vma.vm_flags = vm_flags
    vma.vm_page_prot = protection_map[vm_flags & 0x0F]
    vma.vm_ops = None
    vma.vm_pgoff = pgoff
    vma.vm_file = None

    if file:
        vma.vm_file = file
        generic_file_mmap(file, vma)                # file->f_op->mmap

    vma_link(mm, vma, prev)

    # out:
    mm.total_vm += len >> PAGE_SHIFT
    return addr


def find_vma(mm, addr):
    """The first vma that ends behind addr, or None. mmap_sem or page_table_lock is held; callers of both kinds set the cache.

    So the cache is anybody's, and any vma of the mm in it is as good as another: what takes one out of the mm holds both locks
    and clears it. In 2013 the load was marked, lest the compiler repeat it ("mm: prevent mmap_cache race in find_vma()").
    """
    vma = None

    if mm:
        # the cache first
        vma = data_race(mm.mmap_cache)
        if not (vma and vma.vm_end > addr and vma.vm_start <= addr):
            rb_node = mm.mm_rb
            vma = None

            while rb_node:
                if rb_node.vm_end > addr:
                    vma = rb_node
                    break
                rb_node = rb_node.vm_rb
            if vma:
                data_race(mm).mmap_cache = vma
    return vma


def find_vma_prev(mm, addr):
    """As find_vma(), and the vma before it."""
    if mm:
        vma, prev = find_vma_prepare(mm, addr)
        if vma:
            if (prev.vm_next if prev else mm.mmap) is not vma:
                BUG(732)
            return vma, prev
    return None, None


def find_extend_vma(mm, addr):
    """The vma at an address. Left out: the extension of stacks."""
    addr &= PAGE_MASK
    vma = find_vma(mm, addr)
    if not vma:
        return None
    if vma.vm_start <= addr:
        return vma
    return None                                     # !(vma->vm_flags & VM_GROWSDOWN)


def unmap_fixup(mm, area, addr, len, extra):
    """What becomes of an unmapped vma. It is unmapped whole, so this frees it, and `extra` is not needed."""
    area.vm_mm.total_vm -= len >> PAGE_SHIFT

    # left out: the ends and the middle of a vma
    kmem_cache_free(area)
    return extra


def free_pgtables(mm, prev, start, end):
    """Free the page tables of a range that has no vma left near it."""
    first = start & PGDIR_MASK
    last = end + PGDIR_SIZE - 1

    no_mmaps = False
    if not prev:
        prev = mm.mmap
        if not prev:
            no_mmaps = True
        elif prev.vm_end > start:
            if last > prev.vm_start:
                last = prev.vm_start
            no_mmaps = True
    while not no_mmaps:
        next = prev.vm_next

        if next:
            if next.vm_start < start:
                prev = next
                continue
            if last > next.vm_start:
                last = next.vm_start
        if prev.vm_end > first:
            first = prev.vm_end + PGDIR_SIZE - 1
        break
    # no_mmaps:
    start_index = first >> PGDIR_SHIFT
    end_index = last >> PGDIR_SHIFT
    if end_index > start_index:
        clear_page_tables(mm, start_index, end_index - start_index)


def do_munmap(mm, addr, len):
    """Unmap a range. mmap_sem is held for writing."""
    if addr & ~PAGE_MASK or addr > TASK_SIZE or len > TASK_SIZE - addr:
        return -EINVAL

    len = len + PAGE_SIZE - 1 & PAGE_MASK
    if len == 0:
        return -EINVAL

    # take every vma that is concerned off the list, on to a list of our own
    mpnt, prev = find_vma_prev(mm, addr)
    if not mpnt:
        return 0
    # here addr < mpnt->vm_end

    if mpnt.vm_start >= addr + len:
        return 0

    # one more vma may be needed, and this is the last chance to fail
    extra = kmem_cache_alloc_vma(mm, None)
    if not extra:
        return -ENOMEM

    free = None
    spin_lock(mm.page_table_lock)
    while mpnt and mpnt.vm_start < addr + len:
        next = mpnt.vm_next
        if prev:
            prev.vm_next = next
        else:
            mm.mmap = next
        mpnt.vm_next = free
        free = mpnt
        rb_erase(mm, mpnt)
        mpnt = next
    mm.mmap_cache = None
    spin_unlock(mm.page_table_lock)

    # then unmap and free them
    while free is not None:
        mpnt = free
        free = free.vm_next

        st = mpnt.vm_start if addr < mpnt.vm_start else addr
        end = addr + len
        end = mpnt.vm_end if end > mpnt.vm_end else end
        size = end - st

        remove_shared_vm_struct(mpnt)
        mm.map_count -= 1

        zap_page_range(mm, st, size)

        extra = unmap_fixup(mm, mpnt, st, size, extra)

    # the extra vma was not needed
    if extra:
        kmem_cache_free(extra)

    free_pgtables(mm, prev, addr, addr + len)

    return 0


def sys_munmap(addr, len):
    mm = current().mm

    down_write(mm.mmap_sem)
    ret = do_munmap(mm, addr, len)
    up_write(mm.mmap_sem)
    return ret


def build_mmap_rb(mm):
    """Make mm_rb from the list. Called for a child that swap_out() can find already, with neither lock of its mm held."""
    mm.mm_rb = None
    prev = None
    vma = mm.mmap
    while vma:
        __vma_link_rb(mm, vma, prev)
        prev = vma
        vma = vma.vm_next


def exit_mmap(mm):
    """Unmap everything. The mm has no user left, or only the caller."""
    spin_lock(mm.page_table_lock)
    mpnt = mm.mmap
    mm.mmap_cache = None
    mm.mmap = None
    mm.mm_rb = None
    mm.rss = 0
    spin_unlock(mm.page_table_lock)
    mm.total_vm = 0

    while mpnt:
        next = mpnt.vm_next
        start = mpnt.vm_start
        end = mpnt.vm_end
        size = end - start

        mm.map_count -= 1
        remove_shared_vm_struct(mpnt)
        zap_page_range(mm, start, size)
        kmem_cache_free(mpnt)
        mpnt = next

    # this is just debugging
    if mm.map_count:
        BUG(1159)

    clear_page_tables(mm, 0, TASK_SIZE >> PGDIR_SHIFT)


__FILE__ = "arch/i386/kernel/sys_i386.c"


def do_mmap2(addr, len, prot, flags, file, pgoff):
    """mmap(2): `file` is None for MAP_ANONYMOUS."""
    down_write(current().mm.mmap_sem)
    error = do_mmap_pgoff(file, addr, len, prot, flags, pgoff)
    up_write(current().mm.mmap_sem)
    return error
