/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_folder.h: the directory of a store: what its parts are called, and small file operations
 * that wait, for creating and opening it. The thread of the io. */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include "io/io.h"

enum { STORE_PATH_SIZE_MAX = 4096 };

#define STORE_FILE_IDENTITY "STORE"
#define STORE_FILE_LOCK "LOCK"
#define STORE_FILE_CHAIN "chain.json"
#define STORE_FOLDER_LEDGER "ledger"
#define STORE_FOLDER_TABLES "tables"
#define STORE_FOLDER_ARCHIVE "archive" /* packed segments; absent where there are none */

/* NAME in DIRECTORY. STOA_EINVAL: too long. */
int store_folder_path(char out[STORE_PATH_SIZE_MAX], const char *directory, const char *name,
                      struct error_detail *detail);

/* DIRECTORY without slashes at its end, and its parent. STOA_EINVAL: empty, or too long. */
int store_folder_split(const char *directory, char out[STORE_PATH_SIZE_MAX],
                       char out_parent[STORE_PATH_SIZE_MAX], struct error_detail *detail);

int store_folder_make(struct io *io, const char *path, struct error_detail *detail);
int store_folder_sync(struct io *io, const char *path, struct error_detail *detail);
int store_folder_make_file(struct io *io, const char *path, struct error_detail *detail);

/* A file that must not exist yet, with CONTENT, durable but for its name. */
int store_folder_write_file(struct io *io, const char *path, struct bytes content,
                            struct error_detail *detail);

/* Remove the files of a directory that has no directories in it. */
int store_folder_empty(struct io *io, const char *directory, struct error_detail *detail);

/* Best effort: what cannot be removed stays for the operator to see. */
void store_folder_remove(struct io *io, const char *path);

/* For io_list: add 1 to the size_t that is the context. */
void store_folder_count(void *context, const char *name);

#endif
