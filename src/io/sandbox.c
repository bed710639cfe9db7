// SPDX-License-Identifier: MIT
#include "io/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/attr.h"
#include "base/fd.h"
#include "base/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* --- privileges --- */

static int drop_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	/* The bounding set first, since that takes a capability; an ordinary user has none of it, and no use for it. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(keep >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		kept[i].effective = kept[i].permitted = (uint32_t)(keep >> (32 * i));
	return syscall(SYS_capset, &header, kept) < 0 ? -errno : 0;
}

/* --- files --- */

#define LANDLOCK_READS  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_WRITES (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
			 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_DIR)
/* Everything that the first version knows. */
#define LANDLOCK_ALL    ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

/* For sanitizers, whose reports read the program and /proc, and may start a program that knows the names of functions. */
#define SANDBOX_DEBUG   0x100

static const struct { unsigned int right; uint64_t access; } landlock_rights[] = {
	{ SANDBOX_DEBUG, LANDLOCK_ACCESS_FS_EXECUTE },
	{ SANDBOX_READ, LANDLOCK_READS },
	{ SANDBOX_WRITE, LANDLOCK_READS | LANDLOCK_WRITES },
	{ SANDBOX_BIND, LANDLOCK_ACCESS_FS_MAKE_SOCK },
	{ SANDBOX_UNBIND, LANDLOCK_ACCESS_FS_REMOVE_FILE },
	{ SANDBOX_RMDIR, LANDLOCK_ACCESS_FS_REMOVE_DIR },
	{ SANDBOX_EXECUTE, LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE },
	{ SANDBOX_DEVICE, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE },
};

static int landlock_allow(int ruleset, const struct sandbox_folder *f)
{
	_cleanup_fd_ int fd = open(f->path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .parent_fd = fd };

	if (fd < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(landlock_rights); i++)
		if (f->rights & landlock_rights[i].right)
			rule.allowed_access |= landlock_rights[i].access;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int restrict_files(const struct sandbox_folder *folders, size_t count)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_ALL };
	_cleanup_fd_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset < 0) {
		log_debug("this kernel has no Landlock (%s): files are not fenced off", strerror(errno));
		return 0;
	}
	if (SANITIZED && landlock_allow(ruleset, &(struct sandbox_folder){ "/", SANDBOX_READ | SANDBOX_DEBUG }) < 0)
		return -errno;
	for (size_t i = 0; i < count; i++) {
		int r = landlock_allow(ruleset, &folders[i]);

		if (r < 0)
			return r;
	}
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

/* --- system calls --- */

static const struct sandbox_calls allowed[] = {
	{ "descriptors: every room", { SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(dup),
		SCMP_SYS(dup3),
		SCMP_SYS(fcntl), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(pipe2) } },
	{ "the loop", { SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
		SCMP_SYS(sched_yield),
		SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(signalfd4), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create),
			SCMP_SYS(timerfd_settime) } },
	{ "sockets: ports, flows, resolver, forwards, control (what socket() may make is said below)", { SCMP_SYS(socketpair),
		SCMP_SYS(bind),
		SCMP_SYS(connect), SCMP_SYS(listen), SCMP_SYS(accept4), SCMP_SYS(accept), SCMP_SYS(shutdown), SCMP_SYS(getsockname),
			SCMP_SYS(getpeername),
		SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(recvmsg),
		SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg) } },
	{ "files: leases, resolv.conf, configuration, sockets that are removed", { SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(newfstatat),
		SCMP_SYS(stat),
		SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
		SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink),
		SCMP_SYS(unlinkat), SCMP_SYS(rmdir), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
			SCMP_SYS(ftruncate),
		SCMP_SYS(umask), SCMP_SYS(flock), SCMP_SYS(getcwd), SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch),
		SCMP_SYS(inotify_rm_watch) } },
	{ "memory: allocator, the flow table's file", { SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
		SCMP_SYS(mprotect),
		SCMP_SYS(madvise), SCMP_SYS(memfd_create) } },
	{ "clocks and chance", { SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom),
		SCMP_SYS(clock_nanosleep),
		SCMP_SYS(nanosleep) } },
	{ "guests that go: their processes (port/dgram.h)", { SCMP_SYS(pidfd_open) } },
	{ "oneself: log, library, end", { SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
		SCMP_SYS(getegid), SCMP_SYS(uname), SCMP_SYS(prlimit64), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
			SCMP_SYS(rt_sigreturn),
		SCMP_SYS(sigaltstack), SCMP_SYS(futex), SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(restart_syscall),
			SCMP_SYS(exit),
		SCMP_SYS(exit_group) } },
};

static const struct sandbox_calls deadly_programs[] = {
	{ "starting programs", { SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork) } },
};

static const struct sandbox_calls deadly[] = {
	{ "other processes", { SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
		SCMP_SYS(kcmp) } },
	{ "other rights", { SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid),
		SCMP_SYS(setresgid),
		SCMP_SYS(setgroups), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key) } },
	{ "other file systems", { SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(open_tree),
		SCMP_SYS(move_mount),
		SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(open_by_handle_at) } },
	{ "the kernel", { SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(init_module),
		SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot) } },
};

static const struct sandbox_argument allowed_with[] = {
	/* No packet sockets, and nothing exotic. Netlink: routes of the host (gateway/host.h) */
	{ SCMP_SYS(socket), 0, AF_UNIX }, { SCMP_SYS(socket), 0, AF_INET }, { SCMP_SYS(socket), 0, AF_INET6 }, { SCMP_SYS(socket), 0,
		AF_NETLINK },
	/* How much a socket or tap holds, how it is set up; isatty() by the C library */
	{ SCMP_SYS(ioctl), 1, FIONREAD }, { SCMP_SYS(ioctl), 1, FIONBIO }, { SCMP_SYS(ioctl), 1, SIOCOUTQ }, { SCMP_SYS(ioctl), 1, TCGETS },
	{ SCMP_SYS(ioctl), 1, SIOCGIFNAME }, { SCMP_SYS(ioctl), 1, SIOCGIFINDEX }, { SCMP_SYS(ioctl), 1, SIOCGIFMTU },
	{ SCMP_SYS(ioctl), 1, 0x800454d2 /* TUNGETIFF */ }, { SCMP_SYS(ioctl), 1, 0x400454d0 /* TUNSETOFFLOAD */ },
	{ SCMP_SYS(ioctl), 1, 0x400454d8 /* TUNSETVNETHDRSZ */ }, { SCMP_SYS(ioctl), 1, 0x800454d7 /* TUNGETVNETHDRSZ */ },
	{ SCMP_SYS(ioctl), 1, 0x400454dc /* TUNSETVNETLE */ },
	/* Is a process there? Only asked, never told anything. */
	{ SCMP_SYS(kill), 1, 0 },
};

static int add_groups(scmp_filter_ctx filter, uint32_t action, const struct sandbox_calls *groups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const int *calls = groups[i].calls;

		for (size_t n = 0; n < ARRAY_SIZE(groups->calls) && (!n || calls[n]); n++) {
			int r = seccomp_rule_add(filter, action, calls[n], 0);

			/* -EDOM: this machine's kernel has no such call */
			if (r < 0 && r != -EDOM)
				return r;
		}
	}
	return 0;
}

static int add_arguments(scmp_filter_ctx filter, const struct sandbox_argument *arguments, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct sandbox_argument *a = &arguments[i];
		/* The kernel looks at 32 bits of it, so nothing may hide above them. */
		struct scmp_arg_cmp equal = SCMP_CMP(a->argument, SCMP_CMP_MASKED_EQ, UINT32_MAX, a->value);
		int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, a->call, 1, &equal);

		if (r < 0 && r != -EDOM)
			return r;
	}
	return 0;
}

static int restrict_calls(const struct sandbox_more *more)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (r == -EOPNOTSUPP) /* a kernel before 4.14 */
		r = 0;
	if (!r)
		r = add_groups(filter, SCMP_ACT_ALLOW, allowed, ARRAY_SIZE(allowed));
	if (!r)
		r = add_groups(filter, SCMP_ACT_KILL_PROCESS, deadly, ARRAY_SIZE(deadly));
	if (!r && !(more && more->programs))
		r = add_groups(filter, SCMP_ACT_KILL_PROCESS, deadly_programs, ARRAY_SIZE(deadly_programs));
	if (!r)
		r = add_arguments(filter, allowed_with, ARRAY_SIZE(allowed_with));
	if (!r && more)
		r = add_groups(filter, SCMP_ACT_ALLOW, more->calls, more->call_count);
	if (!r && more)
		r = add_arguments(filter, more->arguments, more->argument_count);
	if (!r)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/* --- all of it --- */

static int failed(const char *what, int error)
{
	log_error("cannot %s: %s; HOSPES_SANDBOX=off in the environment goes without", what, strerror(-error));
	return error;
}

int sandbox_enter(const struct sandbox_folder *folders, size_t count)
{
	return sandbox_enter_with(folders, count, NULL);
}

int sandbox_enter_with(const struct sandbox_folder *folders, size_t count, const struct sandbox_more *more)
{
	const char *wanted = getenv("HOSPES_SANDBOX");
	int r = drop_capabilities(more ? more->capabilities : 0);

	if (r < 0)
		return failed("drop capabilities", r);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed("give up new privileges", -errno);
	if (wanted && !strcmp(wanted, "off")) {
		log_warning("HOSPES_SANDBOX=off: files and system calls are not fenced off");
		return 0;
	}
	r = restrict_files(folders, count);
	if (r < 0)
		return failed("fence off files (Landlock)", r);
	if (SANITIZED)
		return 0;
	r = restrict_calls(more);
	return r < 0 ? failed("fence off system calls (seccomp)", r) : 0;
}
