# SPDX-License-Identifier: GPL-2.0-only
"""User space, the same for every family: processes, what their addresses show, pins and files as their users know them.

This is linked in front of the operations of a family, which define what it declares extern: act_as(p) makes the current task a thread of
a process, exit_thread() ends that thread, map_page(page, flags, file, index) maps a page at a fixed address, for loads and stores. The
other externs are kernel functions and constants of the same name and meaning in each family.

Processes. m0 runs from boot with all its pages mapped anonymously. Single-threaded processes run the setup. At its end, each process
gets as many threads (CLONE_VM) as there are tasks that name its address space, and each of these tasks acts as one thread. `exit` is
exit_group: each thread exits at its next operation, and a thread whose task has ended exits at once. An address space is born once: a
fork into one that ever lived does nothing.

Order. Three things happen before an operation uses their result: the fork of its process, the call that made its pin and, if it exits
on behalf of threads whose tasks have ended, all that these did. In the kernel, wake_up_process(), the return from the system call and
each thread's own do_exit() order them; here the happens_before()s do.

Registers. A word of a file is one register, for read(2), write(2) and shared mappings alike. A word of any other page is a register of
its address space, and unmap stores "gone" in it. A private mapping of a file leaves open whether it shows later stores to the file
(mmap(2)), so its register is unknown until its process stores to it; a truncate makes it unknown again, because it takes copies away
as well. An access is to the register that the address showed before and after it, as the process knows from its own calls. If these
differ, or calls that change a shared mapping overlap, a load is not judged, and a store may have gone to each register in question.

Moves. mremap(2) gives the registers of the target the values of the source, if no other call was changing either of them. Else the
registers of the target are unknown.

Discards. madvise(MADV_DONTNEED) stores 0 in the register of memory, makes that of a private mapping unknown, and leaves a shared mapping
as it is. If other calls change the address meanwhile, the register may get the 0, and is unknown if a private mapping was among them.

Protection. mprotect(2) forbids stores from its beginning on. They are allowed again at the end of a call that allows them, if no call
that forbids them was in progress at its beginning or has begun since. A store is judged if it was allowed from its beginning to its end.

Pins. A pin for writing is coherent as long as the address shows what it showed when the pin was made: the device's store is then a
store to the register, and its load a load. A fork ends that for private memory. The first of the two processes to store to the page gets
a copy, so the pin may keep the page of either: a store by the device may appear in each of them, and a load through the pin is not
judged. A truncate or an invalidate ends it for a page of a file. Once the address has shown something else, no process may see what the
device stores. A pin for reading is of the page at that time, which a later store may replace: a load through it returns a value that
the register had at some time since. A write with O_DIRECT from memory pins it in the same way. Its loads are judged if the address shows
the same page until the write returns, and no fork overlaps it (the notes of open(2) forbid that for private memory).
"""
from vmrace.harness.kernel import READ, WRITE, current, happens_after, happens_before, now, plain, saw, struct, touches
from vmrace.variants.lru_free_2_4.ops import act_as, exit_thread, map_page
from vmrace.variants.lru_free_2_4.pre_patch.fork import copy_mm
from vmrace.variants.lru_free_2_4.pre_patch.hardware import user_load
from vmrace.variants.lru_free_2_4.pre_patch.mmap import sys_munmap
from vmrace.variants.lru_free_2_4.pre_patch.mprotect import sys_mprotect
from vmrace.variants.lru_free_2_4.types import (
    CLONE_VM,
    EIO,
    ENOMEM,
    FILE_PAGES,
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    PAGE_SIZE,
    PF_MEMALLOC,
    PF_MEMDIE,
    PROT_READ,
    PROT_WRITE,
    USER_ADDRESSES,
    m0,
    m1,
    m2,
    m3,
    zone_normal,
)


class process(struct):
    """The process of an address space. It is data of user space: its accesses are no points and need no lock."""
    mm = plain(None)
    threads_to_be = plain(1)            # tasks that name the address space
    born = plain(0)
    dying = plain(0)
    threads = plain(0)                  # threads that have not exited
    idle = plain(0)                     # those of them whose tasks have ended
    left = plain(())                    # tasks whose threads have exited
    forking = plain(())                 # children that forks in progress make


class mapped(struct):
    """What an address of a process shows, as the process knows it.

    `shows` is ("anon",), ("private", file, index), ("shared", file, index) or ("nothing",), a new object for each call that changes it;
    None if it is unknown which register it is. `era` changes whenever the register may change.
    """
    shows = plain(("nothing",))
    era = plain(0)
    changing = plain(0)                 # calls that are changing it
    discarding = plain(0)               # calls in progress that throw its page away and change nothing else (MADV_DONTNEED)
    privates = plain(0)                 # calls so far that may have mapped a file here privately
    overlapped = plain(0)               # 1 if such calls overlapped, and one of them was of a shared mapping, until none is left
    forbidden = plain(0)                # 1 from the beginning of a call that forbids stores to the end of a later one that allows them
    forbids = plain(0)                  # calls so far that forbid stores
    forbidding = plain(0)               # those in progress
    copied = plain(1)                   # 1 if a fork copies it, 0 if it does not (MADV_DONTFORK), None if that is unknown
    advice = plain(0)                   # the number of calls that have decided that
    advising = plain(0)                 # those of them that are in progress


class pinned(struct):
    """What a pin is of, as its user knows: the page of an address that showed `shows` when the pin was made."""
    where = plain((0, 0))               # the address space and the page
    shows = plain(None)                 # None if a call changed the address while the pin was made
    write = plain(0)
    since = plain(0)
    heirs = plain(())                   # processes forked from this address since
    moved = plain(())                   # addresses to which a process has moved the page, if it is no file's
    cuts = plain(0)                     # the file's, at that time


class file_use(struct):
    """The length of a file, as far as it is known. `cuts` counts the calls that drop its pages. `short[i]` is 1 while the file may end
    before its page i, and `shortened[i]` counts the truncates so far after which it may."""
    cuts = plain(0)
    truncates = plain(0)
    truncating = plain(0)               # truncates in progress
    short = plain((0,) * FILE_PAGES)
    shortened = plain((0,) * FILE_PAGES)


class boot_state(struct):
    """The state of the program: `threaded` is set at the end of the setup."""
    threaded = plain(0)


processes = [process("m0.process", mm=m0), process("m1.process", mm=m1), process("m2.process", mm=m2), process("m3.process", mm=m3)]
addresses = [[mapped("m0.0.mapped"), mapped("m0.1.mapped"), mapped("m0.2.mapped")],
             [mapped("m1.0.mapped"), mapped("m1.1.mapped"), mapped("m1.2.mapped")],
             [mapped("m2.0.mapped"), mapped("m2.1.mapped"), mapped("m2.2.mapped")],
             [mapped("m3.0.mapped"), mapped("m3.1.mapped"), mapped("m3.2.mapped")]]
pages_pinned = [pinned("k0.pinned"), pinned("k1.pinned"), pinned("k2.pinned"), pinned("k3.pinned")]
files_used = [file_use("f0.use"), file_use("f1.use"), file_use("s0.use")]
user = boot_state("user")

FILE_NAMES = ("f0", "f1", "s0")      # s0: a shared memory object, in the families that have one
FIRST_CONTENT = 1000                # the words of a file at boot: larger than any value that a program writes


# ---- processes ---------------------------------------------------------------------------------------------------------------


def boot_processes(threads):
    """Make the first process the current one. `threads[mm]` is the number of tasks that name each address space."""
    for number in range(len(processes)):
        processes[number].threads_to_be = threads[number]
    processes[0].born = 1
    processes[0].threads = 1
    for page in range(len(USER_ADDRESSES)):
        addresses[0][page].shows = ("anon",)


def start():
    """End the setup. A family that has more to do then has a start() of its own."""
    end_setup()


def end_setup():
    """Give every process its threads. The first step of the tasks is step 0, so that the setup's are below it."""
    user.threaded = 1
    for pin in pages_pinned:
        pin.since -= now() + 1
    for p in processes:
        if p.born and p.threads:
            p.threads = clone_threads(p)


def clone_threads(p):
    """Clone the threads of a process and return their number. No other task acts in the process meanwhile."""
    mm = current().mm
    for extra in range(p.threads_to_be - 1):
        current().mm = p.mm
        share_mm(p)
    current().mm = mm
    return p.threads_to_be


def enter(number):
    """Act as a thread of a process. Returns its mm, or None if the process, or this thread, does not exist or has exited."""
    p = processes[number]
    touches(READ, p)
    if not p.born or not p.threads or current() in p.left:
        return None
    if p.dying:
        leave_process(p)
        return None
    happens_after(p, "born")
    act_as(p)
    return p.mm


def leave_process(p):
    """Exit the thread of the current task."""
    touches(WRITE, p)
    p.left += (current(),)
    p.threads -= 1
    act_as(p)
    exit_thread()


def leave(task, mms):
    """End a task: its threads in the address spaces `mms` sleep from now on, or exit if their process is dying."""
    for number in mms:
        p = processes[number]
        touches(WRITE, p)
        if p.born and p.threads and current() not in p.left:
            if p.dying:
                leave_process(p)
            else:
                happens_before(p, "idle")
                p.idle += 1


def die(p):
    """Do exit_group() in the current thread: it exits, and so do the threads whose tasks have ended."""
    touches(WRITE, p)
    p.dying = 1
    leave_process(p)
    while user.threaded:
        touches(WRITE, p)
        if not p.idle:
            break
        happens_after(p, "idle")
        p.idle -= 1
        p.threads -= 1
        act_as(p)
        exit_thread()


def exit_all():
    """Exit every process."""
    for p in processes:
        while p.born and p.threads:
            p.threads -= 1
            act_as(p)
            exit_thread()


def share_mm(p):
    copy_mm(CLONE_VM, p.mm)


def copy_process(child):
    return copy_mm(0, child.mm)


def not_a_victim():
    """End an operation of a daemon, or of a task outside any process: the next one must not inherit its rights as a victim."""
    current().flags &= ~(PF_MEMALLOC | PF_MEMDIE)


def op_fork(number, child_number):
    child = processes[child_number]
    touches(READ, child)
    if child.born or child_number == number:
        return
    if enter(number) is None:
        return
    touches(WRITE, child)
    if child.born:
        return
    child.born = 1
    since = now()
    begun = begin_fork(number, child_number)
    error = copy_process(child)
    end_fork(number, child_number, begun, error)
    if error:
        return error
    saw("fork", number, None, child_number, since)
    threads = clone_threads(child) if user.threaded else 1
    touches(WRITE, child)
    child.threads = threads
    happens_before(child, "born")


def begin_fork(number, child_number):
    """Note that a process is being copied, and return for each address what it shows, if it allows stores, and if it is copied. Pins of
    memory that may be copied are not coherent from now on."""
    p = processes[number]
    touches(WRITE, p)
    p.forking += (child_number,)
    for pin in pages_pinned:
        touches(WRITE, pin)
        if (pin.where[0] == number or number in pin.heirs) and is_copied(number, pin.where[1])[0] != 0:
            pin.heirs += (child_number,)
        pin.moved += tuple((child_number, page) for owner, page in pin.moved if owner == number)
    return [(shows(number, page), allowed(number, page), is_copied(number, page)) for page in range(len(USER_ADDRESSES))]


def end_fork(number, child_number, begun, error):
    p = processes[number]
    touches(WRITE, p)
    p.forking = tuple(other for other in p.forking if other != child_number)
    for page, (shown, token, copied) in enumerate(begun):
        same = shown is not None and shows(number, page) is shown
        address = addresses[child_number][page]         # no task acts in the child yet
        address.shows = shown if same and not error else None
        address.privates = addresses[number][page].privates
        address.forbidden = int(not still_allowed(number, page, token))
        if copied != is_copied(number, page) or copied[0] is None:
            address.shows = None
        elif not copied[0]:
            address.shows = ("nothing",)
            saw_page("store", child_number, page, "gone", now())


def op_exit(number):
    if enter(number) is not None:
        die(processes[number])


# ---- what addresses show -------------------------------------------------------------------------------------------------------


def shows(number, page):
    address = addresses[number][page]
    touches(READ, address)
    return address.shows


def is_shared(shown):
    """True if the address shows the register of a file, or may do so."""
    return shown is None or shown[0] == "shared"


def begin_change(number, page, new):
    """Note that a call begins to change what an address shows, to `new`."""
    address = addresses[number][page]
    touches(WRITE, address)
    shared = is_shared(address.shows) or is_shared(new)
    if address.changing and shared:
        address.overlapped = 1
    address.changing += 1
    if new is None or new[0] == "private":
        address.privates += 1
    if shared:
        address.era += 1
        address.shows = None
    else:
        address.shows = (*new,)


def end_change(number, page, new):
    """Note that the call has returned; `new` is None if it failed. If calls overlapped, even the last does not know their order."""
    address = addresses[number][page]
    touches(WRITE, address)
    address.changing -= 1
    if address.overlapped or new is None:
        saw_page("unknown", number, page, "a load of an address that two calls mapped at once", now())
        if not address.changing:
            address.overlapped = 0
    else:
        if address.shows is None:
            address.era += 1
        address.shows = (*new,)                         # a new object, also for a constant


def begin_discard(number, page):
    """Note that a call begins to throw away the page of an address, and not what the address shows. The result is for the end of it."""
    address = addresses[number][page]
    touches(WRITE, address)
    address.discarding += 1
    private = address.privates and (address.changing or address.shows is None or address.shows[0] == "private")
    return access(number, page), address.privates if not private else None, now()


def end_discard(number, page, begun, error):
    """Note that the call has returned. Memory reads 0 from then on, a private mapping shows its file again, a shared one keeps its page.

    Another thread may have called mmap, mremap or munmap meanwhile, before or after the page was thrown away.
    """
    begun, privates, since = begun
    address = addresses[number][page]
    touches(WRITE, address)
    address.discarding -= 1
    if error:
        return
    shown = accessed(number, page, begun)
    if address.shows is not None and address.shows[0] != "shared":
        address.shows = (*address.shows,)               # a new object: pins of the old one are no longer coherent
    if address.privates != privates:
        saw_page("unknown", number, page, "a load of a private mapping of a file that its process has thrown away", since)
    elif shown is None:
        saw_page("may", number, page, 0, since)
    elif shown[0] != "shared":
        saw_page("store", number, page, 0, since)


def begin_move(number, page, target):
    """Note that a call begins to move what an address shows to another address of the process. The result is for the end of it."""
    source = addresses[number][page]
    touches(WRITE, source)
    shown = source.shows if not source.changing else None
    tokens = allowed(number, page), forbids(number, target)
    cuts = truncates(shown[1]) if shown is not None and shown[0] == "private" else None
    begin_change(number, page, ("nothing",))
    begin_change(number, target, None)
    return shown, source.shows, tokens, cuts


def end_move(number, page, target, begun, error, since):
    """Note that the call has returned. If it failed, it has unmapped the target and left the source as it was."""
    shown, mark, (source_token, target_token), cuts = begun
    source = addresses[number][page]
    touches(WRITE, source)
    alone = not source.overlapped and source.changing == 1 and source.shows is mark
    if error:
        kept = shown if source.shows is mark else source.shows
        end_change(number, page, kept)
        if alone:
            source.shows = kept                         # the same object: pins of it stay coherent
        end_change(number, target, ("nothing",))
        saw_page("store", number, target, "gone", since)
        return
    if not alone or shown == ("nothing",):
        shown = None                                    # another call has changed it before it was moved, or after
    end_change(number, page, ("nothing",))
    end_change(number, target, shown)
    for pin in pages_pinned:
        touches(WRITE, pin)
        if (number, page) in pin.moved or page == pin.where[1] and (number == pin.where[0] or number in pin.heirs):
            pin.moved += ((number, target),)
    if still_allowed(number, page, source_token):
        allow(number, target, target_token)
    else:
        begin_forbid(number, target)
        end_forbid(number, target)
    saw_page("store", number, page, "gone", since)
    if shown is None or shown[0] == "private" and truncates(shown[1]) != cuts:
        saw_page("unknown", number, target, "a load of memory that was moved while another call changed it", since)
    elif shown[0] != "shared":
        for word in (0, 1):
            saw("moved", number, (target, word), (page, word), since)


def begin_forbid(number, page):
    """Note that a call begins which forbids stores to an address."""
    address = addresses[number][page]
    touches(WRITE, address)
    address.forbidden = 1
    address.forbids += 1
    address.forbidding += 1


def end_forbid(number, page):
    touches(WRITE, addresses[number][page])
    addresses[number][page].forbidding -= 1


def is_copied(number, page):
    """Return (1 if a fork copies the page, 0 if it does not, None if that is unknown; the number of calls that have decided it)."""
    address = addresses[number][page]
    touches(READ, address)
    return address.copied, address.advice


def begin_advice(number, page):
    """Note that a call begins to decide whether a fork copies the page. Returns a token for its end."""
    address = addresses[number][page]
    touches(WRITE, address)
    alone = not address.advising
    address.copied = None
    address.advice += 1
    address.advising += 1
    return address.advice if alone else None


def end_advice(number, page, token, copied):
    """Note that the call has returned. If such calls overlapped, even the last does not know their order."""
    address = addresses[number][page]
    touches(WRITE, address)
    address.advising -= 1
    if address.advice == token and copied is not None:
        address.copied = copied


def forbids(number, page):
    """Return the number of calls so far that forbid stores to an address, or None if one is in progress."""
    address = addresses[number][page]
    touches(READ, address)
    return address.forbids if not address.forbidding else None


def allow(number, page, token):
    """Note that a call has returned which allows stores to an address. `token` is what forbids() returned at its beginning."""
    if token is not None and forbids(number, page) == token and addresses[number][page].forbidden:
        touches(WRITE, addresses[number][page])
        addresses[number][page].forbidden = 0


def allowed(number, page):
    """Return a token for still_allowed(), or None if a call may have forbidden stores to an address."""
    return forbids(number, page) if not addresses[number][page].forbidden else None


def still_allowed(number, page, token):
    """True if stores to an address have been allowed since allowed() returned `token`."""
    return token is not None and forbids(number, page) == token


def register(number, page, shown):
    """Return the register that an address shows: (address space or file, page of it)."""
    if shown[0] == "shared":
        return FILE_NAMES[shown[1]], shown[2]
    return number, page


def access(number, page):
    """Begin an access to an address; the result is for the end of it."""
    address = addresses[number][page]
    touches(READ, address)
    shown = address.shows
    length = long_enough(shown[1], shown[2]) if shown is not None and len(shown) == 3 else None
    return shown, address.era, length, allowed(number, page)


def accessed(number, page, begun):
    """Return what an address showed during an access: None if the access may have been to more than one register."""
    address = addresses[number][page]
    touches(READ, address)
    if begun[0] is None or address.shows is None or address.era != begun[1]:
        return None
    return address.shows


def shown_elsewhere(number, page, file, index):
    """True if an address other than this one may show the page of a file, shared."""
    for other in range(len(processes)):
        for place in range(len(USER_ADDRESSES)):
            shown = shows(other, place)
            if (other, place) != (number, page) and (shown is None or shown == ("shared", file, index)):
                return 1
    return 0


def saw_page(what, who, page, value, since):
    saw(what, who, (page, 0), value, since)
    saw(what, who, (page, 1), value, since)


def saw_file(what, file, value, since):
    for index in range(FILE_PAGES):
        saw_page(what, FILE_NAMES[file], index, value, since)


def saw_load(number, page, begun, word, value, since):
    """Record a load that a process has made."""
    shown = accessed(number, page, begun)
    if shown is not None:
        who, index = register(number, page, shown)
        saw("load", who, (index, word), value, since)


def saw_store(number, page, begun, word, value, since):
    """Record a store that a process has made. If it is unknown to which register, it may be each of them."""
    shown = accessed(number, page, begun)
    if shown is None:
        may_be_stored(number, page, word, value, since)
    else:
        who, index = register(number, page, shown)
        saw("mapped store" if shown[0] == "shared" else "store", who, (index, word), value, since)


def may_be_stored(number, page, word, value, since):
    saw("may", number, (page, word), value, since)
    for name in FILE_NAMES:
        for index in range(FILE_PAGES):
            saw("may", name, (index, word), value, since)


def saw_rewrite(number, page, begun, since):
    """Record that the page of a file which an address showed may be dirty now, although nobody has stored to it."""
    shown = accessed(number, page, begun)
    if shown is not None and shown[0] == "shared":
        saw_page("rewrite", FILE_NAMES[shown[1]], shown[2], 0, since)
    elif shown is None:
        for file in range(len(FILE_NAMES)):
            saw_file("rewrite", file, 0, since)


def memory_free():
    """True while more pages are free than kswapd works for. From 2.6.11 on the kernel asks the same before it kills."""
    touches(READ, zone_normal, "free_pages")
    return zone_normal._free_pages > zone_normal.pages_high


def killed_without_need():
    """True if memory was free when the kernel decided to kill the current task. Memory that was freed between the decision and the signal
    does not count: the kernel could not know of it."""
    if current().flags & PF_MEMDIE:
        return current().free_when_killed
    return memory_free()


def killed(number, page, begun, signal, what):
    """Handle the signal of a fault in an access to an address. SIGKILL, out of memory, ends the process. It catches other signals,
    and gives up the access."""
    if signal == "SIGKILL":
        if killed_without_need():
            saw("failed", number, None, f"SIGKILL in {what}, memory is free", now())
        die(processes[number])
        return
    shown = accessed(number, page, begun)
    if shown is None or shown is not begun[0] or addresses[number][page].changing:
        return
    if signal == "SIGBUS" and shown[0] != "nothing" and (len(shown) != 3 or still_long_enough(shown[1], shown[2], begun[2])):
        saw("failed", number, None, f"SIGBUS in {what}, the page exists", now())
    if signal == "SIGSEGV" and shown[0] != "nothing" and (what != "store" or still_allowed(number, page, begun[3])):
        saw("failed", number, None, f"SIGSEGV in {what}, the page is mapped", now())


# ---- memory ------------------------------------------------------------------------------------------------------------------


def map_program():
    """Map all pages of an address space, which is empty."""
    for page in range(len(USER_ADDRESSES)):
        map_page(page, MAP_PRIVATE | MAP_ANONYMOUS, None, 0)


def op_map(number, page):
    if enter(number) is None:
        return
    since = now()
    stores, copies = forbids(number, page), begin_advice(number, page)
    begin_change(number, page, ("anon",))
    address = map_page(page, MAP_PRIVATE | MAP_ANONYMOUS, None, 0)
    end_change(number, page, ("anon",))
    end_advice(number, page, copies, 1)
    allow(number, page, stores)
    saw_page("store", number, page, 0, since)
    return error_of(address)


def op_unmap(number, page):
    if enter(number) is None:
        return
    since = now()
    begin_change(number, page, ("nothing",))
    error = sys_munmap(USER_ADDRESSES[page], PAGE_SIZE)
    end_change(number, page, ("nothing",))
    saw_page("store", number, page, "gone", since)
    return error


def op_protect(number, page):
    if enter(number) is None:
        return
    begin_forbid(number, page)
    error = sys_mprotect(USER_ADDRESSES[page], PAGE_SIZE, PROT_READ)
    end_forbid(number, page)
    return error


def op_unprotect(number, page):
    if enter(number) is None:
        return
    token = forbids(number, page)
    error = sys_mprotect(USER_ADDRESSES[page], PAGE_SIZE, PROT_READ | PROT_WRITE)
    if not error:
        allow(number, page, token)
    return error


def op_load(number, page):
    if enter(number) is None:
        return
    begun = access(number, page)
    for word in (0, 1):
        since = now()
        value, signal = user_load(USER_ADDRESSES[page], word)
        if signal:
            killed(number, page, begun, signal, "load")
            return signal
        saw_load(number, page, begun, word, value, since)


# ---- pins --------------------------------------------------------------------------------------------------------------------


def hand_over(held, state):
    """Give a pin or another reference this state, and order all that its task has done before its next user."""
    happens_before(held)
    touches(WRITE, held)
    held.state = state


def begin_pin(k, number, page, write):
    """Note that a pin of an address is being made."""
    pin = pages_pinned[k]
    touches(READ, processes[number])
    touches(WRITE, pin)
    pin.where = (number, page)
    pin.write = write
    pin.since = now()
    pin.heirs = processes[number].forking
    pin.moved = ()
    pin.shows = shows(number, page) if not addresses[number][page].changing else None
    pin.cuts = file_cuts(pin.shows[1]) if pin.shows is not None and pin.shows[0] == "shared" else 0


def end_pin(k):
    pin = pages_pinned[k]
    touches(WRITE, pin)
    if shows(*pin.where) is not pin.shows:
        pin.shows = None


def pin_shows(k):
    """Return the registers that a device may reach through a pin: (True if it does for certain, address space or file, page)."""
    pin = pages_pinned[k]
    touches(READ, pin)
    number, page = pin.where
    shown = pin.shows
    moved = tuple((0, owner, place) for owner, place in pin.moved)
    if shown is None:
        return ((0, number, page), *((0, name, index) for name in FILE_NAMES for index in range(FILE_PAGES)), *moved)
    if shown[0] == "shared":
        return ((int(pin.cuts == file_cuts(shown[1])), FILE_NAMES[shown[1]], shown[2]),)
    owners = [owner for owner in (number, *pin.heirs) if shows(owner, page) is shown or addresses[owner][page].changing]
    address = addresses[number][page]
    certain = not pin.heirs and not moved and not address.changing and not address.discarding
    return (*tuple((int(certain), owner, page) for owner in owners), *moved)


def saw_device_store(k, begun, word, value, since, later=0):
    """Record that a device has stored a word through a pin. `begun`: what the pin showed before. With `later`, the kernel learns at the
    end of the pin that the page is dirty: no write of a file before that takes the value to disk for certain."""
    after = pin_shows(k)
    same = after == begun
    for who, index in dict.fromkeys([(who, index) for _, who, index in after]):
        if not same and (who, index) not in [place[1:] for place in begun]:
            begun += ((0, who, index),)                 # a call may have copied or moved the page just before the store
    for certain, who, index in begun:
        if later and not isinstance(who, int):
            if certain and same:
                saw("mapped store", who, (index, word), value, since)
            else:
                saw("unknown", who, (index, word), "a load after a device has written to a page that was dropped", since)
        else:
            saw("store" if certain and same else "may", who, (index, word), value, since)


def saw_device_load(k, begun, word, value, since):
    """Record that a device has loaded a word through a pin."""
    if pin_shows(k) != begun:
        return
    pin = pages_pinned[k]
    for certain, who, index in begun:
        if certain and pin.shows[0] != "private":
            saw("load", who, (index, word), value, since if pin.write or pin.shows[0] == "shared" else pin.since)


def begin_direct(number, page):
    """Note that a device begins to read a page of a process, which pins it meanwhile. The result is for coherent()."""
    address, p = addresses[number][page], processes[number]
    touches(READ, address)
    touches(READ, p)
    alone = not address.changing and not address.discarding and not p.forking
    return address.shows if alone else None, births()


def coherent(number, page, begun):
    """True if the page that the device has read was the one that the address showed all the time. See Pins above."""
    shown, born = begun
    address = addresses[number][page]
    touches(READ, address)
    if shown is None or address.shows is not shown or address.discarding:
        return False
    return shown[0] == "shared" or births() == born


def births():
    """Return how many processes there have been: a fork may give the page of a private mapping to the child, and its parent a copy."""
    touches(READ, *processes)
    return sum([p.born for p in processes])


# ---- files -------------------------------------------------------------------------------------------------------------------


def saw_read(what, file, index, copied, length, since):
    """Record the result of a read of a page: its two words, None at the end of the file, or an error. `what` is the kind of load,
    `length` what long_enough() returned when the read began."""
    if copied.__class__ is tuple:
        saw(what, FILE_NAMES[file], (index, 0), copied[0], since)
        saw(what, FILE_NAMES[file], (index, 1), copied[1], since)
    elif copied is None:
        if still_long_enough(file, index, length):
            saw("failed", FILE_NAMES[file], index, "read returns nothing, the file is long enough", since)
    elif copied != -ENOMEM:
        saw("failed", FILE_NAMES[file], index, f"{error_name(copied)} in read, no I/O failed", since)


def read_result(copied):
    """Return the result of read(2) of a page, from its two words, an error, or None at the end of the file."""
    return PAGE_SIZE if copied.__class__ is tuple else copied or 0


def error_of(address):
    """Return the error that mmap(2) returned, or 0 if it returned an address."""
    return min(address, 0)


def error_name(error):
    return {-EIO: "-EIO", -ENOMEM: "-ENOMEM"}.get(error) or f"error {error}"


def file_cuts(file):
    touches(READ, files_used[file])
    return files_used[file].cuts


def cut(file):
    """Note that a call begins which may drop pages of a file that are in use."""
    touches(WRITE, files_used[file])
    files_used[file].cuts += 1


def long_enough(file, index):
    """Return a token for still_long_enough(), or None if the file may end before its page `index`."""
    use = files_used[file]
    touches(READ, use)
    return use.shortened[index] if not use.short[index] else None


def still_long_enough(file, index, token):
    """True if the file has had its page `index` all the time since long_enough() returned `token`. A write may have made it longer again
    since a truncate; between the two it was short."""
    touches(READ, files_used[file])
    return token is not None and files_used[file].shortened[index] == token


def truncates(file):
    """Return the number of truncates so far, or None if one is in progress."""
    use = files_used[file]
    touches(READ, use)
    return use.truncates if not use.truncating else None


def begin_truncate(file, length):
    """Note that a truncate to `length` pages begins. Returns a token for its end."""
    cut(file)
    use = files_used[file]
    alone = not use.truncating
    use.truncating += 1
    use.truncates += 1
    use.short = tuple(int(short or index >= length) for index, short in enumerate(use.short))
    use.shortened = tuple(count + (index >= length) for index, count in enumerate(use.shortened))
    return use.truncates if alone else None


def end_truncate(file, length, since, token):
    """Note that a truncate has returned. It has also taken copies in private mappings away."""
    use = files_used[file]
    touches(WRITE, use)
    use.truncating -= 1
    reaches(file, length - 1, token)
    for index in range(length, FILE_PAGES):
        saw_page("direct store", FILE_NAMES[file], index, 0, since)
    for number in range(len(processes)):
        for page in range(len(USER_ADDRESSES)):
            shown = shows(number, page)
            if shown is not None and shown[0] == "private" and shown[1] == file and shown[2] >= length:
                saw_page("unknown", number, page, "a load of a private mapping after a truncate", since)


def reaches(file, index, token):
    """Note that a call has made a file reach to the end of page `index`, if no truncate has begun since it began."""
    if truncates(file) == token and token is not None:
        use = files_used[file]
        touches(WRITE, use)
        use.short = tuple(0 if before <= index else short for before, short in enumerate(use.short))
