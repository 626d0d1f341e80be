# SPDX-License-Identifier: MIT
"""Every schedule of a program, and every program of a scope; certificates."""
