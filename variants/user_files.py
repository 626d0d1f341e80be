# SPDX-License-Identifier: GPL-2.0-only
"""Mappings of files in user space, the same for each family that has files. user_space.py has the rest."""
from vmrace.harness.kernel import now
from vmrace.variants.lru_free_2_4.ops import files, map_page
from vmrace.variants.lru_free_2_4.types import MAP_PRIVATE, MAP_SHARED
from vmrace.variants.user_space import allow, begin_change, end_change, enter, error_of, forbids, is_shared, saw_page


def file_map(number, page, file, index, flags, new):
    if enter(number) is None:
        return None
    since = now()
    token = forbids(number, page)
    begin_change(number, page, new)
    address = map_page(page, flags, files[file], index)
    end_change(number, page, new)
    allow(number, page, token)
    if not is_shared(new):
        saw_page("unknown", number, page, "a load of a private mapping of a file to which its process has not stored", since)
    return error_of(address)


def op_mmap_private(number, page, file, index):
    return file_map(number, page, file, index, MAP_PRIVATE, ("private", file, index))


def op_mmap_shared(number, page, file, index):
    return file_map(number, page, file, index, MAP_SHARED, ("shared", file, index))
