# SPDX-License-Identifier: MIT
"""Looking whether it is there and using it are one step for whoever gives it back."""

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
