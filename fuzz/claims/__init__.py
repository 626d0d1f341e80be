# SPDX-License-Identifier: MIT
"""The ledger of claims, and the checks that support each claim."""
