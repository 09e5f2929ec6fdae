/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_disk_private.h: the parts of a simulated disk, for io_disk.c (names, cuts) and io_disk_file.c
 * (contents). */
#ifndef IO_DISK_PRIVATE_H
#define IO_DISK_PRIVATE_H

#include "io/io_disk.h"

enum { IO_DISK_VERSIONS_MAX = 3 };

struct io_image {
    unsigned references;
    uint8_t data[IO_DISK_PAGE_SIZE];
};

struct io_page {
    struct io_image *current;
    struct io_image *durable;
    struct io_image *versions[IO_DISK_VERSIONS_MAX]; /* between durable and current, oldest first */
    uint8_t version_count;
    bool allocated; /* takes space now */
    bool dirty;     /* current may not be durable */
    bool listed;    /* the next flush makes it durable; false for dirty pages that a failed flush
                       dropped */
};

struct io_entry {
    char *name;
    struct io_inode *inode;
};

struct io_entries {
    struct io_entry *items;
    size_t count;
    size_t capacity;
};

struct io_inode {
    uint64_t id;
    struct io_inode *next; /* all inodes of a disk, by rising id */
    bool is_directory;
    unsigned references; /* entries, changes, handles */
    unsigned links;      /* current entries and handles: while 0 its space is free */

    uint64_t size;
    uint64_t size_durable;
    bool truncated; /* since the last flush */
    struct io_page *pages;
    size_t page_count;
    size_t *listed; /* numbers of the pages with `listed` */
    size_t listed_count;
    size_t listed_capacity;
    size_t allocated_count;

    struct io_inode *parent;
    struct io_entries current;
    struct io_entries durable;
};

/* FROM/FROM_NAME goes, TO/TO_NAME becomes TARGET; either half may be absent. */
struct io_change {
    struct io_change *next;
    struct io_inode *from;
    char *from_name;
    struct io_inode *to;
    char *to_name;
    struct io_inode *target;
};

struct io_disk {
    struct io_inode *inodes;
    struct io_inode *last;
    struct io_inode *root;
    struct io_change *changes;
    struct io_change *changes_last;
    uint64_t next_id;
    uint64_t used_pages;
    struct io_disk_loop loop;
};

/* io_disk_file.c */
void io_disk_file_deinit(struct io_inode *inode);
int io_disk_truncate(struct io_disk *disk, struct io_inode *inode);

/* COPY (empty) becomes what a cut leaves of INODE. */
int io_disk_file_cut(const struct io_inode *inode, struct io_disk *disk, struct io_inode *copy,
                     uint64_t *random, bool torn);
int io_disk_file_flip(struct io_inode *inode, uint64_t offset, unsigned bit);

#endif
