# SPDX-License-Identifier: MIT
"""The machine: cpus, tasks, interrupts, one decision at a time. `m` is the one machine of this process."""

from vmrace.harness.machine.machine import Machine, m
from vmrace.harness.machine.task import INTERRUPTIBLE, RUNNING, SLEEPING, UNINTERRUPTIBLE, Cpu, Irq, Task

__all__ = ["INTERRUPTIBLE", "RUNNING", "SLEEPING", "UNINTERRUPTIBLE", "Cpu", "Irq", "Machine", "Task", "m"]
