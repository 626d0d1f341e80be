# SPDX-License-Identifier: MIT
"""The machine and its watchers. Knows no patch and no fuzzer; depends on greenlet only."""
