/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hold: keep a thread of a process from running, as a disk that hangs would.
 *
 *     hold PROCESS NAME
 *
 * Says "held" once the thread of that name stands still, and ends when it is gone. Ends with 77
 * where this is not allowed. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>

enum { PATH_SIZE = 512, NAME_SIZE = 32, SKIPPED = 77 };

static bool is_called(const char *process, const char *thread, const char *name)
{
    char path[PATH_SIZE];
    char found[NAME_SIZE] = "";
    (void)snprintf(path, sizeof(path), "/proc/%s/task/%s/comm", process, thread);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false; /* it has ended */
    }
    bool read = fgets(found, sizeof(found), file) != NULL;
    (void)fclose(file); /* only read */
    found[strcspn(found, "\n")] = '\0';
    return read && strcmp(found, name) == 0;
}

/* 0: there is none. */
static pid_t find(const char *process, const char *name)
{
    char path[PATH_SIZE];
    pid_t found = 0;
    (void)snprintf(path, sizeof(path), "/proc/%s/task", process);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(directory); found == 0 && entry != NULL;
         entry = readdir(directory)) {
        if (is_called(process, entry->d_name, name)) {
            found = (pid_t)strtol(entry->d_name, NULL, 10);
        }
    }
    (void)closedir(directory); /* only read */
    return found;
}

/* Its next stop or end. False: it is gone. */
static bool next_of(pid_t thread, int *status)
{
    pid_t got;
    do {
        got = waitpid(thread, status, __WALL);
    } while (got < 0 && errno == EINTR);
    return got == thread && WIFSTOPPED(*status);
}

int main(int argc, char **argv)
{
    int status;
    pid_t thread = argc == 3 ? find(argv[1], argv[2]) : 0;
    if (thread == 0) {
        fprintf(stderr, "usage: hold PROCESS NAME, of a thread that it has\n");
        return 2;
    }
    if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) != 0) {
        perror("hold");
        return errno == EPERM || errno == ENOSYS ? SKIPPED : 1;
    }
    if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0 || !next_of(thread, &status)) {
        perror("hold");
        return 1;
    }
    printf("held\n");
    (void)fflush(stdout); /* who waits for it sees that it does not come */
    while (next_of(thread, &status)) {
    }
    return 0;
}
