# SPDX-License-Identifier: MIT
"""progress: nobody can run (deadlock, with who waits for what), or everybody runs and nobody gets there (livelock)."""

from harness.machine import SLEEPING

NAME = "progress"


def stuck(m):
    """Tasks are left and none can run. Those that wait for each other in a circle give the title, or else those of whom nobody
    knows what they wait for; who only waits behind them, or for a cpu, is told in the detail."""
    waiting = [task for task in m.tasks if not task.finished]
    waiting += [cpu.idle for cpu in m.cpus if cpu.idle is not None and cpu.running is cpu.idle]
    cause = _circle(waiting) or [task for task in waiting if task.waiting is not None and not _blockers(task, waiting)] or waiting
    parts = sorted({_what(m, task) for task in cause})
    details = "; ".join(_wait_for(m, task) for task in waiting)
    asleep = all(task.waiting is SLEEPING for task in cause)
    word = "tasks asleep for ever" if asleep else "nobody can run"
    m._add(_finding(f"DEADLOCK: {word}: {', '.join(parts)}", details), m.sites(cause[0].waiting_frame))


def endless(m):
    """Tasks run and get nowhere. Where they were seen gives the title, with those of whom nobody knows what they wait for; who
    only waits behind others is told in the detail."""
    left = [task for task in m.tasks if not task.finished]
    waiting = [task for task in left if task.waiting_frame is not None]
    seen = {m.fair.seen[task.id] for task in left if task.id in m.fair.seen}
    parts = {m.where(task.waiting_frame) for task in waiting if not _blockers(task, left)}
    detail = "; ".join([f"no end after {m.step} points, the last under a fair schedule", *(_wait_for(m, task) for task in waiting)])
    m._add(_finding(f"LIVELOCK: {', '.join(sorted({m.where(), *seen, *parts}))}", detail), m.sites())


def _circle(waiting):
    """The tasks that wait for locks of each other; [] if that is not why they wait."""
    def walk(path):
        for holder in _blockers(path[-1], waiting):
            circle = path[path.index(holder):] if holder in path else walk([*path, holder])
            if circle:
                return circle
        return []
    for task in waiting:
        circle = walk([task])
        if circle:
            return circle
    return []


def _blockers(task, tasks):
    """Who of `tasks` has the lock that a task waits for: its owner, or those who read under it, or who is to get it before."""
    lock = task.wants if task.waiting is SLEEPING else task.waiting
    if lock is None:
        return []
    if getattr(lock, "owner", None) is not None:
        return [lock.owner]
    queue = dict(getattr(lock, "queue", ()))                # of a rw_semaphore: task -> does it want to write
    writes = queue.get(task, True)
    before = list(queue)[:list(queue).index(task)] if task in queue else []
    blockers = [other for other in before if writes or queue[other]]
    if writes:                                              # readers do not wait for readers
        side = getattr(lock, "read_side", lock)
        blockers += [other for other in tasks if side in other.held.locks and other not in blockers]
    return blockers


def _finding(title, detail):
    from harness.finding import Finding
    return Finding(title, NAME, detail=detail)


def _what(m, task):
    where = m.where(task.waiting_frame) if task.waiting_frame is not None else "user_space"
    lock = task.waiting
    return where if lock is SLEEPING or lock is None else f"{lock.cls} in {where}"


def _wait_for(m, task):
    lock = task.wants if task.waiting is SLEEPING else task.waiting
    if lock is None:
        return f"{task.name} sleeps in {_what(m, task)}"
    holders = ", ".join(holder.name for holder in _blockers(task, m.tasks))
    waits = f"sleeps in {_what(m, task)}" if task.waiting is SLEEPING else "spins"
    return f"{task.name} {waits} for {lock.name}, held by {holders or 'nobody'}"
