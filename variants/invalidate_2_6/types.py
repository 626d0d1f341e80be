# SPDX-License-Identifier: GPL-2.0-only
"""The data of the family: constants, structs with the lock discipline of each field, and every global of the kernel.

The machine has eight page frames, A to H, and the zero page; four mms of three user pages each; two files of two pages, each
on a disk of its own. Linking this module is the boot: what start_kernel() leaves behind is written here as initial values.

The tree is 2.6.15, of 2 Jan 2006. Each function was compared with it event by event; c_source.toml has the equivalences, and names the
functions that the model has written anew. The number in BUG() is the line in that tree.

Constants scaled down with the machine (everything else is the kernel's own number):
 * PAGEVEC_SIZE 2, not 14: of eight pages a pagevec of 14 would never be full, and each cpu could keep them all.
 * pages_min 1, pages_low 2, pages_high 3: the least reserve that only a memory allocator can use, and the kernel's order.
 * SWAP_CLUSTER_MAX 2, not 32: a reclaim that has to free more pages than there are would always end in out_of_memory().
 * DEF_PRIORITY 3, not 12: the first pass scans one page in 2^3 of an eight-page zone, as it does one in 2^12 of a bigger one.

Left out, and why that is sound or where it is a limit:
 * Swap. A machine without a swap device is a legal one: anonymous pages then stay where they are (refill_inactive_zone() and
   add_to_swap() give up on them), so PG_swapcache is never set. A limit: no page here changes between file and swap cache.
 * anon_vma chains. Without swap, page_referenced() alone follows them, and whatever it finds, shrink_list() puts the page back
   on the active list. One fact is kept: whether a vma has one, as fork copies page tables by it. PAGE_MAPPING_ANON stands for them all.
 * Readahead on faults and reads: the device has it switched off (blockdev --setra 0). The readahead that filemap_populate() and
   readahead(2) force is kept.
 * Per-cpu lists of free pages (a limit): a page is free for all at once. Buddy orders, zones, highmem: every allocation is one page.
 * Page directories and page-table pages: a page table is one pte slot per address. With fewer than four cpus configured
   (CONFIG_SPLIT_PTLOCK_CPUS), pte_lockptr() is mm->page_table_lock, as here; with one page-table page per mm, the lock of that
   page would exclude the same tasks from the same ptes.
 * TLB contents: see hardware. The pages of a zap are freed after the flush, as the kernel does on SMP.
 * The shape of trees: the radix tree is an array, the prio tree a list that is searched whole, mm_rb a chain, and find_vma()'s
   cache of its last answer is left out: it is checked against the address, so the answer is the same.
 * The hash of page wait queues: a queue for each page and bit. Wake-ups are keyed by page and bit, so nobody else is woken.
 * Plugging, the request queue, bio_alloc: a request reaches the disk when it is submitted. Congestion: never.
 * pdflush, kupdate and kswapd as tasks: operations do what they do when they are woken. balance_dirty_pages() is below its limit.
 * Blocks smaller than a page: a page has one buffer, of its own size. A file's size is a multiple of the page size, so partial
   pages of truncate and writepage are never taken. I/O errors: none, so AS_EIO and PG_error are never set.
 * ext2 is as much of it as says which blocks a file has: reading a hole gives zeros, writing one allocates it.
 * Writes of less than a page, from more than one page or from several buffers: write(2) copies one whole page from one.
 * inode lists, superblocks, dcache, atime, quota.
 * mlock, nonlinear vmas of more than a page, hugetlb, XIP, cpusets: no operation here uses them.
 * Which process is killed when memory runs out (a limit): the one that asks for it.
 * nr_mapped is one counter; the kernel keeps one for each cpu.
 * i_size_read() is one load: the sequence count of 32-bit machines is left out, a size here is never torn.
"""

from vmrace.harness.kernel import (
    atomic_set,
    atomic_t,
    device,
    embed,
    flags_t,
    guarded,
    guarded_array,
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
PAGE_CACHE_MASK = ~(PAGE_CACHE_SIZE - 1)
PMD_SIZE = 1 << 22
ULONG_MAX = 0xFFFFFFFF
INT_MAX = 0x7FFFFFFF
TASK_SIZE = 0xC0000000

EIO = 5
EBADF = 9
ENOMEM = 12
EACCES = 13
EFAULT = 14
EEXIST = 17
EINVAL = 22
ENOTBLK = 15
EINTR = 4

# The machine.
USER_PAGES = 3                                      # addresses in each mm
USER_ADDRESSES = (0x1000, 0x3000, 0x5000)           # never adjacent, so vmas do not merge
FILE_PAGES = 2

# Page flags, include/linux/page-flags.h.
PG_locked = 0
PG_error = 1
PG_referenced = 2
PG_uptodate = 3
PG_dirty = 4
PG_lru = 5
PG_active = 6
PG_checked = 9
PG_arch_1 = 10
PG_reserved = 11
PG_private = 12
PG_writeback = 13
PG_mappedtodisk = 17
PG_reclaim = 18

# Buffer state, include/linux/buffer_head.h.
BH_Uptodate = 0
BH_Dirty = 1
BH_Lock = 2
BH_Req = 3
BH_Uptodate_Lock = 4
BH_Mapped = 5
BH_New = 6
BH_Async_Read = 7
BH_Async_Write = 8
BH_Delay = 9
BH_Boundary = 10
BH_Write_EIO = 11
BH_Ordered = 12

# Tags of the radix tree.
PAGECACHE_TAG_DIRTY = 0
PAGECACHE_TAG_WRITEBACK = 1

# Allocation, include/linux/gfp.h.
__GFP_WAIT = 0x10
__GFP_IO = 0x40
__GFP_FS = 0x80
__GFP_HIGHMEM = 0x02
GFP_NOFS = __GFP_WAIT | __GFP_IO
GFP_KERNEL = __GFP_WAIT | __GFP_IO | __GFP_FS
GFP_HIGHUSER = GFP_KERNEL | __GFP_HIGHMEM

# Processes, include/linux/sched.h.
PF_MEMALLOC = 0x00000800
PF_MEMDIE = 0x00001000                              # TIF_MEMDIE, with the SIGKILL that goes with it
PF_SYNCWRITE = 0x00200000
CLONE_VM = 0x00000100

# vmas, include/linux/mm.h and asm/mman.h.
VM_READ = 0x00000001
VM_WRITE = 0x00000002
VM_EXEC = 0x00000004
VM_SHARED = 0x00000008
VM_MAYREAD = 0x00000010
VM_MAYWRITE = 0x00000020
VM_MAYEXEC = 0x00000040
VM_MAYSHARE = 0x00000080
VM_LOCKED = 0x00002000
VM_IO = 0x00004000
VM_NONLINEAR = 0x00800000
VM_RESERVED = 0x00080000
MAP_SHARED = 0x01
MAP_PRIVATE = 0x02
MAP_TYPE = 0x0f
MAP_FIXED = 0x10
MAP_ANONYMOUS = 0x20
MAP_DENYWRITE = 0x0800
MAP_EXECUTABLE = 0x1000
MADV_DONTNEED = 0x4
MREMAP_MAYMOVE = 0x1
MREMAP_FIXED = 0x2
MS_ASYNC = 0x1                                      # msync()
MS_INVALIDATE = 0x2
MS_SYNC = 0x4
PROT_READ = 0x1
PROT_WRITE = 0x2
PROT_EXEC = 0x4
PROT_SEM = 0x8
PAGE_READONLY = 0                                   # vm_page_prot, as far as it matters: may the pte be writable at once?
PAGE_SHARED = 1
# A pte is writable at once only in a mapping that is shared and may be written: VM_WRITE | VM_SHARED is 0xa.
protection_map = (PAGE_READONLY,) * 10 + (PAGE_SHARED,) * 2 + (PAGE_READONLY,) * 2 + (PAGE_SHARED,) * 2

FREE_PTE_NR = 506                                   # the pages of a struct mmu_gather

FOLL_WRITE = 0x01                                   # follow_page(): the pte must let one write
FOLL_TOUCH = 0x02                                   # mark the page accessed
FOLL_GET = 0x04                                     # take a reference to it

VM_FAULT_OOM = 0x00
VM_FAULT_SIGBUS = 0x01
VM_FAULT_MINOR = 0x02
VM_FAULT_MAJOR = 0x03
VM_FAULT_WRITE = 0x10
NOPAGE_SIGBUS = None
NOPAGE_OOM = -1

# Reclaim, mm/vmscan.c and include/linux/rmap.h.
SWAP_CLUSTER_MAX = 2                                # 32 in the kernel: see the module docstring
DEF_PRIORITY = 3                                    # 12
PAGEVEC_SIZE = 2                                    # 14
SWAP_SUCCESS = 0
SWAP_AGAIN = 1
SWAP_FAIL = 2
PAGE_KEEP = 0
PAGE_ACTIVATE = 1
PAGE_SUCCESS = 2
PAGE_CLEAN = 3
vm_swappiness = 60
total_memory = 8
total_swap_pages = 0
CLUSTER_SIZE = PAGE_SIZE                            # a vma is a page
CLUSTER_MASK = ~(CLUSTER_SIZE - 1)

# Writeback, include/linux/writeback.h.
WB_SYNC_NONE = 0
WB_SYNC_ALL = 1
I_DIRTY_PAGES = 4
I_LOCK = 8
READ_BIO = 0
WRITE_BIO = 1
WRITE_BARRIER = 5

# Requests, include/linux/bio.h and fs/direct-io.c.
BIO_UPTODATE = 0
BIO_RW = 0
BIO_MAX_PAGES = 256
DIO_PAGES = 64

THE_DEVICE = "the device"                           # holds PG_locked of a page that is being read
ext2_aops = "ext2_aops"
generic_file_vm_ops = "generic_file_vm_ops"

inode_lock = spinlock_t("inode_lock")


# ---- pages and buffers -----------------------------------------------------------------------------------------------

class frame(struct):
    """The contents of a page frame or a disk block. Only the functions of `hardware` access them, and each access of a word is a point."""
    word0 = plain(0)
    word1 = plain(0)


class buffer_head(struct):
    """buffer_head.h. One per page; whoever holds the page's lock makes it, try_to_free_buffers() takes it away."""
    # atomic
    b_count = embed(atomic_t, 0)
    b_state = embed(flags_t)
    b_wait = embed(wait_queue_head_t)
    # the buffer's lock, or whoever makes it
    b_bdev = plain(None)
    b_blocknr = plain(-1)
    b_end_io = plain(None)
    # constant
    b_size = plain(PAGE_SIZE)
    b_page = plain(None)


class anon_vma(struct):
    """The object that page->mapping of an anonymous page points to."""


class page(struct):
    """mm.h. `_count` is what page_count() returns, one more than the kernel's field; `_mapcount` is the kernel's, -1 if unmapped."""
    # atomic
    _count = embed(atomic_t, 0, refcount=True)
    _mapcount = embed(atomic_t, -1)
    flags = embed(flags_t)
    # zone->lru_lock while PG_lru is set, zone->lock while it is free, else whoever has isolated it
    lru = embed(list_head)
    # written under the page lock and mapping->tree_lock; of anonymous pages under the page table lock, or by who frees it
    mapping = racy(None)
    index = racy(0)
    # page lock and mapping->private_lock; read under either one
    private = racy(None, ".flags#PG_locked")
    # hardware
    data = embed(frame)
    # of the model, for an invariant: who holds PG_locked, and whether anybody else has ever given it back
    locker = plain(None)
    locked_in = plain("")                                   # the function that has slept for the lock: ../wait.py sets it for cow_swap_2_6
    unlocked_by_other = plain(0)
    wait_locked = embed(wait_queue_head_t)                  # page_waitqueue(page), for this bit
    wait_writeback = embed(wait_queue_head_t)
    bh = embed(buffer_head)                                 # what the slab has for this page


class pagevec(struct):
    """pagevec.h. The per-cpu ones of mm/swap.c: their own cpu's, and not from interrupts."""
    pages = plain(())


class zone(struct):
    """mmzone.h, with order 0 only: free_list stands for free_area[0].free_list."""
    # lock
    lock = embed(spinlock_t)
    free_list = embed(list_head, guard=".lock", freelist=True, type_stable=True)
    free_pages = racy(0, ".lock")                           # read without it by zone_watermark_ok
    # lru_lock
    lru_lock = embed(spinlock_t)
    active_list = embed(list_head, guard=".lru_lock")
    inactive_list = embed(list_head, guard=".lru_lock")
    nr_active = racy(0, ".lru_lock")                        # read without it by shrink_zone
    nr_inactive = racy(0, ".lru_lock")
    # no lock at all
    nr_scan_active = racy(0)
    nr_scan_inactive = racy(0)
    temp_priority = racy(DEF_PRIORITY)
    prev_priority = racy(DEF_PRIORITY)
    # constant
    pages_min = plain(1)
    pages_low = plain(2)
    pages_high = plain(3)


class disk(struct):
    """A block device, block size == page size."""
    block0 = embed(frame)
    block1 = embed(frame)


# ---- files -----------------------------------------------------------------------------------------------------------

class address_space(struct):
    """fs.h."""
    # tree_lock
    tree_lock = embed(rwlock_t)
    page_tree = embed(guarded_array, FILE_PAGES, None, ".tree_lock")
    tag_dirty = embed(guarded_array, FILE_PAGES, 0, ".tree_lock")
    tag_writeback = embed(guarded_array, FILE_PAGES, 0, ".tree_lock")
    nrpages = racy(0, ".tree_lock")                         # read without it
    # i_mmap_lock
    i_mmap_lock = embed(spinlock_t)
    i_mmap = embed(list_head, guard=".i_mmap_lock")
    i_mmap_nonlinear = embed(list_head, guard=".i_mmap_lock")
    nr_mmap = racy(0, ".i_mmap_lock")                       # how many vmas are on i_mmap: mapping_mapped() asks whether it is empty
    nr_mmap_nonlinear = racy(0, ".i_mmap_lock")             # and on i_mmap_nonlinear
    truncate_count = racy(0, ".i_mmap_lock")                # read without it by do_no_page
    # guards the buffers of its pages
    private_lock = embed(spinlock_t)
    # no lock
    writeback_index = racy(0)
    # constant
    a_ops = plain(ext2_aops)
    host = plain(None)


class inode(struct):
    """fs.h. i_mapping is the inode's own i_data."""
    i_mapping = embed(address_space)
    # i_sem; read without it
    i_sem = embed(semaphore)
    i_alloc_sem = embed(rw_semaphore)                       # under i_sem: direct I/O against truncate
    i_size = racy(FILE_PAGES * PAGE_SIZE)
    # inode_lock; read without it
    i_state = racy(0, "inode_lock")
    # ext2's own locks: which blocks are allocated
    i_block = embed(racy_array, FILE_PAGES, 1)
    # constant
    i_bdev = plain(None)


class file(struct):
    f_mapping = plain(None)


# ---- address spaces --------------------------------------------------------------------------------------------------

class pte_slot(struct):
    """One entry of a page table: None (pte_none), an int (pte_file: an offset), or (page, write, dirty, young).

    The cpu's MMU sets young and dirty without a lock (see hardware).
    """
    val = device(None, ".struct.page_table_lock")


class vm_area_struct(struct):
    """mm.h. A vma of this family is one page and never changes its extent."""
    # mmap_sem
    vm_mm = plain(None)
    vm_start = plain(0)
    vm_end = plain(0)
    vm_page_prot = plain(0)
    vm_flags = plain(0)
    vm_ops = plain(None)
    vm_pgoff = plain(0)
    vm_file = plain(None)
    # mmap_sem; a truncation follows it without
    vm_next = racy(None, ".vm_mm.mmap_sem")
    # page_table_lock and mmap_sem; read under mmap_sem
    anon_vma = racy(0, ".vm_mm.page_table_lock")
    # i_mmap_lock of the file's mapping
    shared = embed(list_head)
    vm_truncate_count = guarded(0, ".vm_file.f_mapping.i_mmap_lock")
    vm_private_data = racy(0, ".vm_file.f_mapping.i_mmap_lock")         # the cursor of try_to_unmap_cluster(); mremap() copies it
    # the slab's
    lives_while = "in_use"
    in_use = plain(0)


class mm_struct(struct):
    """sched.h. `struct` of an embedded pte slot or vma is its mm."""
    # atomic
    mm_users = embed(atomic_t, 0, refcount=True)
    mmap_sem = embed(rw_semaphore)
    # page_table_lock
    page_table_lock = embed(spinlock_t)
    pte0 = embed(pte_slot)
    pte1 = embed(pte_slot)
    pte2 = embed(pte_slot)
    file_rss = guarded(0, ".page_table_lock")
    anon_rss = guarded(0, ".page_table_lock")
    # mmap_sem; the last user needs none
    mmap = plain(None)
    map_count = plain(0)
    # the slab's: the vmas this mm can have, one per address
    vma0 = embed(vm_area_struct)
    vma1 = embed(vm_area_struct)
    vma2 = embed(vm_area_struct)
    lives_while = "in_use"
    in_use = plain(0)


# ---- what the kernel keeps on its stack --------------------------------------------------------------------------------

class mmu_gather(struct):
    """asm-generic/tlb.h. Per cpu, with preemption off; here each task has its own."""
    mm = plain(None)
    nr = plain(0)
    need_flush = plain(0)
    fullmm = plain(0)
    pages = plain(())


class zap_details(struct):
    """mm.h."""
    nonlinear_vma = plain(None)
    check_mapping = plain(None)
    first_index = plain(0)
    last_index = plain(0)
    i_mmap_lock = plain(None)
    truncate_count = plain(0)


class scan_control(struct):
    """mm/vmscan.c."""
    nr_to_scan = plain(0)
    nr_scanned = plain(0)
    nr_reclaimed = plain(0)
    nr_to_reclaim = plain(0)
    nr_mapped = plain(0)
    priority = plain(DEF_PRIORITY)
    gfp_mask = plain(GFP_KERNEL)
    swap_cluster_max = plain(SWAP_CLUSTER_MAX)


class writeback_control(struct):
    """writeback.h."""
    sync_mode = plain(WB_SYNC_NONE)
    nr_to_write = plain(0)
    nonblocking = plain(0)
    for_reclaim = plain(0)
    start = plain(0)
    end = plain(0)


class user_buffer(struct):
    """The buffer that write(2) copies from, or that a direct read fills: a page of the process at `address` or, without one, memory that
    is always present, and that no other task accesses. It holds `value` in both words for a write; `data` is for a read."""
    address = plain(None)
    value = plain(0)
    data = embed(frame)
    # data of the model, for the loads and stores that user space saw
    where = plain(None)                                     # the address as a program names it, and what it shows
    copied = plain(())                                      # each word loaded from there: word, value, step
    moved = plain(())                                       # each word that a device moved from or to the page


class bio_vec(struct):
    """bio.h."""
    bv_page = plain(None)
    bv_len = plain(0)
    bv_offset = plain(0)


class bio(struct):
    """bio.h: a request of one page. It belongs to the task, from submit_bio() to the end of bi_end_io() to the device, and then again
    to the task. It has one reference."""
    bi_sector = plain(0)
    bi_bdev = plain(None)
    bi_flags = embed(flags_t)
    bi_rw = plain(0)
    bi_vcnt = plain(0)
    bi_phys_segments = plain(0)
    bi_hw_segments = plain(0)
    bi_size = plain(0)
    bi_io_vec = plain(())
    bi_end_io = plain(None)
    bi_private = plain(None)
    # the slab's
    vec = embed(bio_vec)
    lives_while = "in_use"
    in_use = plain(0)


class dio(struct):
    """fs/direct-io.c. The model leaves out the fields that are 0 in every request, and those of asynchronous I/O."""
    # bio_lock; nobody else knows of a new dio
    bio_lock = embed(spinlock_t)
    bio_count = racy(0, ".bio_lock")                        # read without it by dio_await_completion
    bios_in_flight = guarded(0, ".bio_lock")
    bio_list = guarded(None, ".bio_lock")
    waiter = guarded(None, ".bio_lock")
    # the task's own: submission
    bio = plain(None)
    inode = plain(None)
    rw = plain(0)
    i_size = plain(0)
    blkbits = plain(0)
    blkfactor = plain(0)
    start_zero_done = plain(0)
    pages_in_io = plain(0)
    size = plain(0)
    block_in_file = plain(0)
    blocks_available = plain(0)
    final_block_in_request = plain(0)
    first_block_in_page = plain(0)
    boundary = plain(0)
    get_blocks = plain(None)
    final_block_in_bio = plain(0)
    next_block_for_io = plain(0)
    map_bh = embed(buffer_head)
    # the page that is not in the bio yet
    cur_page = plain(None)
    cur_page_offset = plain(0)
    cur_page_len = plain(0)
    cur_page_block = plain(0)
    # the user's pages
    buf = plain(None)                                       # of the model: the iovec
    curr_page = plain(0)
    total_pages = plain(0)
    curr_user_address = plain(0)
    pages = plain(())
    head = plain(0)
    tail = plain(0)
    page_errors = plain(0)
    result = plain(0)
    # the slab's
    lives_while = "in_use"
    in_use = plain(0)


class task_struct(struct):
    """sched.h. Every field belongs to the task itself."""
    flags = plain(0)
    mm = plain(None)
    free_when_killed = plain(0)                             # of the model: 0, since the kernel looks before out_of_memory()
    preempt_count = plain(0)                                # kmap_atomic()'s part of it: what in_atomic() asks in a fault
    buf = embed(user_buffer)
    tlb = embed(mmu_gather)
    details = embed(zap_details)
    sc = embed(scan_control)
    page_list = embed(list_head, guard="")                  # shrink_cache()
    ret_pages = embed(list_head, guard="")                  # shrink_list()
    l_hold = embed(list_head, guard="")                     # refill_inactive_zone()
    l_inactive = embed(list_head, guard="")
    l_active = embed(list_head, guard="")
    page_pool = embed(list_head, guard="")                  # of __do_page_cache_readahead()
    wbc = embed(writeback_control)                          # what a writer wants
    pageout_wbc = embed(writeback_control)                  # what a reclaimer wants
    wait = embed(wait_queue_head_t)                         # wake_up_process() wakes the task through it
    # the slab's, for direct I/O
    dio = embed(dio)
    bio = embed(bio)


# ---- the machine's instances: what boot leaves behind ------------------------------------------------------------------

PAGE_MAPPING_ANON = anon_vma("anon_vma")
mem_map = [page(name) for name in "ABCDEFGH"]
zone_normal = zone("zone_normal", free_pages=8)
nr_mapped = atomic_t("nr_mapped")
swap_lock = spinlock_t("swap_lock")
lru_add_pvecs = [pagevec("lru_add_pvec" + digit) for digit in "01234567"]
lru_add_active_pvecs = [pagevec("lru_add_active_pvec" + digit) for digit in "01234567"]

f0_disk = disk("f0_disk")
f1_disk = disk("f1_disk")
f0 = inode("f0", i_bdev=f0_disk)
f1 = inode("f1", i_bdev=f1_disk)
f0.i_mapping.host = f0
f1.i_mapping.host = f1
f0_file = file("f0.file", f_mapping=f0.i_mapping)
f1_file = file("f1.file", f_mapping=f1.i_mapping)

m0 = mm_struct("m0")
m1 = mm_struct("m1")
m2 = mm_struct("m2")
m3 = mm_struct("m3")

# The zero page is part of the kernel's image: mapped and unmapped like any other, never freed.
empty_zero_page = page("ZERO")
set_bit(PG_reserved, empty_zero_page.flags)
atomic_set(empty_zero_page._count, 1)

[list_add_tail(free.lru, zone_normal.free_list) for free in mem_map]
[setattr(each.bh, "b_page", each) for each in mem_map]
