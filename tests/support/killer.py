# SPDX-License-Identifier: MIT
"""A tracer that ends a service with SIGKILL right before or right after the so manieth system call that changes the world.

The world is what outlives the process: files, and the kernel's own state (links, addresses, routes, rules of nft, settings). Every
system call of the service and of the programs that it starts is seen and judged, while it does one thing that it was asked for; one
that is not known here is an error, so that none is left out by mistake. A call that the kernel refused has changed nothing, and does
not count.
"""

import contextlib
import ctypes
import functools
import os
import signal
import socket
import struct
import subprocess
import threading

SYSCALL, DETACH, GETEVENTMSG, SEIZE, INTERRUPT, GET_SYSCALL_INFO = 24, 17, 0x4201, 0x4206, 0x4207, 0x420e
SYSGOOD, FORK, VFORK, CLONE, EXITKILL = 1, 2, 4, 8, 1 << 20
BORN = (1, 2, 3)  # events: fork, vfork, clone
ENTRY, EXIT = 1, 2
WALL = 0x40000000
PIDFD_GETFD = 438
PR_SET_PDEATHSIG = 1
PATIENCE = 90  # seconds: beside a real-time load the kernel was seen to take 20 over one message (in synchronize_rcu_expedited)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long

# What changes nothing that outlives the process, or nothing at all.
HARMLESS = set("""
accept4 access arch_prctl brk clock_gettime clock_nanosleep close close_range connect dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
epoll_wait exit exit_group faccessat faccessat2 fadvise64 fcntl flock fstat futex getcwd getdents64 getegid geteuid getgid getpeername
getpid getppid getrandom getsockname getsockopt gettid getuid kill listen lseek madvise memfd_create mmap mprotect mremap munmap newfstatat
nanosleep pidfd_open pipe2 poll ppoll prctl pread64 prlimit64 pselect6 read readlink readlinkat readv recvfrom recvmmsg recvmsg
restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity set_robust_list set_tid_address setsockopt shutdown
sigaltstack socket socketpair stat statx sysinfo timerfd_create timerfd_settime umask uname wait4 waitid
""".split())
CHANGES = set("""
chmod clone clone3 execve fchmod fchmodat fdatasync fork fsync link linkat mkdir mkdirat rename renameat renameat2 rmdir symlink symlinkat
truncate unlink unlinkat vfork
""".split())
WAITS = {"epoll_pwait2", "epoll_pwait", "epoll_wait"}
TUN = {0x400454ca: "TUNSETIFF", 0x400454cb: "TUNSETPERSIST", 0x400454cc: "TUNSETOWNER"}
READS_OF_NFT = {1, 4, 7, 10, 13, 16, 19, 21, 23}  # NFT_MSG_GET...


@functools.cache
def call_names():
    """The kernel's numbers of system calls on this machine, as its headers have them."""
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-xc", "-"], input="", capture_output=True, text=True, check=True).stdout
    words = [line.split() for line in text.splitlines() if line.startswith("#define __NR_")]
    return {int(number): name.removeprefix("__NR_") for _, name, number in words if number.isdigit()}


def ptrace(request, pid, address=0, data=0):
    result = _libc.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {pid}")
    return result


def end_with_parent():
    """SIGKILL when the thread ends that has forked this process."""
    if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def changes_by_netlink(messages):
    """Does one of these messages do more than ask? Types of rtnetlink come in fours: new, del, get, set."""
    while len(messages) >= 16:
        size, kind = struct.unpack_from("=IH", messages)
        if kind >= 16 and (kind % 4 != 2 if kind < 256 else kind & 255 not in READS_OF_NFT):
            return True
        messages = messages[max(16, (size + 3) & ~3):]
    return False


class Traced:
    """A process that is stopped at each of its system calls."""

    def __init__(self, pid):
        self.pid, self.pending = pid, None
        self.info = ctypes.create_string_buffer(88)

    def stop(self):
        """What it is stopped at. Return: (ENTRY, name, arguments) or (EXIT, did it succeed?, None)"""
        ptrace(GET_SYSCALL_INFO, self.pid, len(self.info), ctypes.addressof(self.info))
        if self.info[0][0] == ENTRY:
            number, *arguments = struct.unpack_from("=7Q", self.info, 24)
            return ENTRY, call_names()[number], arguments
        return EXIT, not self.info[32][0], None

    def read(self, address, size):
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size)

    def text(self, address):
        return self.read(address, 256).split(b"\0")[0].decode(errors="replace")

    def path(self, fd):
        return os.readlink(f"/proc/{self.pid}/fd/{fd & 0xffffffff}")

    # What a call is about to change, in words; None if it changes nothing.

    def judge(self, name, a):
        if name in HARMLESS:
            return None
        if name in CHANGES:
            return name
        judge = getattr(self, "judge_" + name, None)
        assert judge, f"the service calls {name}, of which nobody has said whether it changes anything: see tests/support/killer.py"
        return judge(*a)

    def judge_write(self, fd, address, size, *_):
        path = self.path(fd) if fd > 2 else "its log"
        return f"write {path} {self.read(address, min(size, 60))}" if path.startswith("/") and not path.startswith("/memfd:") else None

    def judge_pwrite64(self, *a):
        return self.judge_write(*a)

    def judge_writev(self, fd, *_):
        return self.judge_write(fd, 0, 0)

    def judge_ftruncate(self, fd, *_):
        return None if self.path(fd).startswith("/memfd:") else f"ftruncate {self.path(fd)}"

    def judge_open(self, path, flags, *_):
        return f"open {self.text(path)}" if flags & (os.O_CREAT | os.O_TRUNC) else None

    def judge_openat(self, _, path, flags, *more):
        return self.judge_open(path, flags)

    def judge_bind(self, _, address, *more):
        family, = struct.unpack("=H", self.read(address, 2))
        return f"bind {self.text(address + 2)}" if family == socket.AF_UNIX else None

    def judge_ioctl(self, _, request, *more):
        return TUN.get(request & 0xffffffff)

    def judge_sendto(self, _, messages, size, flags, address, *more):
        if not address or struct.unpack("=H", self.read(address, 2))[0] != socket.AF_NETLINK:
            return None
        return f"sendto netlink, {size} bytes" if changes_by_netlink(self.read(messages, size)) else None

    def judge_sendmsg(self, fd, message, *_):
        address, _, parts, count = struct.unpack("=QQQQ", self.read(message, 32))
        for i in range(count if address else 0):
            where, size = struct.unpack("=QQ", self.read(parts + 16 * i, 16))
            if what := self.judge_sendto(fd, where, size, 0, address):
                return what
        return None


class Killer:
    """killed() says whether the service was killed; then @where names the call, and @late what a program of its did afterwards."""

    def __init__(self, pid, number=0, after=False):
        """Watch from now on, and kill at change @number (from 1), before or after it; 0: never, only count.

        What the service is to do it must be asked for behind this, or the first changes would be missed."""
        self.main, self.number, self.after = pid, number, after
        self.count, self.where, self.late, self.dead = 0, None, [], False
        self.traced, self.seen = {pid: Traced(pid)}, []
        ptrace(SEIZE, pid, 0, SYSGOOD | FORK | VFORK | CLONE | EXITKILL)
        ptrace(INTERRUPT, pid)

    def killed(self, answered):
        """Until the service waits for something to do and answered() is true, or is dead. Return: is it dead?"""
        signal.signal(signal.SIGALRM, self.hangs)
        try:
            while self.traced:
                signal.alarm(PATIENCE)
                pid, status = os.waitpid(-1, WALL)
                if self.turn(pid, status, answered):
                    break
        finally:
            signal.alarm(0)
        return self.dead

    def hangs(self, *_):
        raise TimeoutError(f"no system call for {PATIENCE} s, after {self.seen[-3:]}")

    def turn(self, pid, status, answered):
        """One process has stopped or ended. Return: is the service left to itself again?"""
        if not os.WIFSTOPPED(status):
            self.dead |= pid == self.main
            self.traced.pop(pid, None)  # None: a program of the test itself
            assert pid != self.main or self.where, f"the service ended by itself, status {status}"
            return False
        number, event = os.WSTOPSIG(status), status >> 16
        with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile: its end is told next
            if event in BORN:
                child = ctypes.c_ulong()
                ptrace(GETEVENTMSG, pid, 0, ctypes.addressof(child))
                self.traced.setdefault(child.value, Traced(child.value))
            elif number == signal.SIGTRAP | 0x80 and self.call(self.traced[pid], answered):
                for each in self.traced:
                    ptrace(DETACH, each)
                return True
            ptrace(SYSCALL, pid, 0, 0 if event or number == signal.SIGTRAP | 0x80 else number)
        return False

    def call(self, process, answered):
        kind, name, arguments = process.stop()
        main = process.pid == self.main
        if kind == ENTRY:
            if main and name in WAITS and not self.where and len(self.traced) == 1 and answered():
                return True
            process.pending = process.judge(name, arguments)
            if process.pending:
                self.begins(process.pending)
        elif process.pending:
            what, process.pending = process.pending, None
            if name:
                self.done(what)
        return False

    def begins(self, what):
        if self.where:
            if self.dead:
                self.late.append(what)
        elif not self.after and self.count + 1 == self.number:
            self.kill(f"before {self.number}: {what}")

    def done(self, what):
        if self.where:
            return
        self.count += 1
        self.seen.append(what)
        if self.after and self.count == self.number:
            self.kill(f"after {self.number}: {what}")

    def kill(self, where):
        self.where = where
        os.kill(self.main, signal.SIGKILL)


class Sockets:
    """The packet sockets of a process: the kernel takes some 15 ms to close each, and the process is not dead before.

    Whoever has them, too, sees it die at once, and can close them later, beside its other work."""

    def __init__(self, pid):
        self.fds = []
        process = os.pidfd_open(pid)
        for fd in os.listdir(f"/proc/{pid}/fd"):
            copy = _libc.syscall(PIDFD_GETFD, process, int(fd), 0)
            if copy >= 0 and os.readlink(f"/proc/self/fd/{copy}").startswith("socket:"):
                other = socket.socket(fileno=copy)
                if other.family == socket.AF_PACKET:
                    self.fds.append(os.dup(copy))
                other.close()
            elif copy >= 0:
                os.close(copy)
        os.close(process)

    def close_later(self):
        fds, self.fds = self.fds, []
        threading.Thread(target=lambda: [os.close(fd) for fd in fds]).start()
