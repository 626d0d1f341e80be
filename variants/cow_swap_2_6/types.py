# SPDX-License-Identifier: GPL-2.0-only
"""The data of the family: constants, structs with the lock discipline of each field, and every global of the kernel.

The machine has eight page frames, A to H, and the zero page; four mms of three user pages each; and two swap areas, of which one
is in use at boot. Linking this module is the boot: it writes what start_kernel() and the first swapon leave behind as initial values.

The tree is 2.6.26, of 13 Jul 2008, for x86-64 with CONFIG_SMP, CONFIG_SWAP, CONFIG_MIGRATION and CONFIG_DEBUG_VM, and without
CONFIG_CGROUP_MEM_RES_CTLR. Each function was compared with it event by event; c_source.toml has the equivalences, and names the
functions that the model has written anew. The number in BUG() and BUG_ON() is the line in that tree.

Constants scaled down with the machine (everything else is the kernel's own number):
 * PAGEVEC_SIZE 2, not 14: of eight pages a pagevec of 14 would never be full, and each cpu could keep them all.
 * pages_min 1, pages_low 2, pages_high 3: the least reserve that only a memory allocator can use, and the kernel's order.
 * SWAP_CLUSTER_MAX 2, not 32: a reclaim that has to free more pages than there are would always end in out_of_memory().
 * DEF_PRIORITY 3, not 12: the first pass scans one page in 2^3 of an eight-page zone, as it does one in 2^12 of a bigger one.
 * A swap area has at most four slots and a header: vm_swap_full() becomes true, and a slot is used again, without hundreds of pages.
   Below 256 free slots scan_swap_map() never looks for an empty cluster (SWAPFILE_CLUSTER keeps the kernel's number).
 * page_cluster 1, not 3: a swap-in reads the neighbour of its slot too. With 3 it would read the whole area.

Left out, and why that is sound or where it is a limit:
 * Files, shmem, hugetlb, nonlinear mappings: no page here is shared with a file. A page with a mapping is therefore anonymous. A limit:
   in try_to_unuse(), shmem_unuse() of init_mm finds nothing.
 * Memory control groups: compiled out. Otherwise only their failure paths act on pages. cpuset, mempolicy and delay accounting act on
   no shared state.
 * The swap token (mm/thrash.c): a kernel in which no task holds it is a legal one. A limit: fewer pages count as referenced.
 * Swap extents, the file of an area, hibernation, the header that swapon parses: an area is its slots, its map and its counters.
 * Plugging: a request reaches the disk when it is submitted. swap_unplug_io_fn() stays as the accesses that a waiting task makes.
 * I/O errors (a limit): no read fails, so a page read in is always uptodate, and no fault ends in SIGBUS for that reason.
 * Page directories: a page table is one pte slot for each address. mm->page_table_lock is the lock of all ptes of an mm, as it is
   with fewer than CONFIG_SPLIT_PTLOCK_CPUS cpus; with one page-table page for each mm, the lock of that page would exclude the same tasks.
 * TLB contents: see variants/mmu.py (a limit: the order of the copy in do_wp_page() and the batches of a zap exist for the TLB). The
   pages of a zap are freed after the flush, or at once if the machine has one cpu.
 * PROT_NONE (a limit): a pte under it stays present on x86, and the page tables change as they do under PROT_READ.
 * mlock, KSM, transparent huge pages, mmu notifiers, the zero page in page tables (2.6.26 has none there), vmsplice with GIFT.
 * SWAP_MAP_MAX is not reached: four mms of three pages have at most twelve references.
 * Per-cpu lists of free pages (a limit): a page is free for all at once. Buddy orders, zones, nodes: every allocation is one page.
 * lru_add_drain_all() before a migration empties the pagevecs of its own cpu (a limit): with CONFIG_NUMA, a worker on each cpu does.
 * Preemption is on between tlb_gather_mmu() and tlb_finish_mmu(), where the kernel has it off (a limit): another task of the same cpu
   may run between a zap and the release of its pages. On another cpu it may do so in the kernel, too.
 * The shape of trees: the radix tree is an array and has room for each entry, so radix_tree_preload() does not fail. mm_rb is a chain,
   and find_vma()'s cache of its last answer is left out: it is checked against the address, so the answer is the same.
 * The hash of page wait queues: a queue for each page and bit. Wake-ups are keyed by page and bit, so they wake the same tasks.
 * kswapd as a task: an operation does what kswapd does when it is woken. sysctl_oom_kill_allocating_task is 1, so the OOM killer kills the
   task that asks for memory. A limit: if it has a child with an mm of its own, the kernel kills the child instead.
 * nr_swap_pages and the like are read and written whole; zone counters are one for all cpus.
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
ULONG_MAX = 0xFFFFFFFF
TASK_SIZE = 0xC0000000

EPERM = 1
ENOENT = 2
EINTR = 4
EIO = 5
EAGAIN = 11
ENOMEM = 12
EACCES = 13
EFAULT = 14
EBUSY = 16
EEXIST = 17
EINVAL = 22

# The machine.
USER_PAGES = 3                                      # addresses in each mm
USER_ADDRESSES = (0x1000, 0x3000, 0x5000)           # never adjacent, so vmas do not merge
FILE_PAGES = 2                                      # of the operations on files, which this family lacks
MAX_AREAS = 2                                       # swap areas that the machine can have
SWAP_SLOTS = 5                                      # slots of the largest area, the header included
SWAP_SLOTS_AT_BOOT = 3                              # pages of the area in use at boot

# Page flags, include/linux/page-flags.h.
PG_locked = 0
PG_error = 1
PG_referenced = 2
PG_uptodate = 3
PG_dirty = 4
PG_lru = 5
PG_active = 6
PG_slab = 7
PG_owner_priv_1 = 8
PG_arch_1 = 9
PG_reserved = 10
PG_private = 11
PG_writeback = 12
PG_swapcache = 15
PG_mappedtodisk = 16
PG_reclaim = 17
PG_buddy = 18

# Allocation, include/linux/gfp.h.
__GFP_HIGHMEM = 0x02
__GFP_WAIT = 0x10
__GFP_HIGH = 0x20
__GFP_IO = 0x40
__GFP_FS = 0x80
__GFP_NOWARN = 0x200
__GFP_NORETRY = 0x1000
__GFP_ZERO = 0x8000
__GFP_NOMEMALLOC = 0x10000
__GFP_THISNODE = 0x40000
__GFP_MOVABLE = 0x100000
GFP_ATOMIC = __GFP_HIGH
GFP_NOIO = __GFP_WAIT
GFP_NOFS = __GFP_WAIT | __GFP_IO
GFP_KERNEL = __GFP_WAIT | __GFP_IO | __GFP_FS
GFP_HIGHUSER = GFP_KERNEL | __GFP_HIGHMEM           # __GFP_HARDWALL is of cpusets
GFP_HIGHUSER_MOVABLE = GFP_HIGHUSER | __GFP_MOVABLE
GFP_THISNODE = __GFP_THISNODE | __GFP_NOWARN | __GFP_NORETRY

# Processes, include/linux/sched.h.
MIGRATE_MOVABLE = 2                                 # page->private of a page that is being freed
PF_EXITING = 0x00000004
PF_MEMALLOC = 0x00000800
PF_MEMDIE = 0x00001000                              # TIF_MEMDIE, with the SIGKILL that goes with it
PF_KSWAPD = 0x00040000
PF_SWAPOFF = 0x00080000
PF_SWAPWRITE = 0x00800000
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
VM_DONTCOPY = 0x00020000
VM_RESERVED = 0x00080000
MAP_SHARED = 0x01
MAP_PRIVATE = 0x02
MAP_FIXED = 0x10
MAP_ANONYMOUS = 0x20
MADV_DONTNEED = 4
MADV_DONTFORK = 10
MADV_DOFORK = 11
PROT_READ = 0x1
PROT_WRITE = 0x2
PROT_EXEC = 0x4
PROT_SEM = 0x8
PAGE_READONLY = 0                                   # vm_page_prot, as far as it matters: may the pte be writable at once?
PAGE_COPY = PAGE_READONLY
PAGE_SHARED = 1
# A pte is writable at once only in a mapping that is shared and may be written: VM_WRITE | VM_SHARED is 0xa.
protection_map = (PAGE_READONLY,) * 10 + (PAGE_SHARED,) * 2 + (PAGE_READONLY,) * 2 + (PAGE_SHARED,) * 2

FOLL_WRITE = 0x01                                   # follow_page(): the pte must be writable
FOLL_TOUCH = 0x02                                   # mark the page accessed
FOLL_GET = 0x04                                     # take a reference to it
FOLL_ANON = 0x08                                    # return the zero page if no page table maps the address

# Bits: a fault returns them or'ed.
VM_FAULT_MINOR = 0
VM_FAULT_OOM = 0x0001
VM_FAULT_SIGBUS = 0x0002
VM_FAULT_MAJOR = 0x0004
VM_FAULT_WRITE = 0x0008
VM_FAULT_ERROR = VM_FAULT_OOM | VM_FAULT_SIGBUS

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
PAGEOUT_IO_ASYNC = 0
PAGEOUT_IO_SYNC = 1
ISOLATE_INACTIVE = 0
ISOLATE_ACTIVE = 1
ISOLATE_BOTH = 2
vm_swappiness = 100                                 # 60 by default; at 100, a legal sysctl, calc_reclaim_mapped() is always 1
vm_total_pages = 8
PAGE_ALLOC_COSTLY_ORDER = 3
MAX_NUMNODES = 1 << 6

# Swap, include/linux/swap.h and mm/swapfile.c.
page_cluster = 1                                    # 3 in the kernel: see the module docstring
SWAPFILE_CLUSTER = 256
LATENCY_LIMIT = 256
MAX_SWAPFILES_SHIFT = 5
MAX_SWAPFILES = (1 << MAX_SWAPFILES_SHIFT) - 2
SWP_MIGRATION_READ = MAX_SWAPFILES
SWP_MIGRATION_WRITE = MAX_SWAPFILES + 1
SWP_TYPE_SHIFT = 32 - MAX_SWAPFILES_SHIFT           # an entry has the 32 bits of a 32-bit kernel: no offset here needs more
SWP_OFFSET_MASK = (1 << SWP_TYPE_SHIFT) - 1
SWP_USED = 1 << 0
SWP_WRITEOK = 1 << 1
SWP_ACTIVE = SWP_USED | SWP_WRITEOK
SWP_SCANNING = 1 << 8
SWAP_MAP_MAX = 0x7FFF
SWAP_MAP_BAD = 0x8000
Bad_file = "Bad swap file entry "
Unused_file = "Unused swap file entry "
Bad_offset = "Bad swap offset entry "
Unused_offset = "Unused swap offset entry "

# Tags of the radix tree.
PAGECACHE_TAG_DIRTY = 0
PAGECACHE_TAG_WRITEBACK = 1

# I/O, include/linux/fs.h and writeback.h.
READ_BIO = 0                                        # READ and WRITE of fs.h
WRITE_BIO = 1
BIO_RW_SYNC = 4
WB_SYNC_NONE = 0
WB_SYNC_ALL = 1
AOP_WRITEPAGE_ACTIVATE = 0x80000

THE_DEVICE = "the device"                           # holds PG_locked of a page that is being read

# ---- locks that are globals --------------------------------------------------------------------------------------------

swap_lock = spinlock_t("swap_lock")
mmlist_lock = spinlock_t("mmlist_lock")
zone_scan_mutex = spinlock_t("zone_scan_mutex")
swapon_mutex = semaphore("swapon_mutex")
swap_unplug_sem = rw_semaphore("swap_unplug_sem")   # a swapoff against the unplugging of its device


# ---- pages -----------------------------------------------------------------------------------------------------------

class frame(struct):
    """The contents of a page frame or a swap slot. Only the functions of `mmu` and `hardware` access them, each word at a point."""
    word0 = plain(0)
    word1 = plain(0)


class page(struct):
    """mm.h. `_mapcount` is -1 if unmapped, as in the kernel. `mapping` is the anon_vma itself: PAGE_MAPPING_ANON is not added to it."""
    # atomic
    _count = embed(atomic_t, 0, refcount=True)
    _mapcount = embed(atomic_t, -1)
    flags = embed(flags_t)
    # zone->lru_lock while PG_lru is set, zone->lock while it is free, else the task that has isolated it
    lru = embed(list_head)
    # the first mapping of a page, under the lock of its pte and PG_locked unless the page is new; the task that frees it; migration
    mapping = racy(None)
    index = racy(0)
    # the swap entry while PG_swapcache is set: PG_locked and swapper_space.tree_lock, except in migration (PG_locked alone) and in the
    # patches; the allocator and the task that frees the page too; read without any lock by swap_unplug_io_fn()
    private = racy(0)
    # hardware
    data = embed(frame)
    # of the model, for an invariant: the task that holds PG_locked, the function that has acquired it, and whether another task has ever
    # released it
    locker = plain(None)
    locked_in = plain("")
    unlocked_by_other = plain(0)
    wait_locked = embed(wait_queue_head_t)                  # page_waitqueue(page), for this bit
    wait_writeback = embed(wait_queue_head_t)
    pfn = plain(0)                                          # constant


class pagevec(struct):
    """pagevec.h. The per-cpu ones of mm/swap.c belong to their own cpu; interrupts use lru_rotate_pvecs only."""
    pages = plain(())


class zone(struct):
    """mmzone.h, with order 0 only: free_list stands for free_area[0].free_list."""
    # lock
    lock = embed(spinlock_t)
    free_list = embed(list_head, guard=".lock", freelist=True, type_stable=True)
    free_pages = racy(0, ".lock")                           # NR_FREE_PAGES; read without it by zone_watermark_ok()
    # lru_lock
    lru_lock = embed(spinlock_t)
    active_list = embed(list_head, guard=".lru_lock")
    inactive_list = embed(list_head, guard=".lru_lock")
    nr_active = racy(0, ".lru_lock")                        # NR_ACTIVE and NR_INACTIVE; read without it by shrink_zone()
    nr_inactive = racy(0, ".lru_lock")
    # zone_scan_mutex
    oom_locked = guarded(0, "zone_scan_mutex")              # ZONE_OOM_LOCKED
    # no lock at all
    nr_scan_active = racy(0)
    nr_scan_inactive = racy(0)
    prev_priority = racy(DEF_PRIORITY)
    pages_scanned = racy(0)
    # constant
    pages_min = plain(1)
    pages_low = plain(2)
    pages_high = plain(3)


# ---- swap ------------------------------------------------------------------------------------------------------------

class disk(struct):
    """The block device of a swap area, with a frame for each slot. Slot 0 is the header."""
    slot1 = embed(frame)
    slot2 = embed(frame)
    slot3 = embed(frame)
    slot4 = embed(frame)
    # data of the model, for an invariant: the slots with a request under way, and whether two requests for one slot overlapped
    busy = plain(())
    overlapped = plain(0)


class radix_tree_root(struct):
    """radix-tree.h: an array with one place for each swap entry (see radix_index()), and one for each of its tags."""
    slots = embed(guarded_array, MAX_AREAS * SWAP_SLOTS, None, ".struct.tree_lock")
    tag_dirty = embed(guarded_array, MAX_AREAS * SWAP_SLOTS, 0, ".struct.tree_lock")
    tag_writeback = embed(guarded_array, MAX_AREAS * SWAP_SLOTS, 0, ".struct.tree_lock")


class address_space(struct):
    """fs.h: swapper_space is the only one."""
    tree_lock = embed(rwlock_t)
    page_tree = embed(radix_tree_root)
    nrpages = racy(0, ".tree_lock")                         # total_swapcache_pages


class swap_info_struct(struct):
    """swap.h. swap_map points to the array that vmalloc() has for this area. It is NULL before swapon and after swapoff."""
    # swap_lock; read without it by swap_info_get(), scan_swap_map(), try_to_unuse()
    flags = racy(0, "swap_lock")
    swap_map = racy(None, "swap_lock")
    vmalloced = embed(racy_array, SWAP_SLOTS, 0, "swap_lock")
    max = racy(0, "swap_lock")
    highest_bit = racy(0, "swap_lock")
    # swap_lock
    lowest_bit = guarded(0, "swap_lock")
    cluster_next = guarded(0, "swap_lock")
    cluster_nr = guarded(0, "swap_lock")
    inuse_pages = guarded(0, "swap_lock")
    pages = guarded(0, "swap_lock")
    next = guarded(-1, "swap_lock")
    prio = guarded(0, "swap_lock")
    # constant while an entry of this area can exist
    bdev = plain(None)


class swap_list_t(struct):
    """swap.h."""
    head = guarded(0, "swap_lock")
    next = guarded(0, "swap_lock")


class vm_globals(struct):
    """The kernel's plain globals: mm/swapfile.c."""
    nr_swap_pages = racy(SWAP_SLOTS_AT_BOOT, "swap_lock")           # vm_swap_full() and shrink_active_list() read them without it
    total_swap_pages = racy(SWAP_SLOTS_AT_BOOT, "swap_lock")
    nr_swapfiles = racy(1, "swap_lock")                             # readers ask for a type in use
    swap_overflow = plain(0)                                        # messages about a full count, of which there is none
    least_priority = guarded(-1, "swap_lock")
    migrated = plain(0)                                             # of the model, for an invariant: 1 if migration has unmapped pages


# ---- address spaces --------------------------------------------------------------------------------------------------

class anon_vma(struct):
    """rmap.h. From a slab that is SLAB_DESTROY_BY_RCU: a free one keeps its type, and its lock may be held then."""
    lock = embed(spinlock_t)
    head = embed(list_head, guard="")
    in_use = plain(0)                                       # the slab's


class pte_slot(struct):
    """One entry of a page table: None (pte_none), an int (a swap entry or a migration entry), or (page, write, dirty, young).

    The cpu's MMU sets young and dirty without a lock (see mmu). The lock of the pte is mm->page_table_lock.
    """
    val = device(None, ".struct.page_table_lock")
    # of the model, for titles: the function that has mapped its page, the page that it has mapped last, and (page, function) of each page
    # that was copied here: the function that had the lock when do_wp_page() tried it, or ""
    set_in = plain("")
    last_page = plain(None)
    copied = plain(())


class vm_area_struct(struct):
    """mm.h. A vma of this family is one page, private and anonymous, and never changes its extent."""
    # mmap_sem; rmap reads them under the anon_vma's lock only
    vm_mm = plain(None)
    vm_start = plain(0)
    vm_end = plain(0)
    vm_page_prot = plain(0)
    vm_flags = plain(0)
    vm_pgoff = plain(0)
    vm_next = plain(None)
    # page_table_lock and mmap_sem; read under mmap_sem
    anon_vma = racy(None, ".vm_mm.page_table_lock")
    # anon_vma->lock
    anon_vma_node = embed(list_head)
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
    anon_rss = guarded(0, ".page_table_lock")
    # mmlist_lock; mmlist_empty() asks without it
    mmlist = embed(list_head, guard="mmlist_lock")          # every mm's entry is a head, as a fork links the child behind its parent's
    # mmap_sem; the last user needs none
    mmap = plain(None)
    map_count = plain(0)
    # the slab's: the vmas this mm can have, one for each address
    vma0 = embed(vm_area_struct)
    vma1 = embed(vm_area_struct)
    vma2 = embed(vm_area_struct)
    lives_while = "in_use"
    in_use = plain(0)


# ---- what the kernel keeps on its stack --------------------------------------------------------------------------------

class mmu_gather(struct):
    """asm-generic/tlb.h. Per cpu, with preemption off; here each task has its own."""
    mm = plain(None)
    fullmm = plain(0)
    need_flush = plain(0)
    pages = plain(())


class scan_control(struct):
    """mm/vmscan.c."""
    nr_scanned = plain(0)
    gfp_mask = plain(GFP_KERNEL)
    may_writepage = plain(1)
    swap_cluster_max = plain(SWAP_CLUSTER_MAX)
    may_swap = plain(1)
    swappiness = plain(vm_swappiness)
    all_unreclaimable = plain(0)
    order = plain(0)


class writeback_control(struct):
    """writeback.h."""
    sync_mode = plain(WB_SYNC_NONE)
    nr_to_write = plain(0)
    nonblocking = plain(0)
    for_reclaim = plain(0)


class page_to_node(struct):
    """mm/migrate.c: an entry of the array of do_move_pages()."""
    addr = plain(0)
    page = plain(None)
    node = plain(0)                                         # the other node, or MAX_NUMNODES
    status = plain(0)


class task_struct(struct):
    """sched.h. Every field belongs to the task itself."""
    flags = plain(0)
    mm = plain(None)
    free_when_killed = plain(0)                             # of the model: 0, since the kernel looks before out_of_memory()
    preempt_count = plain(0)                                # what in_atomic() asks in a fault
    refused = plain("")                                     # of the model: the function that had the page lock when do_wp_page() tried it
    tlb = embed(mmu_gather)
    sc = embed(scan_control)
    pageout_wbc = embed(writeback_control)                  # what a reclaimer wants
    unuse_wbc = embed(writeback_control)                    # what try_to_unuse() wants
    page_list = embed(list_head, guard="")                  # shrink_inactive_list()
    ret_pages = embed(list_head, guard="")                  # shrink_page_list()
    l_hold = embed(list_head, guard="")                     # shrink_active_list()
    l_inactive = embed(list_head, guard="")
    l_active = embed(list_head, guard="")
    pagelist = embed(list_head, guard="")                   # do_move_pages()
    pm = embed(page_to_node)                                # sys_move_pages(): an array of one page
    pm_end = embed(page_to_node, node=MAX_NUMNODES)


# ---- the machine's instances: what boot leaves behind ------------------------------------------------------------------

init_mm = mm_struct("init_mm", in_use=1)
vm = vm_globals("vm")
mem_map = [page(name) for name in "ABCDEFGH"]
zone_normal = zone("zone_normal", free_pages=8)
lru_add_pvecs = [pagevec("lru_add_pvec" + digit) for digit in "01234567"]
lru_add_active_pvecs = [pagevec("lru_add_active_pvec" + digit) for digit in "01234567"]
lru_rotate_pvecs = [pagevec("lru_rotate_pvec" + digit) for digit in "01234567"]

swap_disks = [disk("swap0_disk"), disk("swap1_disk")]
swapper_space = address_space("swapper_space")
swap_list = swap_list_t("swap_list")
swap_info = [
    swap_info_struct("swap0", flags=SWP_ACTIVE, bdev=swap_disks[0], prio=-1, max=SWAP_SLOTS_AT_BOOT + 1, pages=SWAP_SLOTS_AT_BOOT,
                     lowest_bit=1, highest_bit=SWAP_SLOTS_AT_BOOT, cluster_next=1),
    swap_info_struct("swap1", bdev=swap_disks[1]),
    swap_info_struct("before_swap_info"),                   # the memory that swap_entry_free() reads while swap_list.next is -1
]
swap_info[0].swap_map = swap_info[0].vmalloced
swap_info[0].vmalloced.items[0] = SWAP_MAP_BAD

m0 = mm_struct("m0")
m1 = mm_struct("m1")
m2 = mm_struct("m2")
m3 = mm_struct("m3")

# The anon_vmas of an address: at most one for each mm that maps it, and one for each task that has lost the race to set it.
anon_vma_cachep = [[anon_vma(f"anon_vma{address}{letter}") for letter in "abcdefgh"] for address in range(USER_PAGES)]

# The zero page is part of the kernel's image: never freed. No page table maps it: get_user_pages() alone refers to it.
empty_zero_page = page("ZERO")
set_bit(PG_reserved, empty_zero_page.flags)
atomic_set(empty_zero_page._count, 1)
empty_zero_page.pfn = len(mem_map)

atomic_set(init_mm.mm_users, 2)
[setattr(each, "pfn", number) for number, each in enumerate(mem_map)]
[list_add_tail(free.lru, zone_normal.free_list) for free in mem_map]
