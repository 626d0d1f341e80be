# SPDX-License-Identifier: MIT
"""What carries a task's stack. A backend gives `main()` (the caller's own stack) and `stack(body, task)`.

A stack has one method, `switch()`: run this one; come back when somebody switches to the one that called. `pool` keeps tasks
with such stacks, by id, for the runs to come.
"""

from vmrace.harness.backends.greenlets import Greenlets
from vmrace.harness.backends.threads import Threads

BACKENDS = {
    "greenlets": Greenlets,
    "threads": Threads,
}
