# SPDX-License-Identifier: GPL-2.0-only
"""fs/nfs/inode.c, of a client whose server is the disk here: what open(2) does after the server has said that the data has changed."""
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_fdatawait, filemap_fdatawrite
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import invalidate_inode_pages2


__FILE__ = "fs/nfs/inode.c"


def nfs_revalidate_mapping(inode, mapping):
    """Drop the pages of a file from the cache. Returns the error of the invalidate, for the model alone: the kernel does not look at it."""
    # not here: cache_validity: the caller's attributes say that the data is invalid; that two tasks share this flag is left out
    # not here: nfs_wb_all: a page is on the disk when its writeback ends
    # not here: S_ISREG: it is a file
    if filemap_fdatawrite(mapping) == 0:
        filemap_fdatawait(mapping)
    return invalidate_inode_pages2(mapping)
