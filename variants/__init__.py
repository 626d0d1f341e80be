# SPDX-License-Identifier: GPL-2.0-only
"""The kernel code: one package for each family, one module for each patch, behind the interface of vmrace.variants.family."""
