//! Docker's default seccomp profile as data: <https://docs.docker.com/engine/security/seccomp/>, in the
//! state of June 2026. What is not allowed here fails with EPERM; clone3 with ENOSYS, so that libraries fall
//! back to clone, whose flags a filter can see.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// errno(3)
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Allowed to all, by subject. Names that a kernel or libseccomp does not know are passed over by the runtimes.
const ALWAYS: [&str; 11] = [
    // files and directories
    "_llseek access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 \
     faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown \
     fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate \
     ftruncate64 futimesat getcwd getdents getdents64 inotify_add_watch inotify_init inotify_init1 \
     inotify_rm_watch ioctl lchown lchown32 link linkat listmount lseek lstat lstat64 mkdir mkdirat mknod mknodat \
     name_to_handle_at newfstatat open openat openat2 readlink readlinkat rename renameat renameat2 rmdir stat \
     stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs truncate truncate64 \
     umask unlink unlinkat utime utimensat utimensat_time64 utimes",
    // extended attributes
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr \
     lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat",
    // reading and writing
    "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
     epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 \
     io_setup io_submit pipe pipe2 poll ppoll ppoll_time64 pread64 preadv preadv2 pselect6 pselect6_time64 \
     pwrite64 pwritev pwritev2 read readahead readv select sendfile sendfile64 splice tee vmsplice write writev",
    // memory
    "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 \
     mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease \
     remap_file_pages",
    // sockets
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 \
     recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair",
    // processes and threads
    "execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake \
     get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid \
     gettid ioprio_get ioprio_set kill pause pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall rseq \
     sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
     sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr \
     sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address setpgid \
     setpriority setrlimit setsid tgkill times tkill ugetrlimit uretprobe vfork wait4 waitid waitpid",
    // who one is
    "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid \
     getresgid32 getresuid getresuid32 getuid getuid32 landlock_add_rule landlock_create_ruleset \
     landlock_restrict_self seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 \
     setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32",
    // signals
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
     rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigprocmask sigreturn",
    // time
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
     clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create \
     timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create \
     timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64",
    // messages, semaphores, shared memory
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 \
     mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt \
     shmget",
    // the rest
    "getrandom riscv_hwprobe sysinfo uname",
];

/// Allowed where the kernel does not let a tracer slip past a filter, that is, since Linux 4.8: everywhere.
const TRACING: &str = "process_vm_readv process_vm_writev ptrace";

/// Allowed with a capability.
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("CAP_BPF", "bpf"),
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ("CAP_PERFMON", "perf_event_open"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl \
         quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYSLOG", "syslog"),
];

/// A processor architecture that the agent is built for: its seccomp names, its own system calls.
struct Architecture {
    names: &'static [&'static str],
    syscalls: &'static str,
}

#[cfg(target_arch = "x86_64")]
const HERE: Architecture =
    Architecture { names: &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], syscalls: "arch_prctl modify_ldt" };
#[cfg(target_arch = "aarch64")]
const HERE: Architecture = Architecture {
    names: &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    syscalls: "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
};

/// personality(2): the ones that change nothing a filter relies on: PER_LINUX, PER_LINUX32, UNAME26 with each,
/// and the question which one is set.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// socket(2): all families but these two, which lie next to each other but for one.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;
/// clone(2): CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const CLONE_NEW_NAMESPACES: u64 = 0x7e02_0000;

/// The profile of a container that has `caps`, as `linux.seccomp` of an OCI configuration.
pub(super) fn profile(caps: &BTreeSet<&str>) -> Value {
    let mut names: BTreeSet<&str> = ALWAYS.iter().copied().flat_map(str::split_whitespace).collect();
    names.extend(TRACING.split_whitespace());
    names.extend(HERE.syscalls.split_whitespace());
    for (cap, syscalls) in WITH_CAPABILITY {
        if caps.contains(cap) {
            names.extend(syscalls.split_whitespace());
        }
    }
    let mut rules = vec![json!({ "names": names, "action": "SCMP_ACT_ALLOW" })];
    rules.extend(PERSONALITIES.map(|value| allow_if("personality", "SCMP_CMP_EQ", value)));
    rules.push(allow_if("socket", "SCMP_CMP_LT", AF_ALG));
    rules.push(allow_if("socket", "SCMP_CMP_EQ", AF_ALG + 1));
    rules.push(allow_if("socket", "SCMP_CMP_GT", AF_VSOCK));
    if !caps.contains("CAP_SYS_ADMIN") {
        rules.push(allow_if("clone", "SCMP_CMP_MASKED_EQ", CLONE_NEW_NAMESPACES));
        rules.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": HERE.names,
        "syscalls": rules,
    })
}

/// Allows `name` when its first argument compares to `value`; under a mask, when none of its bits is set.
fn allow_if(name: &str, comparison: &str, value: u64) -> Value {
    let args = json!([{ "index": 0, "value": value, "valueTwo": 0, "op": comparison }]);
    json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": args })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always_allowed(caps: &[&'static str]) -> Vec<String> {
        let profile = profile(&caps.iter().copied().collect());
        serde_json::from_value(profile["syscalls"][0]["names"].clone()).expect("names")
    }

    #[test]
    fn capabilities_open_their_system_calls() {
        fn check(cap: &'static str, syscall: &str) {
            assert!(!always_allowed(&[]).iter().any(|name| name == syscall), "{syscall} without {cap}");
            assert!(always_allowed(&[cap]).iter().any(|name| name == syscall), "{syscall} with {cap}");
        }
        check("CAP_SYS_ADMIN", "mount");
        check("CAP_SYS_CHROOT", "chroot");
        check("CAP_SYS_PTRACE", "kcmp");
        check("CAP_BPF", "bpf");
        check("CAP_SYSLOG", "syslog");
        check("CAP_SYS_NICE", "mbind");
    }

    #[test]
    fn what_docker_keeps_shut_is_shut() {
        let allowed = always_allowed(&[]);
        let shut = "io_uring_setup userfaultfd keyctl add_key request_key kexec_load swapon pivot_root mount unshare";
        for syscall in shut.split_whitespace() {
            assert!(!allowed.iter().any(|name| name == syscall), "{syscall}");
        }
        assert!(allowed.is_sorted(), "one order, so that runtimes find their compiled filter again");
    }
}
