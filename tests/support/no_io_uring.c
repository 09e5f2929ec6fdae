/* SPDX-License-Identifier: GPL-3.0-or-later */
/* no_io_uring: run a program as in a container that refuses io_uring.
 *
 *     no_io_uring [--enosys | --no-message | --no-buffers] PROGRAM [ARGUMENT...]
 *
 * io_uring_setup, _enter and _register fail with EPERM, or with ENOSYS; with --no-message only the
 * registration call that sends a message to a ring fails, as on kernels before 6.13, with
 * --no-buffers the one that provides a ring of buffers, as on kernels before 5.19. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REGISTER_PROVIDED_BUFFERS = 22, REGISTER_SEND_MSG_RING = 31 };

static int install(struct sock_filter *code, size_t count)
{
    struct sock_fprog program = {.len = (unsigned short)count, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static int forbid_all(unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install(code, sizeof(code) / sizeof(code[0]));
}

static int forbid_registration(unsigned operation)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, operation, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install(code, sizeof(code) / sizeof(code[0]));
}

int main(int argc, char **argv)
{
    int first = 1;
    const char *option = argc > 1 ? argv[1] : "";
    if (strncmp(option, "--", 2) == 0) {
        first = 2;
    }
    if (first >= argc) {
        fprintf(stderr, "usage: no_io_uring [--enosys | --no-message | --no-buffers] PROGRAM "
                        "[ARGUMENT...]\n");
        return 2;
    }
    int result;
    if (first == 1) {
        result = forbid_all(EPERM);
    } else if (strcmp(option, "--enosys") == 0) {
        result = forbid_all(ENOSYS);
    } else if (strcmp(option, "--no-message") == 0) {
        result = forbid_registration(REGISTER_SEND_MSG_RING);
    } else if (strcmp(option, "--no-buffers") == 0) {
        result = forbid_registration(REGISTER_PROVIDED_BUFFERS);
    } else {
        fprintf(stderr, "no_io_uring: unknown option %s\n", option);
        return 2;
    }
    if (result != 0) {
        perror("no_io_uring: seccomp");
        return 77;
    }
    execvp(argv[first], argv + first);
    perror(argv[first]);
    return 127;
}
