# SPDX-License-Identifier: MIT
"""The order of a campaign: a sequence of shards, what each of them knows, and the merge of their results by number.

Shard k knows what the shards before k - lag(k) have learnt, and nothing more. The lag is a function of k, so a shard is the same
whichever worker makes it, and however many there are. Up to lag(k) shards can run at a time; a larger lag would keep more workers busy,
but the first shards of a campaign learn most from each other. The lag therefore grows with k. A test compares campaigns of one, two and
four workers.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from vmrace.fuzz.campaign.memory import Learnt, Memory
from vmrace.fuzz.campaign.messages import Lesson, ShardResult, ShardTask
from vmrace.fuzz.run.workers import Worker

LAG_MIN = 4
LAG_SHARE = 8               # the lag is an eighth of the shards so far
LAG_MAX = 128


def known_to(number: int) -> int:
    """Return the number of shards from which shard `number` has learnt: the first ones."""
    return max(0, number - min(max(LAG_MIN, number // LAG_SHARE), LAG_MAX))


class Order:
    """The shards of a campaign, as the driver knows them. `next` is the first that has not begun, `merged` the first not merged.

    `memory` has what the first `at` shards have learnt: a worker process that is new begins with it. It takes in a shard only when every
    worker has learnt from that one, or is more than LAG_MAX shards behind. Otherwise a worker would be handed the whole memory again,
    which takes an eighth of a shard's time.
    """

    def __init__(self) -> None:
        self.next = self.merged = self.at = 0
        self.memory = Memory()
        self.learnt: list[Learnt] = []                                      # of the shards from `at` on that are merged
        self.waiting: dict[int, tuple[ShardTask, ShardResult | None]] = {}  # shards that are done and not merged; None: given up
        self.positions: WeakKeyDictionary[Worker, int] = WeakKeyDictionary()

    @property
    def ready(self) -> bool:
        """True if all shards are merged from which the next one has to learn."""
        return known_to(self.next) <= self.merged

    def begin(self) -> int:
        """Return the number of the next shard."""
        self.next += 1
        return self.next - 1

    def done(self, task: ShardTask, result: ShardResult | None) -> None:
        """Take the result of a shard, None if it is given up."""
        assert self.merged <= task.number < self.next and task.number not in self.waiting, task.number
        self.waiting[task.number] = task, result

    def first(self, anyhow: bool) -> tuple[ShardTask, ShardResult | None] | None:
        """Return the shard that is merged next, None if it is not done. `anyhow`: the first of those that are done."""
        number = min(self.waiting, default=None) if anyhow else self.merged
        return None if number is None else self.waiting.get(number)

    def merge(self, task: ShardTask) -> None:
        """Add what this shard has learnt: it is merged now. After one that was merged out of order, no other shard may begin."""
        _, result = self.waiting.pop(task.number)
        if task.number != self.merged:
            return
        self.learnt.append(result.learnt if result is not None else Learnt())
        self.merged += 1
        known = known_to(self.merged)
        slowest = min(self.positions.values(), default=known)
        ahead = max(0, min(known, max(slowest, known - LAG_MAX)) - self.at)
        for learnt in self.learnt[:ahead]:
            self.memory.learn(learnt)
        del self.learnt[:ahead]
        self.at += ahead

    def again(self, task: ShardTask) -> None:
        """Drop the result of a shard that is to be made again."""
        del self.waiting[task.number]

    # ---- workers -----------------------------------------------------------------------------------------------------

    def lesson(self, number: int, worker: Worker | None) -> Lesson:
        """Return what a worker has to learn before a shard. None: a new worker."""
        to = known_to(number)
        since = self.positions.get(worker, -1) if worker is not None else -1
        if self.at <= since <= to:
            return Lesson(since, None, self.learnt[since - self.at:to - self.at])
        return Lesson(self.at, self.memory if self.at else None, self.learnt[:to - self.at])

    def learns(self, worker: Worker, number: int) -> None:
        """Record that a worker got the lesson of a shard."""
        self.positions[worker] = known_to(number)

    def forget(self, worker: Worker) -> None:
        """Record that a worker's memory is not known."""
        self.positions.pop(worker, None)
