# SPDX-License-Identifier: MIT
"""progress: nobody can run (deadlock, with who waits for what), or everybody runs and nobody gets there (livelock)."""

from harness.machine import SLEEPING

NAME = "progress"


def stuck(m):
    """Tasks are left and none can run. Those that wait for each other in a circle give the title, or all that wait for something;
    who only waits behind them, or for a cpu, is told in the detail."""
    waiting = [task for task in m.tasks if not task.finished]
    waiting += [cpu.idle for cpu in m.cpus if cpu.idle is not None and cpu.running is cpu.idle]
    circle = _circle(waiting)
    parts = sorted({_what(m, task) for task in circle or [task for task in waiting if task.waiting is not None] or waiting})
    details = "; ".join(_wait_for(m, task) for task in waiting)
    asleep = all(task.waiting is SLEEPING for task in waiting)
    word = "tasks asleep for ever" if asleep else "nobody can run"
    m._add(_finding(f"DEADLOCK: {word}: {', '.join(parts)}", details), m.sites(waiting[0].waiting_frame))


def endless(m):
    parts = sorted({m.where(task.waiting_frame) for task in m.tasks if not task.finished and task.waiting_frame is not None})
    seen = {m.fair.seen[task.id] for task in m.tasks if not task.finished and task.id in m.fair.seen}
    detail = f"no end after {m.step} points, the last under a fair schedule"
    m._add(_finding(f"LIVELOCK: {', '.join(sorted({m.where(), *seen, *parts}))}", detail), m.sites())


def _circle(waiting):
    """The tasks that spin for locks of each other; [] if that is not why they wait."""
    def walk(path):
        for holder in _holders(path[-1].waiting, waiting):
            circle = path[path.index(holder):] if holder in path else walk([*path, holder])
            if circle:
                return circle
        return []
    for task in waiting:
        circle = walk([task])
        if circle:
            return circle
    return []


def _holders(lock, waiting):
    """Who has what is waited for: its owner, or those who read under it."""
    owner = getattr(lock, "owner", None)
    if owner is not None:
        return [owner]
    read_side = getattr(lock, "read_side", None)
    return [task for task in waiting if read_side is not None and read_side in task.held.locks]


def _finding(title, detail):
    from harness.finding import Finding
    return Finding(title, NAME, detail=detail)


def _what(m, task):
    where = m.where(task.waiting_frame) if task.waiting_frame is not None else "user_space"
    lock = task.waiting
    return where if lock is SLEEPING or lock is None else f"{lock.cls} in {where}"


def _wait_for(m, task):
    lock = task.waiting
    if lock is SLEEPING or lock is None:
        return f"{task.name} sleeps in {_what(m, task)}"
    holders = ", ".join(holder.name for holder in _holders(lock, m.tasks))
    return f"{task.name} spins for {lock.name}, held by {holders or 'readers'}"
