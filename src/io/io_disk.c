/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "io/io_disk.h"

#include <errno.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_disk_private.h"

enum { NAME_MAX_SIZE = 256 };

uint64_t io_disk_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t io_disk_random_below(uint64_t *state, uint64_t bound)
{
    ensure(bound > 0);
    return io_disk_random(state) % bound;
}

void io_disk_attach(struct io_disk *disk, const struct io_disk_loop *loop)
{
    ensure(disk->loop.loop == NULL);
    disk->loop = *loop;
}

void io_disk_detach(struct io_disk *disk)
{
    disk->loop = (struct io_disk_loop){0};
}

uint64_t io_disk_used(const struct io_disk *disk)
{
    return disk->used_pages * IO_DISK_PAGE_SIZE;
}

/* Inodes */

static struct io_inode *make_inode(struct io_disk *disk, uint64_t id, bool is_directory)
{
    struct io_inode *inode = memory_alloc_zeroed(1, sizeof(*inode));
    if (inode == NULL) {
        return NULL;
    }
    inode->id = id;
    inode->is_directory = is_directory;
    if (disk->last == NULL) {
        disk->inodes = inode;
    } else {
        ensure(disk->last->id < id);
        disk->last->next = inode;
    }
    disk->last = inode;
    return inode;
}

static void drop_entries(struct io_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        memory_free(entries->items[i].name);
    }
    memory_free(entries->items);
    *entries = (struct io_entries){0};
}

static void free_inode(struct io_inode *inode)
{
    io_disk_file_deinit(inode);
    drop_entries(&inode->current);
    drop_entries(&inode->durable);
    memory_free(inode);
}

/* A file nobody can reach any more gives its memory back; its number stays taken, so that the list
 * keeps its order. */
static void unreference(struct io_inode *inode)
{
    ensure(inode->references > 0);
    if (--inode->references == 0 && !inode->is_directory) {
        io_disk_file_deinit(inode);
    }
}

static void unlink_inode(struct io_disk *disk, struct io_inode *inode)
{
    ensure(inode->links > 0);
    if (--inode->links == 0) {
        ensure(disk->used_pages >= inode->allocated_count);
        disk->used_pages -= inode->allocated_count;
        inode->allocated_count = 0;
        for (size_t i = 0; i < inode->page_count; i++) {
            inode->pages[i].allocated = false;
        }
    }
}

/* Entries */

static struct io_entry *find_entry(const struct io_entries *entries, const char *name)
{
    for (size_t i = 0; i < entries->count; i++) {
        if (strcmp(entries->items[i].name, name) == 0) {
            return &entries->items[i];
        }
    }
    return NULL;
}

static int reserve_entry(struct io_entries *entries)
{
    if (entries->count < entries->capacity) {
        return 0;
    }
    size_t capacity = entries->capacity == 0 ? 8 : 2 * entries->capacity;
    struct io_entry *grown = memory_resize(entries->items, capacity * sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    entries->items = grown;
    entries->capacity = capacity;
    return 0;
}

static void remove_entry(struct io_disk *disk, struct io_inode *directory, bool is_current,
                         const char *name)
{
    struct io_entries *entries = is_current ? &directory->current : &directory->durable;
    struct io_entry *entry = find_entry(entries, name);
    if (entry == NULL) {
        return;
    }
    struct io_inode *inode = entry->inode;
    memory_free(entry->name);
    size_t index = (size_t)(entry - entries->items);
    memmove(entry, entry + 1, (entries->count - index - 1) * sizeof(*entry));
    entries->count--;
    if (is_current) {
        unlink_inode(disk, inode);
    }
    unreference(inode);
}

static int set_entry(struct io_disk *disk, struct io_inode *directory, bool is_current,
                     const struct io_entry *new_entry)
{
    struct io_entries *entries = is_current ? &directory->current : &directory->durable;
    struct io_inode *inode = new_entry->inode;
    int error = reserve_entry(entries);
    char *copy = error == 0 ? memory_copy_text(new_entry->name) : NULL;
    if (copy == NULL) {
        return -ENOMEM;
    }
    inode->references++;
    inode->links += is_current ? 1 : 0;
    remove_entry(disk, directory, is_current, new_entry->name);
    entries->items[entries->count++] = (struct io_entry){.name = copy, .inode = inode};
    if (is_current) {
        inode->parent = directory;
    }
    return 0;
}

/* Changes */

static void free_change(struct io_change *change)
{
    unreference(change->target);
    memory_free(change->from_name);
    memory_free(change->to_name);
    memory_free(change);
}

static int apply_change(struct io_disk *disk, const struct io_change *change, bool is_current)
{
    if (change->to != NULL) {
        struct io_entry entry = {.name = change->to_name, .inode = change->target};
        int error = set_entry(disk, change->to, is_current, &entry);
        if (error != 0) {
            return error;
        }
    }
    if (change->from != NULL) {
        remove_entry(disk, change->from, is_current, change->from_name);
    }
    return 0;
}

/* A change takes effect for readers now and waits to become durable. */
static int add_change(struct io_disk *disk, const struct io_change *wanted)
{
    struct io_change *change = memory_alloc_zeroed(1, sizeof(*change));
    if (change == NULL) {
        return -ENOMEM;
    }
    *change = *wanted;
    change->next = NULL;
    change->target->references++;
    change->from_name = wanted->from == NULL ? NULL : memory_copy_text(wanted->from_name);
    change->to_name = wanted->to == NULL ? NULL : memory_copy_text(wanted->to_name);
    bool copied = (wanted->from == NULL || change->from_name != NULL) &&
                  (wanted->to == NULL || change->to_name != NULL);
    if (!copied || apply_change(disk, change, true) != 0) {
        free_change(change);
        return -ENOMEM;
    }
    if (disk->changes_last == NULL) {
        disk->changes = change;
    } else {
        disk->changes_last->next = change;
    }
    disk->changes_last = change;
    return 0;
}

static bool touches(const struct io_change *change, const struct io_inode *directory)
{
    return change->from == directory || change->to == directory;
}

/* Paths */

/* The next name of PATH into NAME; PATH moves past it. False at the end. */
static bool next_name(const char **path, char name[NAME_MAX_SIZE], int *out_error)
{
    const char *start = *path;
    for (;;) {
        start += strspn(start, "/");
        size_t length = strcspn(start, "/");
        *path = start + length;
        if (length == 0) {
            return false;
        }
        if (length == 1 && start[0] == '.') {
            start += 1;
            continue;
        }
        bool is_up = length == 2 && start[0] == '.' && start[1] == '.';
        if (length >= NAME_MAX_SIZE || is_up) {
            *out_error = is_up ? -EINVAL : -ENAMETOOLONG;
            return false;
        }
        memcpy(name, start, length);
        name[length] = '\0';
        return true;
    }
}

/* Find the directory that holds PATH's last name, and that name ("" for the root itself). */
static int walk(const struct io_disk *disk, const char *path, struct io_inode **out_parent,
                char name[NAME_MAX_SIZE])
{
    char next[NAME_MAX_SIZE];
    int error = 0;
    struct io_inode *directory = disk->root;
    name[0] = '\0';
    while (next_name(&path, next, &error)) {
        if (name[0] != '\0') {
            const struct io_entry *entry = find_entry(&directory->current, name);
            if (entry == NULL) {
                return -ENOENT;
            }
            if (!entry->inode->is_directory) {
                return -ENOTDIR;
            }
            directory = entry->inode;
        }
        memcpy(name, next, sizeof(next));
    }
    *out_parent = directory;
    return error;
}

static int find(const struct io_disk *disk, const char *path, struct io_inode **out_inode)
{
    char name[NAME_MAX_SIZE];
    struct io_inode *parent;
    int error = walk(disk, path, &parent, name);
    if (error != 0) {
        return error;
    }
    if (name[0] == '\0') {
        *out_inode = disk->root;
        return 0;
    }
    const struct io_entry *entry = find_entry(&parent->current, name);
    if (entry == NULL) {
        return -ENOENT;
    }
    *out_inode = entry->inode;
    return 0;
}

static int find_directory(const struct io_disk *disk, const char *path, struct io_inode **out_inode)
{
    int error = find(disk, path, out_inode);
    return error == 0 && !(*out_inode)->is_directory ? -ENOTDIR : error;
}

static int create_entry(struct io_disk *disk, struct io_inode *parent, char *name,
                        bool is_directory, struct io_inode **out_inode)
{
    struct io_inode *inode = make_inode(disk, disk->next_id, is_directory);
    if (inode == NULL) {
        return -ENOMEM;
    }
    disk->next_id++;
    struct io_change change = {.to = parent, .to_name = name, .target = inode};
    int error = add_change(disk, &change);
    if (error == 0) {
        *out_inode = inode;
    }
    return error;
}

int io_disk_open(struct io_disk *disk, const char *path, unsigned flags,
                 struct io_inode **out_inode)
{
    char name[NAME_MAX_SIZE];
    struct io_inode *parent;
    int error = walk(disk, path, &parent, name);
    if (error != 0) {
        return error;
    }
    const struct io_entry *entry = find_entry(&parent->current, name);
    struct io_inode *inode = entry == NULL ? NULL : entry->inode;
    if (name[0] == '\0' || (inode != NULL && inode->is_directory)) {
        return (flags & IO_OPEN_EXCLUSIVE) != 0 ? -EEXIST : -EISDIR;
    }
    if (inode != NULL && (flags & IO_OPEN_CREATE) != 0 && (flags & IO_OPEN_EXCLUSIVE) != 0) {
        return -EEXIST;
    }
    if (inode == NULL) {
        error = (flags & IO_OPEN_CREATE) == 0 ? -ENOENT
                                              : create_entry(disk, parent, name, false, &inode);
    } else if ((flags & IO_OPEN_TRUNCATE) != 0) {
        error = io_disk_truncate(disk, inode);
    }
    if (error == 0) {
        inode->references++;
        inode->links++;
        *out_inode = inode;
    }
    return error;
}

void io_disk_release(struct io_disk *disk, struct io_inode *inode)
{
    unlink_inode(disk, inode);
    unreference(inode);
}

static bool is_inside(const struct io_inode *inode, const struct io_inode *directory)
{
    while (inode != NULL && inode != directory) {
        inode = inode->parent;
    }
    return inode != NULL;
}

int io_disk_rename(struct io_disk *disk, const char *path, const char *path_to)
{
    char name[NAME_MAX_SIZE];
    char name_to[NAME_MAX_SIZE];
    struct io_inode *parent;
    struct io_inode *parent_to;
    int error = walk(disk, path, &parent, name);
    if (error == 0) {
        error = walk(disk, path_to, &parent_to, name_to);
    }
    if (error != 0) {
        return error;
    }
    const struct io_entry *entry = find_entry(&parent->current, name);
    if (entry == NULL) {
        return -ENOENT;
    }
    struct io_inode *target = entry->inode;
    const struct io_entry *over = find_entry(&parent_to->current, name_to);
    if (over != NULL && over->inode == target) {
        return 0;
    }
    if (name_to[0] == '\0' || (target->is_directory && is_inside(parent_to, target))) {
        return -EINVAL;
    }
    if (over != NULL && over->inode->is_directory != target->is_directory) {
        return target->is_directory ? -ENOTDIR : -EISDIR;
    }
    if (over != NULL && over->inode->is_directory && over->inode->current.count > 0) {
        return -ENOTEMPTY;
    }
    struct io_change change = {
        .from = parent, .from_name = name, .to = parent_to, .to_name = name_to, .target = target};
    return add_change(disk, &change);
}

int io_disk_link(struct io_disk *disk, const char *path, const char *path_to)
{
    char name[NAME_MAX_SIZE];
    struct io_inode *parent;
    struct io_inode *target;
    int error = find(disk, path, &target);
    if (error == 0) {
        error = walk(disk, path_to, &parent, name);
    }
    if (error != 0) {
        return error;
    }
    if (target->is_directory) {
        return -EPERM;
    }
    if (name[0] == '\0' || find_entry(&parent->current, name) != NULL) {
        return -EEXIST;
    }
    struct io_change change = {.to = parent, .to_name = name, .target = target};
    return add_change(disk, &change);
}

static int remove_name(struct io_disk *disk, const char *path, bool directory)
{
    char name[NAME_MAX_SIZE];
    struct io_inode *parent;
    int error = walk(disk, path, &parent, name);
    if (error != 0) {
        return error;
    }
    const struct io_entry *entry = find_entry(&parent->current, name);
    if (entry == NULL) {
        return name[0] == '\0' ? -EISDIR : -ENOENT;
    }
    if (entry->inode->is_directory != directory) {
        return directory ? -ENOTDIR : -EISDIR;
    }
    if (directory && entry->inode->current.count > 0) {
        return -ENOTEMPTY;
    }
    struct io_change change = {.from = parent, .from_name = name, .target = entry->inode};
    return add_change(disk, &change);
}

int io_disk_unlink(struct io_disk *disk, const char *path)
{
    return remove_name(disk, path, false);
}

int io_disk_remove_directory(struct io_disk *disk, const char *path)
{
    return remove_name(disk, path, true);
}

int io_disk_make_directory(struct io_disk *disk, const char *path)
{
    char name[NAME_MAX_SIZE];
    struct io_inode *parent;
    struct io_inode *made;
    int error = walk(disk, path, &parent, name);
    if (error != 0) {
        return error;
    }
    if (name[0] == '\0' || find_entry(&parent->current, name) != NULL) {
        return -EEXIST;
    }
    return create_entry(disk, parent, name, true, &made);
}

/* Everything that waits on this directory becomes durable. A rename between two directories takes
 * the other one with it: done in part, it could bring the file back under its old name. */
static int sync_inode(struct io_disk *disk, struct io_inode *directory)
{
    struct io_change **link = &disk->changes;
    struct io_change *last = NULL;
    struct io_inode *other = NULL;
    while (*link != NULL) {
        struct io_change *change = *link;
        if (!touches(change, directory)) {
            last = change;
            link = &change->next;
            continue;
        }
        if (change->from != NULL && change->to != NULL && change->from != change->to) {
            other = change->from == directory ? change->to : change->from;
            break;
        }
        int error = apply_change(disk, change, false);
        if (error != 0) {
            return error;
        }
        *link = change->next;
        if (change->next == NULL) {
            disk->changes_last = last;
        }
        free_change(change);
    }
    if (other == NULL) {
        return 0;
    }
    /* Both directories, strictly in order: whole prefix up to this change, then go on. */
    for (;;) {
        struct io_change *change = disk->changes;
        int error = apply_change(disk, change, false);
        if (error != 0) {
            return error;
        }
        bool reached = touches(change, directory) && touches(change, other);
        disk->changes = change->next;
        if (disk->changes == NULL) {
            disk->changes_last = NULL;
        }
        free_change(change);
        if (reached) {
            return -EAGAIN;
        }
    }
}

int io_disk_sync_directory(struct io_disk *disk, const char *path)
{
    struct io_inode *directory;
    int error = find_directory(disk, path, &directory);
    if (error != 0) {
        return error;
    }
    do {
        error = sync_inode(disk, directory);
    } while (error == -EAGAIN);
    return error;
}

int io_disk_list(const struct io_disk *disk, const char *path,
                 void (*entry)(void *context, const char *name), void *context)
{
    struct io_inode *directory;
    int error = find_directory(disk, path, &directory);
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < directory->current.count; i++) {
        entry(context, directory->current.items[i].name);
    }
    return 0;
}

int io_disk_file_size(const struct io_disk *disk, const char *path, uint64_t *out_size)
{
    struct io_inode *inode;
    int error = find(disk, path, &inode);
    if (error != 0) {
        return error;
    }
    if (inode->is_directory) {
        return -EISDIR;
    }
    *out_size = inode->size;
    return 0;
}

struct io_inode *io_disk_twin(const struct io_disk *copy, const struct io_inode *inode)
{
    for (struct io_inode *one = copy->inodes; one != NULL; one = one->next) {
        if (one->id == inode->id) {
            return one;
        }
    }
    return NULL;
}

/* Whole disks */

struct io_disk *io_disk_create(uint64_t seed)
{
    (void)seed; /* an empty disk has nothing to choose */
    struct io_disk *disk = memory_alloc_zeroed(1, sizeof(*disk));
    if (disk == NULL) {
        return NULL;
    }
    disk->root = make_inode(disk, 0, true);
    if (disk->root == NULL) {
        memory_free(disk);
        return NULL;
    }
    disk->next_id = 1;
    disk->root->references = 1;
    disk->root->links = 1;
    return disk;
}

void io_disk_destroy(struct io_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    ensure(disk->loop.loop == NULL);
    while (disk->changes != NULL) {
        struct io_change *change = disk->changes;
        disk->changes = change->next;
        free_change(change);
    }
    while (disk->inodes != NULL) {
        struct io_inode *inode = disk->inodes;
        disk->inodes = inode->next;
        free_inode(inode);
    }
    memory_free(disk);
}

static int copy_inodes(const struct io_disk *disk, struct io_disk *copy, uint64_t *random,
                       bool torn)
{
    for (const struct io_inode *inode = disk->root->next; inode != NULL; inode = inode->next) {
        if (inode->references == 0) {
            continue;
        }
        struct io_inode *twin = make_inode(copy, inode->id, inode->is_directory);
        if (twin == NULL) {
            return -ENOMEM;
        }
        int error = inode->is_directory ? 0 : io_disk_file_cut(inode, copy, twin, random, torn);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int copy_entries(const struct io_disk *disk, struct io_disk *copy)
{
    for (const struct io_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        struct io_inode *directory = io_disk_twin(copy, inode);
        if (directory == NULL) {
            continue; /* a directory no name leads to any more: its making was lost */
        }
        for (size_t i = 0; i < inode->durable.count; i++) {
            struct io_entry entry = {.name = inode->durable.items[i].name,
                                     .inode = io_disk_twin(copy, inode->durable.items[i].inode)};
            ensure(entry.inode != NULL);
            int error = set_entry(copy, directory, true, &entry);
            if (error == 0) {
                error = set_entry(copy, directory, false, &entry);
            }
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

static bool shares_name(const struct io_change *a, const struct io_change *b)
{
    bool from_from =
        a->from != NULL && a->from == b->from && strcmp(a->from_name, b->from_name) == 0;
    bool from_to = a->from != NULL && a->from == b->to && strcmp(a->from_name, b->to_name) == 0;
    bool to_from = a->to != NULL && a->to == b->from && strcmp(a->to_name, b->from_name) == 0;
    bool to_to = a->to != NULL && a->to == b->to && strcmp(a->to_name, b->to_name) == 0;
    return from_from || from_to || to_from || to_to;
}

/* A change goes with each lost one before it that touched a name of its own: no file system keeps
 * the later of two changes of one name and loses the earlier. */
static bool is_kept(const struct io_disk *disk, const struct io_change *change, const bool *lost,
                    uint64_t *random)
{
    size_t index = 0;
    for (const struct io_change *before = disk->changes; before != change; before = before->next) {
        if (lost[index++] && shares_name(before, change)) {
            return false;
        }
    }
    return io_disk_random_below(random, 2) == 0;
}

static int copy_change(struct io_disk *copy, const struct io_change *change)
{
    struct io_change same = *change;
    same.from = change->from == NULL ? NULL : io_disk_twin(copy, change->from);
    same.to = change->to == NULL ? NULL : io_disk_twin(copy, change->to);
    same.target = io_disk_twin(copy, change->target);
    ensure(same.target != NULL);
    int error = apply_change(copy, &same, true);
    return error != 0 ? error : apply_change(copy, &same, false);
}

static int copy_changes(const struct io_disk *disk, struct io_disk *copy, uint64_t *random)
{
    size_t count = 0;
    for (const struct io_change *one = disk->changes; one != NULL; one = one->next) {
        count++;
    }
    bool *lost = memory_alloc_zeroed(count, sizeof(*lost));
    if (lost == NULL) {
        return -ENOMEM;
    }
    int error = 0;
    size_t index = 0;
    for (const struct io_change *one = disk->changes; error == 0 && one != NULL; one = one->next) {
        lost[index] = !is_kept(disk, one, lost, random);
        error = lost[index++] ? 0 : copy_change(copy, one);
    }
    memory_free(lost);
    return error;
}

/* What a copy holds is all there is: everything on it is durable, and files no name leads to any
 * more take no space. */
static int settle(struct io_disk *disk)
{
    while (disk->changes != NULL) {
        struct io_change *change = disk->changes;
        int error = apply_change(disk, change, false);
        if (error != 0) {
            return error;
        }
        disk->changes = change->next;
        free_change(change);
    }
    disk->changes_last = NULL;
    for (struct io_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        if (inode->references == 0 && !inode->is_directory) {
            disk->used_pages -= inode->allocated_count;
            inode->allocated_count = 0;
            io_disk_file_deinit(inode);
        }
        int error = io_disk_sync(inode);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

struct io_disk *io_disk_cut(const struct io_disk *disk, uint64_t seed, bool torn)
{
    uint64_t random = seed;
    struct io_disk *copy = io_disk_create(seed);
    if (copy == NULL) {
        return NULL;
    }
    int error = copy_inodes(disk, copy, &random, torn);
    copy->next_id = disk->next_id;
    if (error == 0) {
        error = copy_entries(disk, copy);
    }
    if (error == 0) {
        error = copy_changes(disk, copy, &random);
    }
    if (error == 0 && disk->loop.loop != NULL) {
        disk->loop.apply_in_flight(disk->loop.loop, copy, &random, torn);
    }
    if (error == 0) {
        error = settle(copy);
    }
    if (error != 0) {
        io_disk_destroy(copy);
        return NULL;
    }
    return copy;
}

int io_disk_flip(struct io_disk *disk, const char *path, uint64_t offset, unsigned bit)
{
    struct io_inode *inode;
    int error = find(disk, path, &inode);
    if (error == 0) {
        error = inode->is_directory ? -EISDIR : io_disk_file_flip(inode, offset, bit);
    }
    return error == 0 ? 0 : error_from_errno(-error);
}
