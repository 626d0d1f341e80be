# SPDX-License-Identifier: MIT
"""Proofs: every schedule of a program, every program of a scope, and certificates of the results."""
