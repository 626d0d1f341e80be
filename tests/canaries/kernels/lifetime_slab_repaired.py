# SPDX-License-Identifier: MIT
"""For the cpu that frees the object, the other cpu's check and use of it are one step."""

from vmrace.harness.kernel import down, up

__FILE__ = "mm/canary.c"


def use(what):
    down(cache_sem)
    if cache.alive:
        touch(what)
    up(cache_sem)


def release():
    down(cache_sem)
    cache.alive = 0
    give_back()
    up(cache_sem)
