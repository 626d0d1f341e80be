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
    for task in waiting:
        path = []
        while task is not None and task not in path:
            path.append(task)
            task = getattr(task.waiting, "owner", None)
        if task is not None:
            return path[path.index(task):]
    return []


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
    owner = getattr(lock, "owner", None)
    return f"{task.name} spins for {lock.name}, held by {owner.name if owner is not None else 'readers'}"
