# SPDX-License-Identifier: MIT
"""progress: nobody can run (deadlock, with who waits for what), or everybody runs and nobody gets there (livelock)."""

from vmrace.harness.finding import Kind
from vmrace.harness.machine.task import PARKED, SLEEPING

NAME = "progress"


def stuck(m):
    """Tasks are left and none can run. Those that wait for each other in a circle give the title, or else those of whom nobody
    knows what they wait for; who only waits behind them, or for a cpu, is told in the detail."""
    waiting = _left(m)
    parked = [task for task in waiting if task.waiting is PARKED]
    if parked:
        parts = sorted({m.where(task.waiting_frame) for task in parked})
        details = "; ".join(_wait_for(m, task) for task in waiting)
        m._add(_finding(Kind.LIVELOCK.title(f"{', '.join(parts)}"), details), m.sites(parked[0].waiting_frame))
        return
    cause = _circle(waiting) or [task for task in waiting if task.waiting is not None and not _before(task, waiting)] or waiting
    parts = sorted({_what(m, task) for task in cause})
    details = "; ".join(_wait_for(m, task) for task in waiting)
    asleep = all(task.waiting is SLEEPING for task in cause)
    word = "tasks asleep for ever" if asleep else "nobody can run"
    m._add(_finding(Kind.DEADLOCK.title(f"{word}: {', '.join(parts)}"), details), m.sites(cause[0].waiting_frame))


def endless(m):
    """Tasks run and get nowhere. Where they were seen gives the title, with those of whom nobody knows what they wait for; who
    only waits behind others is told in the detail."""
    left = _left(m)
    waiting = [task for task in left if task.waiting_frame is not None]
    seen = {m.fair.seen[task.id] for task in left if task.id in m.fair.seen}
    parts = {m.where(task.waiting_frame) for task in waiting if not _before(task, left)}
    detail = "; ".join([f"no end after {m.step} points, the last under a fair schedule", *(_wait_for(m, task) for task in waiting)])
    m._add(_finding(Kind.LIVELOCK.title(f"{', '.join(sorted({m.where(), *seen, *parts}))}"), detail), m.sites())


def _left(m):
    """Tasks that are not done, and idle loops that are in an interrupt."""
    return [task for task in m.tasks if not task.finished] + [
        cpu.idle for cpu in m.cpus if cpu.idle is not None and cpu.running is cpu.idle]


def _circle(waiting):
    """The tasks that wait for locks of each other; [] if that is not why they wait."""
    seen = set()

    def walk(path):
        if path[-1].id in seen:
            return []
        seen.add(path[-1].id)
        for other in _before(path[-1], waiting):
            circle = path[path.index(other):] if other in path else walk([*path, other])
            if circle:
                return circle
        return []
    for task in waiting:
        circle = walk([task])
        if circle:
            return circle
    return []


def _lock(task):
    """What a task waits for, if that is a lock."""
    return task.wants if task.waiting is SLEEPING else task.waiting


def _before(task, tasks):
    """For whom of `tasks` a task waits: those who have its lock, and those who are to get it before."""
    return [*_holders(task, tasks), *_ahead(task)]


def _holders(task, tasks):
    """Who has the lock that a task waits for: its owner, or those who read under it, perhaps below an interrupt."""
    lock = _lock(task)
    if lock is None:
        return []
    if getattr(lock, "owner", None) is not None:
        return [lock.owner]
    if not dict(getattr(lock, "queue", ())).get(task, True):
        return []                                           # readers do not wait for readers
    side = getattr(lock, "read_side", lock)
    return [other for other in tasks if any(side in held.locks for held in (other.held, *other.below))]


def _ahead(task):
    """Of who sleeps for a rw_semaphore: those before it in the queue that it cannot have it with."""
    queue = list(getattr(_lock(task), "queue", ()))         # (task, does it want to write)
    at = next((at for at, (other, _) in enumerate(queue) if other is task), 0)
    return [other for other, writes in queue[:at] if writes or queue[at][1]]


def _finding(title, detail):
    from vmrace.harness.finding import Finding
    return Finding(title, NAME, detail=detail)


def _what(m, task):
    where = m.where(task.waiting_frame) if task.waiting_frame is not None else "user_space"
    lock = task.waiting
    return where if lock is SLEEPING or lock is None else f"{lock.cls} in {where}"


def _wait_for(m, task):
    lock = _lock(task)
    if task.waiting is None:
        return f"{task.name} waits for cpu{task.cpu.number}"
    if lock is PARKED:
        what = ", ".join(dict.fromkeys(obj.name if arg is None else f"{obj.name}.{arg}" if isinstance(arg, str) else f"{obj.name}[{arg}]"
                                       for obj, arg, _ in task.reads))
        return f"{task.name} reads {what or 'the same'} again and again in {m.where(task.waiting_frame)}, and nobody is left to change it"
    if lock is None:
        return f"{task.name} sleeps in {_what(m, task)}"
    waits = f"{task.name} {f'sleeps in {_what(m, task)}' if task.waiting is SLEEPING else 'spins'} for {lock.name}"
    holders, ahead = _holders(task, _left(m)), _ahead(task)
    if holders:
        return f"{waits}, held by {', '.join(holder.name for holder in holders)}"
    return f"{waits}, behind {ahead[-1].name}" if ahead else waits
