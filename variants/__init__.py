# SPDX-License-Identifier: GPL-2.0-only
"""The kernel code: one package a family, one module a patch, behind the interface of vmrace.variants.family."""
