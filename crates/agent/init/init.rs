//! The init process of a container whose task asks for one, and the process that holds a task's shared
//! namespaces.
//!
//! `init COMMAND…` starts the command, hands it every signal that it gets itself, reaps whatever else ends, and
//! ends as the command did: with its exit code, or 128 and the number of the signal. Without a command it only
//! reaps, until it is killed.
//!
//! An image may have no C library, so this program has none either: it is built by `build.rs` into a static file
//! of its own, and never runs in a process of Longshore's. Talking to the kernel without a library is the one
//! thing in this repository that takes `unsafe`: docs/decisions/0006-an-init-without-a-library.md.

#![no_std]
#![no_main]
// Or loops become calls of a C library's functions.
#![no_builtins]

use core::arch::{asm, global_asm};
use core::ptr::null;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const EXIT_GROUP: usize = 231;
    pub const GETPID: usize = 39;
    pub const IOCTL: usize = 16;
    pub const KILL: usize = 62;
    pub const PRCTL: usize = 157;
    pub const SETPGID: usize = 109;
    pub const SIGPROCMASK: usize = 14;
    pub const SIGTIMEDWAIT: usize = 128;
    pub const WAIT4: usize = 61;
    pub const WRITE: usize = 1;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const EXIT_GROUP: usize = 94;
    pub const GETPID: usize = 172;
    pub const IOCTL: usize = 29;
    pub const KILL: usize = 129;
    pub const PRCTL: usize = 167;
    pub const SETPGID: usize = 154;
    pub const SIGPROCMASK: usize = 135;
    pub const SIGTIMEDWAIT: usize = 137;
    pub const WAIT4: usize = 260;
    pub const WRITE: usize = 64;
}

/// errno(3)
const ENOENT: isize = 2;
const EINTR: isize = 4;
const EACCES: isize = 13;
const ENOTDIR: isize = 20;
/// signal(7)
const SIGCHLD: usize = 17;
const SIG_BLOCK: usize = 0;
const SIG_SETMASK: usize = 2;
/// Bytes of the kernel's signal set.
const SIGSET_BYTES: usize = 8;
static ALL_SIGNALS: u64 = u64::MAX;
/// wait(2)
const WNOHANG: usize = 1;
/// prctl(2)
const PR_SET_CHILD_SUBREAPER: usize = 36;
/// ioctl_tty(2)
const TIOCSPGRP: usize = 0x5410;
/// A shell's codes for a command that cannot be executed, and for one that is not there.
const CANNOT_EXECUTE: usize = 126;
const NOT_FOUND: usize = 127;
const SIGNALED: usize = 128;
/// limits.h, PATH_MAX.
const PATH_BYTES_MAX: usize = 4096;
/// As execvp(3) has it for an environment without PATH.
const PATH_DEFAULT: &[u8] = b"/bin:/usr/bin";

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {main}", "ud2", main = sym main);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "bl {main}", "brk #1", main = sym main);

#[cfg(target_arch = "x86_64")]
fn call(number: usize, args: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps every register but these; what pointers point to, callers see to.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") args[0], in("rsi") args[1],
            in("rdx") args[2], in("r10") args[3], in("r8") args[4], lateout("rcx") _, lateout("r11") _);
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn call(number: usize, args: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: as above.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") args[0] as isize => result, in("x1") args[1],
            in("x2") args[2], in("x3") args[3], in("x4") args[4]);
    }
    result
}

type Texts = *const *const u8;

/// `stack` is as the kernel leaves it (execve): the number of arguments, they, null, the environment, null.
extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: that is the kernel's promise.
    let (count, arguments) = unsafe { (*stack, stack.add(1) as Texts) };
    // SAFETY: the same.
    let environment = unsafe { arguments.add(count + 1) };
    let mut own_mask = 0;
    mask(SIG_BLOCK, &ALL_SIGNALS, &mut own_mask);
    call(number::PRCTL, [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0]);
    if count < 2 {
        hold();
    }
    // A fork: no flags but the signal at its end.
    match call(number::CLONE, [SIGCHLD, 0, 0, 0, 0]) {
        // SAFETY: there are two arguments or more.
        0 => become_command(unsafe { arguments.add(1) }, environment, &own_mask),
        child if child > 0 => watch(child),
        _ => exit(CANNOT_EXECUTE),
    }
}

fn hold() -> ! {
    loop {
        next_signal();
        reap(0);
    }
}

/// Until `child` ends.
fn watch(child: isize) -> ! {
    loop {
        match next_signal() {
            SIGCHLD => {
                if let Some(code) = reap(child) {
                    exit(code);
                }
            }
            signal => _ = call(number::KILL, [child as usize, signal, 0, 0, 0]),
        }
    }
}

fn next_signal() -> usize {
    loop {
        let set = &raw const ALL_SIGNALS as usize;
        let signal = call(number::SIGTIMEDWAIT, [set, 0, 0, SIGSET_BYTES, 0]);
        if signal != -EINTR {
            return signal.unsigned_abs();
        }
    }
}

/// Takes what has ended; the exit code of `child` when it is among it.
fn reap(child: isize) -> Option<usize> {
    let mut code = None;
    loop {
        let mut status: i32 = 0;
        let ended = call(number::WAIT4, [usize::MAX, &raw mut status as usize, WNOHANG, 0, 0]);
        if ended <= 0 {
            return code;
        }
        if ended == child {
            let signal = (status & 0x7f) as usize;
            code = Some(if signal == 0 { (status >> 8 & 0xff) as usize } else { SIGNALED + signal });
        }
    }
}

/// A process group of its own, in the foreground of the terminal if there is one.
fn become_command(command: Texts, environment: Texts, own_mask: &u64) -> ! {
    call(number::SETPGID, [0, 0, 0, 0, 0]);
    let group: i32 = call(number::GETPID, [0; 5]) as i32;
    call(number::IOCTL, [0, TIOCSPGRP, &raw const group as usize, 0, 0]);
    let mut ignored = 0;
    mask(SIG_SETMASK, own_mask, &mut ignored);
    // SAFETY: main saw that there is a command.
    let name = text(unsafe { *command });
    let error = execute(name, command, environment);
    complain(name);
    exit(if error == ENOENT || error == ENOTDIR { NOT_FOUND } else { CANNOT_EXECUTE })
}

/// As execvp(3): a name without a slash is looked for along PATH. Returns only with an error.
fn execute(name: &[u8], command: Texts, environment: Texts) -> isize {
    if name.contains(&b'/') {
        return execute_at(&[name], command, environment);
    }
    let mut error = ENOENT;
    for folder in path(environment).split(|b| *b == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        match execute_at(&[folder, b"/", name], command, environment) {
            ENOENT | ENOTDIR => {}
            EACCES => error = EACCES,
            other => return other,
        }
    }
    error
}

fn execute_at(parts: &[&[u8]], command: Texts, environment: Texts) -> isize {
    let mut buffer = [0u8; PATH_BYTES_MAX];
    let mut at = 0;
    for byte in parts.iter().copied().flatten() {
        // The last byte stays 0.
        if at == PATH_BYTES_MAX - 1 {
            return ENOENT;
        }
        buffer[at] = *byte;
        at += 1;
    }
    -call(number::EXECVE, [buffer.as_ptr() as usize, command as usize, environment as usize, 0, 0])
}

fn path(environment: Texts) -> &'static [u8] {
    let mut at = environment;
    loop {
        // SAFETY: the environment ends with null, where this ends too.
        let entry = unsafe { *at };
        if entry == null() {
            return PATH_DEFAULT;
        }
        if let Some(path) = text(entry).strip_prefix(b"PATH=") {
            return path;
        }
        // SAFETY: the entry was not the last.
        at = unsafe { at.add(1) };
    }
}

/// The bytes before the 0.
fn text(start: *const u8) -> &'static [u8] {
    let mut length = 0;
    // SAFETY: the kernel ends arguments and variables with 0, and they stay for the process's life.
    unsafe {
        while *start.add(length) != 0 {
            length += 1;
        }
        core::slice::from_raw_parts(start, length)
    }
}

fn complain(name: &[u8]) {
    for part in [&b"init: cannot execute "[..], name, b"\n"] {
        call(number::WRITE, [2, part.as_ptr() as usize, part.len(), 0, 0]);
    }
}

fn mask(how: usize, set: &u64, before: &mut u64) {
    call(number::SIGPROCMASK, [how, &raw const *set as usize, &raw mut *before as usize, SIGSET_BYTES, 0]);
}

fn exit(code: usize) -> ! {
    loop {
        call(number::EXIT_GROUP, [code, 0, 0, 0, 0]);
    }
}

/// The compiler calls it to empty a buffer.
#[unsafe(no_mangle)]
extern "C" fn memset(start: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: the compiler gives it memory of that size.
        unsafe { start.add(at).write(byte as u8) };
    }
    start
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(CANNOT_EXECUTE)
}
