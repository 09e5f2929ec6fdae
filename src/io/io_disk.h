/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_disk.h: what io_sim.c does to a simulated disk; its users' view is in io_sim.h.
 *
 * A file is pages of 4 KiB. Each page has a current image (what reads see), a durable image (what a
 * power cut cannot touch) and, while these differ, the images in between, for a cut may leave any
 * of them, sector by sector. Images never change once made and are shared by reference, so that
 * copies of a disk are cheap; NULL is a page of zeros. A file's size likewise is current and
 * durable.
 *
 * A directory has current and durable entries. Changes of entries wait in one list, in order, until
 * a directory they touch is made durable; a cut keeps or loses each of those still there.
 *
 * Errors are negative errno values, as the kernel's, so that one table maps them. A disk and all
 * copies of it belong to one thread. */
#ifndef IO_DISK_H
#define IO_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "io/io_sim.h"

struct io_inode;

enum { IO_DISK_SECTOR_SIZE = 512, IO_DISK_PAGE_SIZE = 4096 };

/* How far a write goes. */
enum io_disk_reach {
    IO_DISK_VISIBLE, /* reads see it, a cut may lose it */
    IO_DISK_DURABLE,
};

/* The loop that uses the disk now: lays what is in flight over COPY, each sector or change by
 * chance. */
struct io_disk_loop {
    void (*apply_in_flight)(void *loop, struct io_disk *copy, uint64_t *random, bool torn);
    void *loop;
};

/* A sequence from a seed: the next number, and one below BOUND (> 0). */
uint64_t io_disk_random(uint64_t *state);
uint64_t io_disk_random_below(uint64_t *state, uint64_t bound);

void io_disk_attach(struct io_disk *disk, const struct io_disk_loop *loop);
void io_disk_detach(struct io_disk *disk);

/* Bytes of the pages that files hold now. */
uint64_t io_disk_used(const struct io_disk *disk);

/* Names. io_disk_open gives a reference to the file for io_disk_release. */
int io_disk_open(struct io_disk *disk, const char *path, unsigned flags,
                 struct io_inode **out_inode);
void io_disk_release(struct io_disk *disk, struct io_inode *inode);
int io_disk_rename(struct io_disk *disk, const char *path, const char *path_to);
int io_disk_link(struct io_disk *disk, const char *path, const char *path_to);
int io_disk_unlink(struct io_disk *disk, const char *path);
int io_disk_remove_directory(struct io_disk *disk, const char *path);
int io_disk_make_directory(struct io_disk *disk, const char *path);
int io_disk_sync_directory(struct io_disk *disk, const char *path);
int io_disk_list(const struct io_disk *disk, const char *path,
                 void (*entry)(void *context, const char *name), void *context);
int io_disk_file_size(const struct io_disk *disk, const char *path, uint64_t *out_size);

/* The file of the same number on a copy, or NULL where the cut lost it. */
struct io_inode *io_disk_twin(const struct io_disk *copy, const struct io_inode *inode);

/* Contents. Writes and allocations may use CAPACITY bytes of disk in all; what fits is done before
 * -ENOSPC. */
size_t io_disk_read(const struct io_inode *inode, uint64_t offset, void *out, size_t size);
int io_disk_write(struct io_disk *disk, struct io_inode *inode, uint64_t offset, struct bytes data,
                  uint64_t capacity, enum io_disk_reach reach);
int io_disk_allocate(struct io_disk *disk, struct io_inode *inode, uint64_t offset, uint64_t size,
                     uint64_t capacity);
int io_disk_punch(struct io_disk *disk, struct io_inode *inode, uint64_t offset, uint64_t size);
int io_disk_sync(struct io_inode *inode);

/* A flush that fails: each page that was to be written is, by chance, taken for clean without
 * having been written. */
void io_disk_sync_fails(struct io_inode *inode, uint64_t *random);

#endif
