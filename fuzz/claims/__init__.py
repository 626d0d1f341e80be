# SPDX-License-Identifier: MIT
"""The ledger of what the project says it has found out, and its checks."""
