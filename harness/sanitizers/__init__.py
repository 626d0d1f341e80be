# SPDX-License-Identifier: MIT
"""The watchers, one file each. They know events (a lock taken, a count at zero, a link added), never `struct page`.

Each file says what it reports and has the functions that primitives call when something is off; the checks themselves
are a compare on the primitive's own path.
"""
