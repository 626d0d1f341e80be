# SPDX-License-Identifier: MIT
"""The sanitizers, one file each. They know events (a lock is acquired, a count reaches zero, a link is added), never `struct page`.

A primitive of the kernel toolkit makes the check itself, by one comparison on its own path. If the check fails, it calls a function
of the sanitizer, which reports. `table.py` lists all sanitizers.
"""
