# SPDX-License-Identifier: GPL-2.0-only
"""fs/ext2/inode.c, as much of it as says which blocks a file has, with notify_change() of fs/attr.c, do_truncate() of fs/open.c and
fsync of fs/buffer.c.

A file's block number is its offset. A block that is freed and allocated again holds what it held; nobody may see that before it
was written, which is what BH_New is for.
"""
from vmrace.harness.kernel import current, data_race, down, down_write, up, up_write
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_fdatawait, filemap_fdatawrite
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import vmtruncate
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import i_size_read, set_buffer_mapped, set_buffer_new
from vmrace.variants.invalidate_2_6.types import EINVAL, FILE_PAGES, PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, PF_SYNCWRITE


__FILE__ = "fs/ext2/inode.c"


def has_block(inode, iblock, create):
    """(allocated, new): ext2's own locks order this against itself."""
    if data_race(inode.i_block[iblock]):
        return 1, 0
    if create:
        inode.i_block[iblock] = 1
        return 1, 1
    return 0, 0


def ext2_get_block(inode, iblock, bh_result, create):
    allocated, new = has_block(inode, iblock, create)
    if allocated:
        bh_result.b_bdev = inode.i_bdev             # map_bh()
        bh_result.b_blocknr = iblock
        set_buffer_mapped(bh_result)
        if new:
            set_buffer_new(bh_result)
    return 0


def ext2_truncate(inode):
    """i_sem is held. Free what is beyond the end; a partial last block there is none."""
    iblock = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    while iblock < FILE_PAGES:
        inode.i_block[iblock] = 0
        iblock += 1


def ext2_setattr(inode, size):
    error = inode_setattr(inode, size)
    return error


__FILE__ = "fs/attr.c"


def inode_setattr(inode, size):
    """Set the size of an inode, the only attribute that changes here."""
    error = 0
    if size != i_size_read(inode):
        error = vmtruncate(inode, size)
        if error:
            return error                            # goto out

    # out:
    return error


def notify_change(inode, size):
    """i_sem is held. i_alloc_sem waits for direct I/O that has looked its blocks up."""
    down_write(inode.i_alloc_sem)
    error = ext2_setattr(inode, size)               # inode->i_op->setattr
    up_write(inode.i_alloc_sem)
    return error


__FILE__ = "fs/open.c"


def do_truncate(inode, length):
    if length < 0:
        return -EINVAL

    down(inode.i_sem)
    err = notify_change(inode, length)
    up(inode.i_sem)
    return err


__FILE__ = "fs/buffer.c"


def do_fsync(file, datasync):
    mapping = file.f_mapping

    current().flags |= PF_SYNCWRITE
    ret = filemap_fdatawrite(mapping)

    # against concurrent writers
    down(mapping.host.i_sem)
    err = 0                                         # ext2_sync_file(), of the inode's own blocks, which are left out
    if not ret:
        ret = err
    up(mapping.host.i_sem)
    err = filemap_fdatawait(mapping)
    if not ret:
        ret = err
    current().flags &= ~PF_SYNCWRITE

    return ret


def sys_fsync(file):
    """The fd is the file itself."""
    return do_fsync(file, 0)
