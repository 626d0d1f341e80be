# SPDX-License-Identifier: GPL-2.0-only
"""fs/nfs/inode.c, of a client whose server is the disk here: what open(2) does after the server has said that the data has changed."""
from vmrace.harness.kernel import data_race
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_fdatawait, filemap_fdatawrite
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import unmap_mapping_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import invalidate_inode_pages2


__FILE__ = "fs/nfs/inode.c"


def nfs_sync_mapping(mapping):
    """Write what the mappings and the page cache of a file hold."""
    if data_race(mapping.nrpages) == 0:
        return 0
    unmap_mapping_range(mapping, 0, 0, 0)
    ret = filemap_fdatawrite(mapping)
    if ret != 0:
        return ret                                  # goto out
    ret = filemap_fdatawait(mapping)                # nfs_wb_all(): a page is on the server when its writeback ends
    return ret


def nfs_revalidate_mapping(mapping):
    """Drop the pages of a file from the cache. Returns the error of the invalidate, for the model alone: the kernel does not look at it."""
    nfs_sync_mapping(mapping)
    return invalidate_inode_pages2(mapping)
