# SPDX-License-Identifier: MIT
"""Barriers are events and no more on this machine. Without them, every schedule of a small program can be run."""


def smp_rmb():
    pass


def smp_wmb():
    pass
