# SPDX-License-Identifier: GPL-2.0-only
"""The data of the family: constants, structs with the lock discipline of each field, and every global of the kernel.

The tree is 2.4.20, the release. The patch of this family is against -pre7, of which we know what the patch quotes: mm/*.c, mm.h and
pagemap.h have the same lines there as in the release, swap.h has one line more, kernel/ksyms.c one less. README.md has more on this.

The machine has eight page frames, A to H, and the reserved zero page; four mms of three user pages each, and a fifth for exec;
two files and a shared memory object, each of two pages; one swap device of six slots, of which slot 0 is the header. Linking
this module is the boot: what start_kernel() and the first swapon leave behind is written here as initial values.

Constants scaled down with the machine (everything else is the kernel's own number):
 * pages_min 1, pages_low 2, pages_high 3. free_area_init_core() keeps the ratio 1:2:3 but never goes below 20 pages, which
   would put every allocation here on the slow path. One is the least reserve that only a memory allocator can use.
 * SWAP_CLUSTER_MAX 2, not 32: a reclaim that has to free more pages than there are would always end in out_of_memory(),
   and never hand a page over through current->local_pages. shrink_caches() multiplies it with the length of the active list and divides
   by that of the inactive one. With 32 the result is 0 only if the inactive list is 16 times as long. With 2 it was 0 for lists of one
   page each, and an allocation looped for ever beside an active page that could be freed. At least one page moves, therefore.
 * MAPPED_RATIO 2, not 10: max_mapped is max_scan / 10, which is 0 for any list this short, and then shrink_cache() could
   never go on behind a mapped page.
 * NRSYNC 2, not 32: there are never more dirty buffers than pages, so write_some_buffers() would never stop before the end.
 * MAX_SWAPFILES 3, not 32: one swap device in use, and two that a program may try to swapon.
 * page_cluster is what swap_setup() computes for a machine below 16 MB. A swap-in therefore reads the slots 1-3 or 4-5, from the
   first of the group up to one that is free; and a fault on page 1 of a file reads page 0 too, but not the other way round,
   since as far as mmap is concerned a file ends with the mapping.

Left out, and why that is sound or where it is a limit:
 * Buddy orders above 0: every allocation of these paths is one page. The pair bits and expand() only choose which pages
   merge. A limit in one respect: after a double free the kernel also takes the buddy off whatever list it is on; here
   the second list_add() of the page is found first.
 * Several zones, highmem: memclass() is always true, kmap() is the identity. shrink_cache() skips no page for its zone.
 * Page-table levels and page-table pages: a page table is one pte slot per address. Its pages come from the quicklists,
   so pte_alloc() and pmd_alloc() never drop page_table_lock. A limit: histories in which they have to are not explored.
 * TLB contents. A shootdown is answered between two instructions, so translation and access are one step (see hardware),
   and flushes are no steps. A limit: stale entries between a pte change and its flush, the window of a fork in a process
   with threads, are not explored.
 * dcache, icache, slab reaping, quota: shrink_caches() calls them after, and independently of, what is modelled. They
   free pages that are on no LRU, and here there are none. They take no lock of this family.
 * Shared anonymous memory and the end of a shared memory object: there is one object, a file of tmpfs that is held open from boot.
   Reading and writing it by read(2) and write(2), SHM_LOCK, and the counts of free blocks (shmem_recalc_inode(), stat_lock).
 * swapon of a device with a signature: the one there is can be swapped off, and does not come back.
 * Readahead state of files (generic_file_readahead, nopage_sequential_readahead): it calls page_cache_read() at other times
   than a fault does, and nothing else. The cluster read of filemap_nopage() is kept.
 * The hash of page wait queues: each page has its own queue, so nobody is woken for another page's sake. Sleepers look at
   their own page again in any case.
 * Plugging: a request reaches the disk when it is submitted, so run_task_queue(&tq_disk) and sync_page have nothing to do.
 * The request queue and io_request_lock: an irq-safe leaf lock that is never taken under a lock of this family.
 * kupdate, msync, sync(2), sync_buffers(): bdflush, fsync, reclaim and the writer itself write dirty buffers. kupdate does what
   bdflush does, to buffers of some age.
 * Metadata in buffers: an inode's block pointers are fields, and fsync() does not write the inode. No buffer is hashed, so
   getblk(), bread() and the aliases of a block that it is freed with are not explored. A limit.
 * A write of less than a page: it would read the rest of the page first, as a fault does.
 * vfork() and mm_release(): no parent waits for its child's exec or exit.
 * A superblock's list of dirty inodes (kupdate walks it), and dirty_inode(), which ext2 does not have.
 * b_data: a page has one buffer, and the disk finds its words through b_page.
 * The hash table of buffers: the buffers of a page are never in it, and there are no others.
 * nswap, cnswap, cmin_flt, cmaj_flt: statistics of a task.
 * The reserve of unused buffer heads: there are never more buffers than pages, and the slab has one for each. The pages of the
   slab: it never has to grow. The reclaim that its growth may start, with SLAB_NOFS and under the page lock that the callers of
   create_buffers() hold, is the operation `reclaim_nofs`.
 * Buffers smaller than a page: a page has one buffer, of its own size. The loops over a page's buffers are kept.
 * get_file(), fput(), dentry and inode counts: each file is held open from boot, its count is never the last.
 * Stack extension, mlockall(), a change of a part of a vma or of its size: a vma is one page, there is a hole of a page between
   any two addresses, and so vmas neither merge nor split. vma_merge() would look and find nothing, without taking a lock. Advice
   with madvise() that only concerns readahead is left out, too.
 * The shape of mm_rb: a chain sorted by address instead of a balanced tree. find_vma() answers the same from either, also
   from the copy of the parent's root that a child has until build_mmap_rb().
 * The big kernel lock (around swapon, all of notify_change(), so of a truncate, and ext2_get_block()): it is dropped wherever
   its holder sleeps. A limit in one respect: two of these meet here at every point, in the kernel only where one of them
   sleeps. A race that needs no more than these two must be held against that.
 * The time of day: it stands still, so UPDATE_ATIME() of mmap and read finds i_atime up to date. Once a second it does not;
   then it takes inode_lock, a leaf, as mark_inode_dirty() does here.
 * kstat, min_flt, maj_flt: statistics nobody reads.
 * kswapd as a task that never ends: kswapd_balance() is what it does when it is woken, and the operation `kswapd` one such time.
 * Signals: do_page_fault() returns the name of the signal.
 * jiffies: out_of_memory() keeps its count of ten failures and leaves out its clocks; the task it kills is current.
   See oom_kill() in vmscan.
"""

from vmrace.harness.kernel import (
    LIST_HEAD,
    atomic_set,
    atomic_t,
    device,
    embed,
    flags_t,
    guarded,
    list_add_tail,
    list_head,
    plain,
    racy,
    racy_array,
    rw_semaphore,
    rwlock_t,
    semaphore,
    set_bit,
    spinlock_t,
    struct,
    wait_queue_head_t,
)

# ---- constants -------------------------------------------------------------------------------------------------------

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGE_MASK = ~(PAGE_SIZE - 1)
PAGE_CACHE_SHIFT = PAGE_SHIFT
PAGE_CACHE_SIZE = PAGE_SIZE
PGDIR_SHIFT = 22
PGDIR_SIZE = 1 << PGDIR_SHIFT
PGDIR_MASK = ~(PGDIR_SIZE - 1)
TASK_SIZE = 0xC0000000

EPERM = 1
ENOENT = 2
EIO = 5
EBADF = 9
EAGAIN = 11
ENOMEM = 12
EACCES = 13
EFAULT = 14
EBUSY = 16
EEXIST = 17
EINVAL = 22
EFBIG = 27

# The machine.
USER_PAGES = 3                                      # addresses in each mm
USER_ADDRESSES = (0x1000, 0x3000, 0x5000)           # never adjacent: see the module docstring
FILE_PAGES = 2
SWAP_SLOTS = 6
num_physpages = 8

# Page flags, include/linux/mm.h.
PG_locked = 0
PG_error = 1
PG_referenced = 2
PG_uptodate = 3
PG_dirty = 4
PG_lru = 6
PG_active = 7
PG_checked = 12
PG_arch_1 = 13
PG_reserved = 14
PG_launder = 15

# Buffer state, include/linux/fs.h.
BH_Uptodate = 0
BH_Dirty = 1
BH_Lock = 2
BH_Req = 3
BH_Mapped = 4
BH_New = 5
BH_Async = 6
BH_Wait_IO = 7
BH_Launder = 8
BUF_CLEAN = 0
BUF_LOCKED = 1
BUF_DIRTY = 2
NR_LIST = 3
BUFFER_BUSY_BITS = 1 << BH_Dirty | 1 << BH_Lock
NODEV = None
B_FREE = "B_FREE"

# Allocation, include/linux/mm.h.
__GFP_HIGHMEM = 0x02
__GFP_WAIT = 0x10
__GFP_HIGH = 0x20
__GFP_IO = 0x40
__GFP_HIGHIO = 0x80
__GFP_FS = 0x100
GFP_NOIO = __GFP_HIGH | __GFP_WAIT
GFP_NOFS = __GFP_HIGH | __GFP_WAIT | __GFP_IO | __GFP_HIGHIO
GFP_ATOMIC = __GFP_HIGH
GFP_USER = __GFP_WAIT | __GFP_IO | __GFP_HIGHIO | __GFP_FS
GFP_HIGHUSER = __GFP_WAIT | __GFP_IO | __GFP_HIGHIO | __GFP_FS | __GFP_HIGHMEM
GFP_KERNEL = __GFP_HIGH | __GFP_WAIT | __GFP_IO | __GFP_HIGHIO | __GFP_FS
GFP_KSWAPD = __GFP_WAIT | __GFP_IO | __GFP_HIGHIO | __GFP_FS

# Tasks, include/linux/sched.h.
PF_MEMALLOC = 0x0800
PF_MEMDIE = 0x1000
PF_FREE_PAGES = 0x2000
PF_NOIO = 0x4000
CLONE_VM = 0x100

# Mappings, include/linux/mm.h and asm/mman.h.
VM_READ = 0x0001
VM_WRITE = 0x0002
VM_EXEC = 0x0004
VM_SHARED = 0x0008
VM_MAYREAD = 0x0010
VM_MAYWRITE = 0x0020
VM_MAYEXEC = 0x0040
VM_MAYSHARE = 0x0080
VM_GROWSDOWN = 0x0100
VM_LOCKED = 0x2000
VM_IO = 0x4000
VM_DONTCOPY = 0x20000
VM_RESERVED = 0x80000
PROT_READ = 0x1
PROT_WRITE = 0x2
PROT_EXEC = 0x4
MAP_SHARED = 0x01
MAP_PRIVATE = 0x02
MAP_TYPE = 0x0F
MAP_FIXED = 0x10
MAP_ANONYMOUS = 0x20
MAP_NORESERVE = 0x4000
MADV_DONTNEED = 0x4
MREMAP_MAYMOVE = 1
MREMAP_FIXED = 2
max_map_count = 65536
generic_file_vm_ops = "generic_file_vm_ops"         # nopage: filemap_nopage
swap_aops = "swap_aops"                             # writepage: swap_writepage, sync_page: block_sync_page
ext2_aops = "ext2_aops"                             # readpage: ext2_readpage, writepage: ext2_writepage, sync_page: the same
shmem_vm_ops = "shmem_vm_ops"                       # nopage: shmem_nopage
shmem_aops = "shmem_aops"                           # writepage: shmem_writepage

# Page protection, include/asm-i386/pgtable.h: only these bits of a pte differ between the kinds of mapping.
_PAGE_RW = 0x002
_PAGE_ACCESSED = 0x020
PAGE_SHARED = _PAGE_RW | _PAGE_ACCESSED
PAGE_COPY = _PAGE_ACCESSED
PAGE_READONLY = _PAGE_ACCESSED
protection_map = (
    PAGE_READONLY, PAGE_READONLY, PAGE_COPY, PAGE_COPY, PAGE_READONLY, PAGE_READONLY, PAGE_COPY, PAGE_COPY,
    PAGE_READONLY, PAGE_READONLY, PAGE_SHARED, PAGE_SHARED, PAGE_READONLY, PAGE_READONLY, PAGE_SHARED, PAGE_SHARED,
)

# Swap, include/linux/swap.h and mm/swapfile.c.
SWP_USED = 1
SWP_WRITEOK = 3
SWAP_MAP_MAX = 0x7FFF
SWAP_MAP_BAD = 0x8000
SWAPFILE_CLUSTER = 256
SWAP_SIGNATURE = 0x53574150
SWAP_CLUSTER_MAX = 2                                # 32 in the kernel: see the module docstring
MAX_SWAPFILES = 3                                   # 32
page_cluster = 2
CLUSTER_PAGES = 1 << page_cluster

# Reclaim, mm/vmscan.c.
DEF_PRIORITY = 6
MAPPED_RATIO = 2                                    # 10 in the kernel: see the module docstring

# The page cache hash, include/linux/pagemap.h. Of its buckets only those that a page of this machine can hash to exist.
PAGE_HASH_BITS = 8
PAGE_HASH_SIZE = 1 << PAGE_HASH_BITS

# tlb_gather_mmu(), include/asm-generic/tlb.h.
FREE_PTE_NR = 508
TLB_FAST_MODE = -1                                  # ~0UL

NOPAGE_OOM = -1
SHMEM_NR_DIRECT = FILE_PAGES                        # 16 in the kernel: no file of this machine is longer
I_DIRTY_SYNC = 1
I_DIRTY_DATASYNC = 2
I_DIRTY_PAGES = 4
I_DIRTY = I_DIRTY_SYNC | I_DIRTY_DATASYNC | I_DIRTY_PAGES

# Writing dirty buffers, fs/buffer.c.
NRSYNC = 2                                          # 32 in the kernel: see the module docstring
nfract = 30                                         # of the buffer pages dirty: wake bdflush
bdflush_ndirty = 500                                # buffers that bdflush writes each time it is woken
nfract_sync = 60                                    # of the buffer pages dirty: whoever dirties more has to write
nfract_stop_bdflush = 20


# ---- locks -----------------------------------------------------------------------------------------------------------

pagemap_lru_lock = spinlock_t("pagemap_lru_lock")
pagecache_lock = spinlock_t("pagecache_lock")
swaplock = spinlock_t("swaplock")
mmlist_lock = spinlock_t("mmlist_lock")
lru_list_lock = spinlock_t("lru_list_lock")                 # fs/buffer.c: the lists of buffers, not of pages
hash_table_lock = rwlock_t("hash_table_lock")
unused_list_lock = spinlock_t("unused_list_lock")
page_uptodate_lock = spinlock_t("page_uptodate_lock")
inode_lock = spinlock_t("inode_lock")
shmem_ilock = spinlock_t("shmem_ilock")
kswapd_wait = wait_queue_head_t("kswapd_wait")
buffer_wait = wait_queue_head_t("buffer_wait")
bdflush_wait = wait_queue_head_t("bdflush_wait")


# ---- pages and buffers -----------------------------------------------------------------------------------------------

class buffer_head(struct):
    """fs.h. One per page; whoever holds the page's lock makes it, try_to_free_buffers() takes it away.

    Tasks that hold BH_Lock but not the page lock submit it: bdflush, fsync, a writer that has dirtied too much. The holder of the
    page lock waits for BH_Lock before it takes the buffer off the disk (discard_buffer()), and gives a place on disk only to a
    buffer that is not mapped and hence not dirty.
    """
    # atomic
    b_count = embed(atomic_t, 0)
    b_state = embed(flags_t)
    b_wait = embed(wait_queue_head_t)
    # set by the holder of the page lock while the buffer is made or not mapped; b_rdev and b_end_io by the holder of BH_Lock
    b_blocknr = plain(-1)
    b_dev = plain(B_FREE)
    b_rdev = plain(NODEV)
    b_rsector = plain(0)
    b_size = plain(0)
    b_page = plain(None)
    b_this_page = plain(None)                               # circular list of the page's buffers
    b_pprev = plain(None)                                   # never hashed here: no buffer cache
    b_end_io = plain(None)
    # lru_list_lock
    b_list = plain(BUF_CLEAN)
    b_next_free = guarded(None, "lru_list_lock")
    b_prev_free = guarded(None, "lru_list_lock")
    b_inode = guarded(None, "lru_list_lock")                # an inode, or the tmp of a task, whose list it is on
    b_inode_buffers = embed(list_head, guard="lru_list_lock")


class page(struct):
    """mm.h. One per frame; word0 and word1 are the frame's contents."""
    # atomic
    count = embed(atomic_t, 0, refcount=True)
    flags = embed(flags_t)
    # pagemap_lru_lock
    lru = embed(list_head)
    # the lock of the list it is on: pagecache_lock (a mapping's), zone->lock (free), none (current's local_pages)
    list = embed(list_head)
    # pagecache_lock
    next_hash = guarded(None, "pagecache_lock")
    pprev_hash = guarded(None, "pagecache_lock")            # the bucket or page whose next_hash points here
    # written under the page lock and pagecache_lock (rw_swap_page_nolock: the page lock alone), read without either
    mapping = racy(None, "pagecache_lock", ".flags#PG_locked")
    # written by the holder of the page lock, or by the task that frees the page to its local list
    index = racy(0)
    # written under the page lock, read without it
    buffers = racy(None, ".flags#PG_locked")
    # anybody who maps or owns the page
    word0 = racy(0)
    word1 = racy(0)
    wait = embed(wait_queue_head_t)                         # page_waitqueue(page)
    bh = embed(buffer_head)                                 # what the slab has for this page; see kmem_cache_alloc_bh()


class page_hash_bucket(struct):
    """One chain of page_hash_table. Its pointer has the name of the page's, so that pprev_hash may be either."""
    next_hash = guarded(None, "pagecache_lock")


class zone_struct(struct):
    """mmzone.h, with order 0 only: free_list stands for free_area[0].free_list."""
    lock = embed(spinlock_t)
    # lock; read without it by __alloc_pages
    free_pages = racy(0, ".lock")
    free_list = embed(list_head, guard=".lock", freelist=True, type_stable=True)
    # none
    need_balance = racy(0)
    # constant
    size = plain(8)
    pages_min = plain(1)
    pages_low = plain(2)
    pages_high = plain(3)


class vm_globals(struct):
    """Plain globals of the kernel, by the file they live in."""
    # mm/page_alloc.c: pagemap_lru_lock, read without it
    nr_active_pages = racy(0, "pagemap_lru_lock")
    nr_inactive_pages = racy(0, "pagemap_lru_lock")
    # mm/filemap.c: atomic
    page_cache_size = embed(atomic_t, 0)
    # mm/swapfile.c: swaplock; these two are read without it
    nr_swap_pages = racy(SWAP_SLOTS - 1, "swaplock")
    total_swap_pages = racy(SWAP_SLOTS - 1, "swaplock")
    nr_swapfiles = plain(1)                                 # swaplock; readers without it ask for a type in use
    least_priority = plain(-1)                              # swaplock
    swap_overflow = plain(0)                                # how often swap_duplicate() has met a full count; no lock, nobody else reads it
    # kernel/fork.c and mm/vmscan.c: mmlist_lock, read without it
    mmlist_nr = racy(0, "mmlist_lock")
    swap_mm = racy(None, "mmlist_lock")
    # mm/oom_kill.c: no lock at all
    oom_count = racy(0)
    # ours: how many tasks oom_kill() has killed; looked at when the run is over
    oom_kills = plain(0)


class swap_list_t(struct):
    """swap.h."""
    head = guarded(0, "swaplock")
    next = guarded(0, "swaplock")


class buffer_lru(struct):
    """One of fs/buffer.c's lru_list[]: the head of a circular list of buffers, with nr_buffers_type[] and size_buffers_type[]."""
    first = guarded(None, "lru_list_lock")
    nr = guarded(0, "lru_list_lock")
    # read without it by balance_dirty_state()
    size = racy(0, "lru_list_lock")


# ---- swap devices and the disk ---------------------------------------------------------------------------------------

class disk(struct):
    """A block device, block size == page size. Two words per block, as in a page; a device answers to no lock."""
    word0 = embed(racy_array, SWAP_SLOTS, 0)
    word1 = embed(racy_array, SWAP_SLOTS, 0)


class swap_info_struct(struct):
    """swap.h. swap_map is the array itself: until swapon has made it, max is 0."""
    sdev_lock = embed(spinlock_t)
    # sdev_lock (and mostly swaplock); read without it by swap_info_get, get_swaphandle_info
    swap_map = embed(racy_array, SWAP_SLOTS, 0, ".sdev_lock")
    # swaplock
    lowest_bit = guarded(0, "swaplock")
    highest_bit = guarded(0, "swaplock")
    cluster_next = guarded(0, "swaplock")
    cluster_nr = guarded(0, "swaplock")
    # swaplock; read without it by whoever has an entry of this device
    flags = racy(0, "swaplock")
    # as flags, and sdev_lock
    max = racy(0, "swaplock", ".sdev_lock")
    # swaplock while swapon or swapoff runs; constant while an entry of this device can exist
    swap_device = plain(None)
    prio = plain(0)
    pages = plain(0)
    next = plain(-1)


# ---- files -----------------------------------------------------------------------------------------------------------

class vma_share_head(struct):
    """The head of a mapping's list of vmas; its pointer has the name of the vma's, so that vm_pprev_share may be either."""
    vm_next_share = guarded(None, ".struct.i_shared_lock")


class address_space(struct):
    """fs.h."""
    # pagecache_lock
    clean_pages = embed(list_head, guard="pagecache_lock")
    dirty_pages = embed(list_head, guard="pagecache_lock")
    locked_pages = embed(list_head, guard="pagecache_lock")
    nrpages = racy(0, "pagecache_lock")                     # read without it by vm_enough_memory
    # i_shared_lock
    i_shared_lock = embed(spinlock_t)
    i_mmap = embed(vma_share_head)
    i_mmap_shared = embed(vma_share_head)
    # constant
    a_ops = plain(ext2_aops)
    host = plain(None)
    gfp_mask = plain(GFP_HIGHUSER)
    hash = plain(0)                                         # its address, as _page_hashfn sees it


class inode(struct):
    """fs.h. i_mapping is the inode's own i_data."""
    i_mapping = embed(address_space)
    # i_sem, which do_truncate() takes; read without it
    i_sem = embed(semaphore)
    i_size = racy(FILE_PAGES * PAGE_SIZE)
    # inode_lock, read without it
    i_state = racy(0, "inode_lock")
    # lru_list_lock
    i_dirty_buffers = embed(list_head, guard="lru_list_lock")
    i_dirty_data_buffers = embed(list_head, guard="lru_list_lock")
    # the file system's own locks: which blocks are allocated
    i_block = embed(racy_array, FILE_PAGES, 1)
    # constant
    i_dev = plain(None)


class shmem_inode_info(struct):
    """shmem_fs.h."""
    lock = embed(spinlock_t)
    sem = embed(semaphore)
    # lock; read without it where a page is read in
    i_direct = embed(racy_array, SHMEM_NR_DIRECT, 0, ".lock")
    # lock; read without it by shmem_unuse()
    swapped = racy(0, ".lock")
    # sem or lock
    next_index = racy(0)
    # constant
    locked = plain(0)
    inode = plain(None)


class shmem_inode(inode):
    """An inode of tmpfs: SHMEM_I(inode) is its shmem_i."""
    shmem_i = embed(shmem_inode_info)


class dentry(struct):
    d_inode = plain(None)


class file(struct):
    f_dentry = plain(None)


# ---- address spaces --------------------------------------------------------------------------------------------------

class pte_slot(struct):
    """One entry of a page table. `val` is None (pte_none), a swap entry (an int), or (page, write, dirty, young).

    The cpu's MMU sets young and dirty without a lock, in one step with the access (see hardware).
    """
    val = device(None, ".struct.page_table_lock")


class vm_area_struct(struct):
    """mm.h. A vma of this family is one page and never changes its extent.

    The links vm_next and mm->mmap, vm_flags and vm_page_prot are changed under mmap_sem (for writing) and page_table_lock and
    read under either one, except by the only owner: before the vma is linked, and in exit_mmap(), which has taken the whole
    list private. One reader has neither: swap_out_mm() on a child whose mm_rb is still the parent's follows the parent's vm_next
    with the child's page_table_lock. They are plain nonetheless: it can only read another vma of the parent, or the end, and of
    vm_flags the bits that let it pass by a page. A child whose mmap_cache stays the parent's is a finding by itself.
    """
    # mmap_sem and page_table_lock: see above
    vm_page_prot = plain(0)
    vm_flags = plain(0)
    # constant while it is linked
    vm_mm = plain(None)
    vm_start = plain(0)
    vm_end = plain(0)
    vm_ops = plain(None)
    vm_pgoff = plain(0)
    vm_file = plain(None)
    # mmap_sem and page_table_lock
    vm_next = plain(None)
    # as vm_next, but build_mmap_rb() links the child's without either
    vm_rb = racy(None)                                      # the next vma by address
    # i_shared_lock of the file's mapping
    vm_next_share = guarded(None, ".vm_file.f_dentry.d_inode.i_mapping.i_shared_lock")
    vm_pprev_share = guarded(None, ".vm_file.f_dentry.d_inode.i_mapping.i_shared_lock")
    # the slab's
    lives_while = "in_use"
    in_use = plain(0)


class mm_struct(struct):
    """sched.h. `struct` of an embedded pte slot or vma is its mm."""
    # atomic
    mm_users = embed(atomic_t, 0, refcount=True)
    mm_count = embed(atomic_t, 0, refcount=True)
    mmap_sem = embed(rw_semaphore)
    # page_table_lock
    page_table_lock = embed(spinlock_t)
    pte0 = embed(pte_slot)
    pte1 = embed(pte_slot)
    pte2 = embed(pte_slot)
    rss = guarded(0, ".page_table_lock")
    # mmap_sem and page_table_lock: see vm_area_struct
    mmap = plain(None)
    map_count = plain(0)
    # mmap_sem
    total_vm = plain(0)
    locked_vm = plain(0)
    def_flags = plain(0)
    # find_vma() stores it under mmap_sem for reading, or page_table_lock alone
    mmap_cache = racy(None)
    # as vma->vm_rb: the first vma by address
    mm_rb = racy(None)
    # mmlist_lock
    mmlist = embed(list_head, guard="mmlist_lock")          # every mm's entry is a head: the ring has no other
    # page_table_lock in swap_out_mm(), mmlist_lock in swap_out()
    swap_address = racy(0)
    # the slab's: the vmas this mm can have, one per address, and the spare one do_munmap() wants
    vma0 = embed(vm_area_struct)
    vma1 = embed(vm_area_struct)
    vma2 = embed(vm_area_struct)
    vma_extra = embed(vm_area_struct)
    lives_while = "in_use"
    in_use = plain(0)


class mmu_gather_t(struct):
    """asm-generic/tlb.h. Per cpu; page_table_lock of the mm that is torn down is held while it is used."""
    mm = plain(None)
    nr = plain(0)                                           # TLB_FAST_MODE, or how many of ptes are in use
    ptes = plain(())


class kiobuf(struct):
    """iobuf.h. Belongs to the task that maps it, then to whoever ends its I/O."""
    nr_pages = plain(0)
    offset = plain(0)
    length = plain(0)
    locked = plain(0)
    maplist = plain(())


class driver(struct):
    """A driver that keeps pages for itself. They are its own."""
    pages = plain(())


class fsync_inode(struct):
    """The inode that fsync_buffers_list() has on its stack, of which only one list is used."""
    i_dirty_buffers = embed(list_head, guard="lru_list_lock")


class task_struct(struct):
    """sched.h. Every field belongs to the task itself; an interrupt looks at the task it hit and changes nothing."""
    flags = plain(0)
    mm = plain(None)
    active_mm = plain(None)
    alloc_lock = embed(spinlock_t)
    # pages this task has freed for itself: see balance_classzone()
    local_pages = embed(list_head, guard="", freelist=True, type_stable=True)
    nr_local_pages = plain(0)
    allocation_order = plain(0)
    # ours: 1 if memory was free when oom_kill() killed it
    free_when_killed = plain(0)
    # on its stack
    tmp = embed(fsync_inode)


# ---- the machine's instances: what boot leaves behind ----------------------------------------------------------------

init_mm = mm_struct("init_mm", in_use=1)
vm = vm_globals("vm", swap_mm=init_mm)
active_list = LIST_HEAD("active_list", guard="pagemap_lru_lock")
inactive_list = LIST_HEAD("inactive_list", guard="pagemap_lru_lock")

mem_map = [page(name) for name in "ABCDEFGH"]
zone_normal = zone_struct("zone_normal", free_pages=8)
page_hash_table = [page_hash_bucket("page_hash_table" + digit) for digit in "0123456789abcdef"]
lru_list = [buffer_lru(name) for name in ("BUF_CLEAN", "BUF_LOCKED", "BUF_DIRTY")]

swap_disk = disk("swap_disk")
blank_disk = disk("blank_disk")                             # a partition without a swap signature: swapon fails on it
f0_disk = disk("f0_disk")
f1_disk = disk("f1_disk")

swapper_space = address_space("swapper_space", a_ops=swap_aops, hash=5)
f0 = inode("f0", i_dev=f0_disk)
f1 = inode("f1", i_dev=f1_disk)
f0.i_mapping.host = f0
f1.i_mapping.host = f1
f1.i_mapping.hash = 1                                       # neighbours in the slab: page 1 of f0 collides with page 0 of f1
s0 = shmem_inode("s0")
s0.i_mapping.a_ops = shmem_aops
s0.i_mapping.host = s0
s0.i_mapping.hash = 3                                       # its pages collide with none: to them f0 and f1 are alike
s0.shmem_i.inode = s0
f0_dentry = dentry("f0.dentry", d_inode=f0)
f1_dentry = dentry("f1.dentry", d_inode=f1)
f0_file = file("f0.file", f_dentry=f0_dentry)
f1_file = file("f1.file", f_dentry=f1_dentry)

s0_dentry = dentry("s0.dentry", d_inode=s0)
s0_file = file("s0.file", f_dentry=s0_dentry)

swap_list = swap_list_t("swap_list")
swap_info = [
    swap_info_struct("swap0", flags=SWP_WRITEOK, swap_device=swap_disk, prio=-1, max=SWAP_SLOTS, pages=SWAP_SLOTS - 1,
                     lowest_bit=1, highest_bit=SWAP_SLOTS - 1),
    swap_info_struct("swap1"),
    swap_info_struct("swap2"),
]
swap_info[0].swap_map.items[0] = SWAP_MAP_BAD
swap_disk.word0.items[0] = SWAP_SIGNATURE

m0 = mm_struct("m0")
m1 = mm_struct("m1")
m2 = mm_struct("m2")
m3 = mm_struct("m3")
m4 = mm_struct("m4")                                        # of no process at first: see exec_mmap()
k0 = kiobuf("k0")
k1 = kiobuf("k1")
k2 = kiobuf("k2")
k3 = kiobuf("k3")
hog = driver("hog")
mmu_gathers = [mmu_gather_t("mmu_gather" + digit) for digit in "01234567"]

# The zero page is part of the kernel's image: reserved, never freed. Its count is 0 in the kernel; it starts at 1 here, so
# that the first get_page() is no revival. can_share_swap_page() answers the same for 0 and for a reserved 1; where
# page_cache_release() looks at the count too, it takes its lock for nothing one copy of the zero page earlier.
empty_zero_page = page("ZERO")
set_bit(PG_reserved, empty_zero_page.flags)
atomic_set(empty_zero_page.count, 1)

atomic_set(init_mm.mm_users, 2)
atomic_set(init_mm.mm_count, 1)

[list_add_tail(frame.list, zone_normal.free_list) for frame in mem_map]
