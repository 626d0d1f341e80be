# SPDX-License-Identifier: MIT
"""The machine, and the sanitizers and recorders that watch it. Knows no patch and no fuzzer; depends on greenlet only."""
