# SPDX-License-Identifier: GPL-2.0-only
"""mm/mmap.c: the vmas of an mm, mapping one page, unmapping it, and the end of an mm.

mm_rb is a chain by address here (see types), a tree that has right branches only: vm_rb of a vma is its right branch. A place in
the tree, rb_link, is the vma whose right branch it is; None is the root.
"""
from vmrace.harness.kernel import BUG, atomic_read, current, data_race, down_write, spin_lock, spin_unlock, up_write
from vmrace.variants.lru_free_2_4.pre_patch.filemap import f_op_mmap
from vmrace.variants.lru_free_2_4.pre_patch.hardware import kmem_cache_alloc_vma, kmem_cache_free
from vmrace.variants.lru_free_2_4.pre_patch.memory import clear_page_tables, zap_page_range
from vmrace.variants.lru_free_2_4.pre_patch.page_alloc import nr_free_pages
from vmrace.variants.lru_free_2_4.types import (
    EINVAL,
    ENOMEM,
    MAP_ANONYMOUS,
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
    VM_LOCKED,
    VM_MAYWRITE,
    VM_SHARED,
    VM_WRITE,
    max_map_count,
    protection_map,
    swapper_space,
    vm,
)


__FILE__ = "lib/rbtree.c"


def rb_link_node(mm, vma, rb_link):
    """Put a vma behind `rb_link`, or first. The chain is in order then, and rb_insert_color() has nothing to do."""
    if rb_link:
        vma.vm_rb = rb_link.vm_rb
        rb_link.vm_rb = vma
    else:
        vma.vm_rb = mm.mm_rb
        mm.mm_rb = vma


def rb_erase(mm, vma):
    """Take a vma out of the chain."""
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
    # not here: if sysctl_overcommit_memory: the default, which is off
    # not here: free += ((dentry_stat.nr_unused * sizeof(struct dentry)) >> PAGE_SHIFT): unused dentries and inodes, of which there are none
    # not here: free += ((inodes_stat.nr_unused * sizeof(struct inode)) >> PAGE_SHIFT): as above
    free = atomic_read(vm.page_cache_size)
    free += nr_free_pages()
    free += data_race(vm.nr_swap_pages)
    free += data_race(swapper_space.nrpages)
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
    prot_bits = prot & PROT_READ | prot & PROT_WRITE | prot & PROT_EXEC
    return prot_bits


def find_vma_prepare(mm, addr):
    """The vma that find_vma() would find, the one before it, and where in mm_rb a new one goes: (vma, prev, rb_link, rb_parent).

    If the address is mapped, all but the first are None, as they are not set in C: the caller unmaps the vma and asks again.
    """
    __rb_link = mm.mm_rb                            # what it points to
    rb_prev = __rb_parent = None
    vma = None

    while __rb_link:
        __rb_parent = __rb_link
        vma_tmp = __rb_parent

        if vma_tmp.vm_end > addr:
            vma = vma_tmp
            if vma_tmp.vm_start <= addr:
                return vma, None, None, None
            __rb_link = None                        # rb_left
        else:
            rb_prev = __rb_parent
            __rb_link = __rb_parent.vm_rb           # rb_right

    pprev = None
    if rb_prev:
        pprev = rb_prev
    return vma, pprev, rb_prev, __rb_parent


def __vma_link_list(mm, vma, prev, rb_parent):
    if prev:
        vma.vm_next = prev.vm_next
        prev.vm_next = vma
    else:
        mm.mmap = vma
        if rb_parent:
            vma.vm_next = rb_parent
        else:
            vma.vm_next = None


def __vma_link_rb(mm, vma, rb_link, rb_parent):
    rb_link_node(mm, vma, rb_link)


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


def __vma_link(mm, vma, prev, rb_link, rb_parent):
    __vma_link_list(mm, vma, prev, rb_parent)
    __vma_link_rb(mm, vma, rb_link, rb_parent)
    __vma_link_file(vma)


def vma_link(mm, vma, prev, rb_link, rb_parent):
    lock_vma_mappings(vma)
    spin_lock(mm.page_table_lock)
    __vma_link(mm, vma, prev, rb_link, rb_parent)
    spin_unlock(mm.page_table_lock)
    unlock_vma_mappings(vma)

    mm.map_count += 1


def do_mmap_pgoff(file, addr, len, prot, flags, pgoff):
    """Map one page at a given address of current's mm (MAP_FIXED). mmap_sem is held for writing. The address, or an error."""
    # not here: if vm_flags & VM_LOCKED: no mlockall()
    # not here: vma.vm_private_data = 0: no driver
    # not here: vma.vm_raend = 0: the readahead state
    # not here: if vm_flags & (VM_GROWSDOWN | VM_GROWSUP): no stacks
    # not here: if f_op_mmap(): it does not fail
    # not here: if flags & MAP_SHARED: shared anonymous memory (see types)
    # not here: if addr == vma.vm_start: no driver has changed it
    mm = current().mm

    len = len + PAGE_SIZE - 1 & PAGE_MASK
    if len == 0:
        return addr

    if len > TASK_SIZE:
        return -EINVAL

    # offset overflow?
    if pgoff + (len >> PAGE_SHIFT) < pgoff:
        return -EINVAL

    # too many mappings?
    if mm.map_count > max_map_count:
        return -ENOMEM

    addr = get_unmapped_area(file, addr, len, pgoff, flags)
    if addr & ~PAGE_MASK:
        return addr

    vm_flags = calc_vm_flags(prot, flags) | mm.def_flags | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC

    if file:
        # each file may be read and written
        if flags & MAP_TYPE == MAP_SHARED:
            vm_flags |= VM_SHARED | VM_MAYSHARE
        elif flags & MAP_TYPE != MAP_PRIVATE:
            return -EINVAL
    else:
        vm_flags |= VM_SHARED | VM_MAYSHARE
        if flags & MAP_TYPE == MAP_PRIVATE:
            vm_flags &= ~(VM_SHARED | VM_MAYSHARE)
        elif flags & MAP_TYPE != MAP_SHARED:
            return -EINVAL

    # clear old maps
    while True:
        # munmap_back:
        vma, prev, rb_link, rb_parent = find_vma_prepare(mm, addr)
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
        f_op_mmap(file, vma)                        # file->f_op->mmap
    else:
        assert not flags & MAP_SHARED, "shared anonymous memory"

    vma_link(mm, vma, prev, rb_link, rb_parent)

    # out:
    mm.total_vm += len >> PAGE_SHIFT
    return addr


def get_unmapped_area(file, addr, len, pgoff, flags):
    # not here: if flags & MAP_FIXED: always: a program names the address
    if addr > TASK_SIZE - len:
        return -ENOMEM
    if addr & ~PAGE_MASK:
        return -EINVAL
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
                vma_tmp = rb_node

                if vma_tmp.vm_end > addr:
                    vma = vma_tmp
                    if vma_tmp.vm_start <= addr:
                        break
                    rb_node = None                  # rb_left
                else:
                    rb_node = rb_node.vm_rb         # rb_right
            if vma:
                data_race(mm).mmap_cache = vma
    return vma


def find_vma_prev(mm, addr):
    """As find_vma(), and the vma before it."""
    if mm:
        rb_node = mm.mm_rb
        rb_last_right = rb_prev = None
        vma = None

        while rb_node:
            vma_tmp = rb_node

            if vma_tmp.vm_end > addr:
                vma = vma_tmp
                rb_prev = rb_last_right
                if vma_tmp.vm_start <= addr:
                    break
                rb_node = None                      # rb_left
            else:
                rb_last_right = rb_node
                rb_node = rb_node.vm_rb             # rb_right
        if vma:
            prev = None
            if rb_prev:
                prev = rb_prev
            if (prev.vm_next if rb_prev else mm.mmap) is not vma:
                BUG(732)
            return vma, prev
    return None, None


def find_extend_vma(mm, addr):
    """The vma at an address."""
    # not here: if vma.vm_flags & VM_GROWSDOWN: no stacks
    addr &= PAGE_MASK
    vma = find_vma(mm, addr)
    if not vma:
        return None
    if vma.vm_start <= addr:
        return vma
    return None


def unmap_fixup(mm, area, addr, len, extra):
    """What becomes of an unmapped vma. It is unmapped whole, so this frees it, and `extra` is not needed."""
    # not here: if addr == area.vm_start: always, as above
    # not here: if (addr + len) == area.vm_end: always, as above
    # not here: if area.vm_ops: files have no close() of a vma
    # not here: if area.vm_file: files are held open
    area.vm_mm.total_vm -= len >> PAGE_SHIFT
    if area.vm_flags & VM_LOCKED:
        area.vm_mm.locked_vm -= len >> PAGE_SHIFT

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

    # a hole needs one more
    if mpnt.vm_start < addr and mpnt.vm_end > addr + len and mm.map_count >= max_map_count:
        return -ENOMEM

    # one more vma may be needed, and this is the last chance to fail
    extra = kmem_cache_alloc_vma(mm, None)
    if not extra:
        return -ENOMEM

    free = None
    spin_lock(mm.page_table_lock)
    while mpnt and mpnt.vm_start < addr + len:
        if prev:
            prev.vm_next = mpnt.vm_next
        else:
            mm.mmap = mpnt.vm_next
        mpnt.vm_next = free
        free = mpnt
        rb_erase(mm, mpnt)
        mpnt = prev.vm_next if prev else mm.mmap
    mm.mmap_cache = None
    spin_unlock(mm.page_table_lock)

    # then unmap and free them
    while (mpnt := free) is not None:
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
    rb_link = None
    rb_parent = None
    vma = mm.mmap
    while vma:
        __vma_link_rb(mm, vma, rb_link, rb_parent)
        rb_parent = vma
        rb_link = rb_parent
        vma = vma.vm_next


def exit_mmap(mm):
    """Unmap everything. The mm has no user left, or only the caller."""
    # not here: if mpnt.vm_ops: files have no close() of a vma
    # not here: if mpnt.vm_file: files are held open
    spin_lock(mm.page_table_lock)
    mpnt = mm.mmap
    mm.mmap_cache = None
    mm.mmap = None
    mm.mm_rb = None
    mm.rss = 0
    spin_unlock(mm.page_table_lock)
    mm.total_vm = 0
    mm.locked_vm = 0

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


def insert_vm_struct(mm, vma):
    """mmap_sem is held for writing. Nothing is mapped at the place of the vma."""
    __vma, prev, rb_link, rb_parent = find_vma_prepare(mm, vma.vm_start)
    if __vma and __vma.vm_start < vma.vm_end:
        BUG(1190)
    vma_link(mm, vma, prev, rb_link, rb_parent)


__FILE__ = "arch/i386/kernel/sys_i386.c"


def do_mmap2(addr, len, prot, flags, fd, pgoff):
    """mmap(2): `fd` is the file itself, or None for MAP_ANONYMOUS."""
    # not here: if file: it is open, and held open
    file = None
    if not flags & MAP_ANONYMOUS:
        file = fd
    down_write(current().mm.mmap_sem)
    error = do_mmap_pgoff(file, addr, len, prot, flags, pgoff)
    up_write(current().mm.mmap_sem)
    return error
