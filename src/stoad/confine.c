/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoad/confine.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>

/* By name, because not every kernel or machine has all of them. */
static const char *const refused[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    "mount",
    "umount2",
    "move_mount",
    "fsopen",
    "fsmount",
    "fsconfig",
    "open_tree",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "swapon",
    "swapoff",
    "reboot",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "personality",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "capset",
    "quotactl",
    "acct",
    "sethostname",
    "setdomainname",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "mknod",
    "mknodat",
    "ioperm",
    "iopl",
    "io_uring_setup",
};

static int fill(scmp_filter_ctx filter)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused) && result == 0; i++) {
        int number = seccomp_syscall_resolve_name(refused[i]);
        if (number != __NR_SCMP_ERROR) {
            result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
        }
    }
    return result == 0 ? seccomp_load(filter) : result;
}

int confine_enter(struct error_detail *detail)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        return error_set(detail, STOA_ENOMEM, "confine: %s", stoa_strerror(STOA_ENOMEM));
    }
    int result = fill(filter);
    seccomp_release(filter);
    if (result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP) {
        return error_set(detail, STOA_ENOTSUP, "confine: this kernel has no filters of calls");
    }
    return result == 0 ? 0 : error_set_errno(detail, -result, "confine");
}
