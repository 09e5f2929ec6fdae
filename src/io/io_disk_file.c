/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_disk_private.h"

enum { SECTORS_PER_PAGE = IO_DISK_PAGE_SIZE / IO_DISK_SECTOR_SIZE };

static const uint64_t file_size_max = (uint64_t)64 << 30;

static const uint8_t zeros[IO_DISK_PAGE_SIZE];

static const uint8_t *image_data(const struct io_image *image)
{
    return image == NULL ? zeros : image->data;
}

static struct io_image *image_share(struct io_image *image)
{
    if (image != NULL) {
        image->references++;
    }
    return image;
}

static void image_release(struct io_image *image)
{
    if (image != NULL) {
        ensure(image->references > 0);
        if (--image->references == 0) {
            memory_free(image);
        }
    }
}

/* A copy of FROM that the caller may still write to; NULL without memory. */
static struct io_image *image_copy(const struct io_image *from)
{
    struct io_image *copy = memory_alloc(sizeof(*copy));
    if (copy != NULL) {
        copy->references = 1;
        memcpy(copy->data, image_data(from), sizeof(copy->data));
    }
    return copy;
}

static void drop_versions(struct io_page *page)
{
    for (unsigned i = 0; i < page->version_count; i++) {
        image_release(page->versions[i]);
    }
    page->version_count = 0;
}

static void page_settle(struct io_page *page)
{
    image_release(page->durable);
    page->durable = image_share(page->current);
    drop_versions(page);
    page->dirty = false;
}

static int replace_sectors(struct io_image **image, const struct io_image *with, size_t first,
                           size_t end)
{
    struct io_image *copy = image_copy(*image);
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy->data + first, image_data(with) + first, end - first);
    image_release(*image);
    *image = copy;
    return 0;
}

/* The sectors that hold bytes BEGIN to END become durable; the page's others stay as they are. */
static int page_settle_part(struct io_page *page, size_t begin, size_t end)
{
    size_t first = begin - begin % IO_DISK_SECTOR_SIZE;
    size_t last =
        (end + IO_DISK_SECTOR_SIZE - 1) / IO_DISK_SECTOR_SIZE * (size_t)IO_DISK_SECTOR_SIZE;
    if (!page->dirty) {
        return 0;
    }
    if (first == 0 && last == IO_DISK_PAGE_SIZE) {
        page_settle(page);
        return 0;
    }
    int error = replace_sectors(&page->durable, page->current, first, last);
    for (unsigned i = 0; error == 0 && i < page->version_count; i++) {
        error = replace_sectors(&page->versions[i], page->current, first, last);
    }
    return error;
}

static int list_page(struct io_inode *inode, size_t index)
{
    if (inode->pages[index].listed) {
        return 0;
    }
    if (inode->listed_count == inode->listed_capacity) {
        size_t capacity = inode->listed_capacity == 0 ? 16 : 2 * inode->listed_capacity;
        size_t *grown = memory_resize(inode->listed, capacity * sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        inode->listed = grown;
        inode->listed_capacity = capacity;
    }
    inode->listed[inode->listed_count++] = index;
    inode->pages[index].listed = true;
    return 0;
}

static int reach_page(struct io_inode *inode, size_t index)
{
    if (index < inode->page_count) {
        return 0;
    }
    size_t count = inode->page_count == 0 ? 8 : inode->page_count;
    while (count <= index) {
        count *= 2;
    }
    struct io_page *grown = memory_resize(inode->pages, count * sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    memset(grown + inode->page_count, 0, (count - inode->page_count) * sizeof(*grown));
    inode->pages = grown;
    inode->page_count = count;
    return 0;
}

static int take_space(struct io_disk *disk, struct io_inode *inode, struct io_page *page,
                      uint64_t capacity)
{
    if (page->allocated) {
        return 0;
    }
    if ((disk->used_pages + 1) * IO_DISK_PAGE_SIZE > capacity) {
        return -ENOSPC;
    }
    page->allocated = true;
    disk->used_pages++;
    inode->allocated_count++;
    return 0;
}

static void give_space(struct io_disk *disk, struct io_inode *inode, struct io_page *page)
{
    if (page->allocated) {
        page->allocated = false;
        ensure(disk->used_pages > 0);
        disk->used_pages--;
        inode->allocated_count--;
    }
}

/* Put IMAGE, which becomes the page's, where current was. */
static int page_replace(struct io_inode *inode, size_t index, struct io_image *image)
{
    int error = list_page(inode, index);
    if (error != 0) {
        image_release(image);
        return error;
    }
    struct io_page *page = &inode->pages[index];
    if (!page->dirty) {
        image_release(page->current);
    } else {
        if (page->version_count == IO_DISK_VERSIONS_MAX) {
            image_release(page->versions[0]);
            memmove(&page->versions[0], &page->versions[1],
                    (IO_DISK_VERSIONS_MAX - 1) * sizeof(page->versions[0]));
            page->version_count--;
        }
        page->versions[page->version_count++] = page->current;
    }
    page->current = image;
    page->dirty = true;
    return 0;
}

/* Bytes BEGIN to END of a page become DATA (NULL: zeros). */
static int page_write(struct io_inode *inode, size_t index, size_t begin, size_t end,
                      const uint8_t *data)
{
    ensure(begin < end);
    ensure(end <= IO_DISK_PAGE_SIZE);
    struct io_image *image = NULL;
    bool whole = begin == 0 && end == IO_DISK_PAGE_SIZE;
    bool is_zero = data == NULL || memcmp(data, zeros, end - begin) == 0;
    if (!(is_zero && (whole || inode->pages[index].current == NULL))) {
        image = image_copy(inode->pages[index].current);
        if (image == NULL) {
            return -ENOMEM;
        }
        memcpy(image->data + begin, is_zero ? zeros : data, end - begin);
    }
    return page_replace(inode, index, image);
}

size_t io_disk_read(const struct io_inode *inode, uint64_t offset, void *out, size_t size)
{
    if (offset >= inode->size) {
        return 0;
    }
    size_t count = size < inode->size - offset ? size : (size_t)(inode->size - offset);
    size_t done = 0;
    while (done < count) {
        uint64_t place = offset + done;
        size_t index = (size_t)(place / IO_DISK_PAGE_SIZE);
        size_t begin = (size_t)(place % IO_DISK_PAGE_SIZE);
        size_t part = IO_DISK_PAGE_SIZE - begin;
        part = part < count - done ? part : count - done;
        const struct io_image *image =
            index < inode->page_count ? inode->pages[index].current : NULL;
        memcpy((uint8_t *)out + done, image_data(image) + begin, part);
        done += part;
    }
    return count;
}

static int write_part(struct io_disk *disk, struct io_inode *inode, uint64_t offset,
                      struct bytes part, uint64_t capacity, enum io_disk_reach reach)
{
    size_t index = (size_t)(offset / IO_DISK_PAGE_SIZE);
    size_t begin = (size_t)(offset % IO_DISK_PAGE_SIZE);
    int error = reach_page(inode, index);
    if (error == 0) {
        error = take_space(disk, inode, &inode->pages[index], capacity);
    }
    if (error == 0) {
        error = page_write(inode, index, begin, begin + part.size, part.data);
    }
    if (error != 0) {
        return error;
    }
    uint64_t end = offset + part.size;
    inode->size = inode->size < end ? end : inode->size;
    if (reach == IO_DISK_DURABLE) {
        error = page_settle_part(&inode->pages[index], begin, begin + part.size);
        inode->size_durable = inode->size_durable < end ? end : inode->size_durable;
    }
    return error;
}

int io_disk_write(struct io_disk *disk, struct io_inode *inode, uint64_t offset, struct bytes data,
                  uint64_t capacity, enum io_disk_reach reach)
{
    if (data.size > file_size_max || offset > file_size_max - data.size) {
        return -EFBIG;
    }
    if (reach == IO_DISK_DURABLE && inode->truncated) {
        int error = io_disk_sync(inode);
        if (error != 0) {
            return error;
        }
    }
    size_t done = 0;
    while (done < data.size) {
        size_t part = IO_DISK_PAGE_SIZE - (size_t)((offset + done) % IO_DISK_PAGE_SIZE);
        part = part < data.size - done ? part : data.size - done;
        int error = write_part(disk, inode, offset + done, bytes_of(data.data + done, part),
                               capacity, reach);
        if (error != 0) {
            return error;
        }
        done += part;
    }
    return 0;
}

int io_disk_allocate(struct io_disk *disk, struct io_inode *inode, uint64_t offset, uint64_t size,
                     uint64_t capacity)
{
    if (size == 0) {
        return -EINVAL;
    }
    if (size > file_size_max || offset > file_size_max - size) {
        return -EFBIG;
    }
    uint64_t end = offset + size;
    size_t last = (size_t)((end - 1) / IO_DISK_PAGE_SIZE);
    int error = reach_page(inode, last);
    for (size_t i = (size_t)(offset / IO_DISK_PAGE_SIZE); error == 0 && i <= last; i++) {
        error = take_space(disk, inode, &inode->pages[i], capacity);
    }
    if (error == 0 && inode->size < end) {
        inode->size = end;
    }
    return error;
}

int io_disk_punch(struct io_disk *disk, struct io_inode *inode, uint64_t offset, uint64_t size)
{
    if (size == 0) {
        return -EINVAL;
    }
    uint64_t limit = (uint64_t)inode->page_count * IO_DISK_PAGE_SIZE;
    uint64_t end = size > limit || offset > limit - size ? limit : offset + size;
    while (offset < end) {
        size_t index = (size_t)(offset / IO_DISK_PAGE_SIZE);
        size_t begin = (size_t)(offset % IO_DISK_PAGE_SIZE);
        uint64_t rest = end - offset;
        size_t part = IO_DISK_PAGE_SIZE - begin;
        part = part < rest ? part : (size_t)rest;
        struct io_page *page = &inode->pages[index];
        if (page->current != NULL || page->dirty) {
            int error = page_write(inode, index, begin, begin + part, NULL);
            if (error != 0) {
                return error;
            }
        }
        if (part == IO_DISK_PAGE_SIZE) {
            give_space(disk, inode, page);
        }
        offset += part;
    }
    return 0;
}

int io_disk_truncate(struct io_disk *disk, struct io_inode *inode)
{
    if (inode->size == 0) {
        return 0;
    }
    int error = io_disk_punch(disk, inode, 0, UINT64_MAX);
    if (error == 0) {
        inode->size = 0;
        inode->truncated = true;
    }
    return error;
}

int io_disk_sync(struct io_inode *inode)
{
    for (size_t i = 0; i < inode->listed_count; i++) {
        struct io_page *page = &inode->pages[inode->listed[i]];
        page->listed = false;
        page_settle(page);
    }
    inode->listed_count = 0;
    inode->size_durable = inode->size;
    inode->truncated = false;
    return 0;
}

void io_disk_sync_fails(struct io_inode *inode, uint64_t *random)
{
    size_t kept = 0;
    for (size_t i = 0; i < inode->listed_count; i++) {
        struct io_page *page = &inode->pages[inode->listed[i]];
        if (io_disk_random_below(random, 2) == 0) {
            page->listed = false;
        } else {
            inode->listed[kept++] = inode->listed[i];
        }
    }
    inode->listed_count = kept;
}

void io_disk_file_deinit(struct io_inode *inode)
{
    for (size_t i = 0; i < inode->page_count; i++) {
        image_release(inode->pages[i].current);
        image_release(inode->pages[i].durable);
        drop_versions(&inode->pages[i]);
    }
    memory_free(inode->pages);
    memory_free(inode->listed);
    inode->pages = NULL;
    inode->listed = NULL;
    inode->page_count = 0;
    inode->listed_count = 0;
    inode->listed_capacity = 0;
    inode->size = 0;
    inode->size_durable = 0;
}

/* Half of one and half of the other, or noise. */
static void garble(uint8_t *sector, const uint8_t *newer, uint64_t *random)
{
    if (io_disk_random_below(random, 2) == 0) {
        size_t cut = (size_t)io_disk_random_below(random, IO_DISK_SECTOR_SIZE);
        memcpy(sector, newer, cut);
        return;
    }
    for (size_t i = 0; i < IO_DISK_SECTOR_SIZE; i += sizeof(uint64_t)) {
        bytes_store_le64(sector + i, io_disk_random(random));
    }
}

static struct io_image *cut_image(const struct io_page *page, uint64_t *random, bool torn)
{
    struct io_image *image = image_copy(page->durable);
    if (image == NULL) {
        return NULL;
    }
    const uint8_t *newest = image_data(page->current);
    for (size_t i = 0; i < SECTORS_PER_PAGE; i++) {
        size_t at = i * IO_DISK_SECTOR_SIZE;
        bool same = memcmp(image->data + at, newest + at, IO_DISK_SECTOR_SIZE) == 0;
        for (unsigned k = 0; same && k < page->version_count; k++) {
            const uint8_t *version = image_data(page->versions[k]);
            same = memcmp(version + at, newest + at, IO_DISK_SECTOR_SIZE) == 0;
        }
        if (same) {
            continue; /* whichever image stays, this is what it holds */
        }
        uint64_t choice = io_disk_random_below(random, page->version_count + 2u);
        if (choice > 0) {
            const struct io_image *from =
                choice <= page->version_count ? page->versions[choice - 1] : page->current;
            memcpy(image->data + at, image_data(from) + at, IO_DISK_SECTOR_SIZE);
        }
        if (torn && io_disk_random_below(random, 4) == 0) {
            garble(image->data + at, newest + at, random);
        }
    }
    return image;
}

static uint64_t cut_size(const struct io_inode *inode, uint64_t *random)
{
    if (inode->size <= inode->size_durable) {
        return io_disk_random_below(random, 2) == 0 ? inode->size : inode->size_durable;
    }
    uint64_t choice = io_disk_random_below(random, 3);
    if (choice < 2) {
        return choice == 0 ? inode->size : inode->size_durable;
    }
    uint64_t more = io_disk_random_below(random, inode->size - inode->size_durable);
    uint64_t size = inode->size_durable + more;
    uint64_t whole = size - size % IO_DISK_SECTOR_SIZE;
    return whole > inode->size_durable ? whole : inode->size_durable;
}

/* What lies past the end reads as zeros if the file grows again. */
static int clear_past_end(struct io_inode *copy)
{
    for (size_t i = 0; i < copy->page_count; i++) {
        uint64_t start = (uint64_t)i * IO_DISK_PAGE_SIZE;
        struct io_page *page = &copy->pages[i];
        if (start + IO_DISK_PAGE_SIZE <= copy->size || page->current == NULL) {
            continue;
        }
        struct io_image *image = NULL;
        if (start < copy->size) {
            size_t kept = (size_t)(copy->size - start);
            image = image_copy(page->current);
            if (image == NULL) {
                return -ENOMEM;
            }
            memset(image->data + kept, 0, IO_DISK_PAGE_SIZE - kept);
        }
        image_release(page->current);
        page->current = image;
    }
    return 0;
}

int io_disk_file_cut(const struct io_inode *inode, struct io_disk *disk, struct io_inode *copy,
                     uint64_t *random, bool torn)
{
    copy->size = inode->size == inode->size_durable ? inode->size : cut_size(inode, random);
    if (inode->page_count == 0) {
        copy->size_durable = copy->size;
        return 0;
    }
    int error = reach_page(copy, inode->page_count - 1);
    for (size_t i = 0; error == 0 && i < inode->page_count; i++) {
        const struct io_page *page = &inode->pages[i];
        struct io_page *twin = &copy->pages[i];
        if (!page->dirty) {
            twin->current = image_share(page->current);
        } else {
            twin->current = cut_image(page, random, torn);
            error = twin->current == NULL ? -ENOMEM : 0;
        }
        if (page->allocated || twin->current != NULL) {
            (void)take_space(disk, copy, twin, UINT64_MAX); /* cannot fail without a bound */
        }
    }
    if (error == 0) {
        error = clear_past_end(copy);
    }
    copy->size_durable = copy->size;
    for (size_t i = 0; i < copy->page_count; i++) {
        copy->pages[i].durable = image_share(copy->pages[i].current);
    }
    return error;
}

int io_disk_file_flip(struct io_inode *inode, uint64_t offset, unsigned bit)
{
    if (offset >= inode->size || bit > 7) {
        return -EINVAL;
    }
    int error = reach_page(inode, (size_t)(offset / IO_DISK_PAGE_SIZE));
    if (error != 0) {
        return error;
    }
    struct io_page *page = &inode->pages[offset / IO_DISK_PAGE_SIZE];
    struct io_image **images[] = {&page->current, &page->durable};
    for (size_t i = 0; i < 2; i++) {
        struct io_image *copy = image_copy(*images[i]);
        if (copy == NULL) {
            return -ENOMEM;
        }
        copy->data[offset % IO_DISK_PAGE_SIZE] ^= (uint8_t)(1u << bit);
        image_release(*images[i]);
        *images[i] = copy;
    }
    return 0;
}
