// SPDX-License-Identifier: MIT
#include "cli/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "base/fd.h"
#include "base/log.h"

/* One write to a small file of the kernel. Return: 0 or negative errno. */
static int put_file(const char *path, const char *format, ...) _printf_(2, 3);
static int put_file(const char *path, const char *format, ...)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	va_list args;
	int n;

	if (fd < 0)
		return -errno;
	va_start(args, format);
	n = vdprintf(fd, format, args);
	va_end(args);
	return n < 0 ? -errno : 0;
}

/* The first number in a file; -1 if there is none. */
static long get_number(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[24] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 ? strtol(text, NULL, 10) : -1;
}

/* Who keeps us out? */
static int say_closed(int error)
{
	if (get_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		log_error("exec needs a user namespace, and this kernel keeps them for root; open them with: "
			  "sudo sysctl -w kernel.unprivileged_userns_clone=1");
	else if (get_number("/proc/sys/user/max_user_namespaces") == 0)
		log_error("exec needs a user namespace, and user.max_user_namespaces is 0; open them with: "
			  "sudo sysctl -w user.max_user_namespaces=15000");
	else if (get_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		log_error("exec needs a user namespace, and AppArmor keeps them for programs with a profile; open them with: "
			  "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
	else if (error == ENOSPC)
		log_error("exec needs a user namespace, and there are too many; see sysctl user.max_user_namespaces and "
			  "user.max_net_namespaces");
	else
		log_error("exec needs a user namespace: %s; a container or a seccomp filter may forbid them here "
			  "(docker: --security-opt seccomp=unconfined)", strerror(error));
	return -error;
}

static int map_self(uid_t uid, gid_t gid)
{
	int r = put_file("/proc/self/setgroups", "deny");

	if (!r)
		r = put_file("/proc/self/uid_map", "%u %u 1", uid, uid);
	if (!r)
		r = put_file("/proc/self/gid_map", "%u %u 1", gid, gid);
	return r;
}

int namespace_enter(bool *user)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	*user = uid || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0;
	if (*user) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
			return say_closed(errno);
		r = map_self(uid, gid);
		if (r < 0)
			return say_closed(-r);
	}
	/* Nothing that is mounted from here on may be seen outside. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return say_closed(errno);
	return 0;
}

static int say_no_tun(int error)
{
	if (error == ENOENT || error == ENODEV)
		log_error("exec needs a tap device, and /dev/net/tun is missing; load it with: sudo modprobe tun");
	else if (error == EACCES || error == EPERM)
		log_error("exec needs a tap device, and /dev/net/tun is not open to you; open it with: "
			  "sudo chmod 666 /dev/net/tun; for good: "
			  "echo 'KERNEL==\"tun\", MODE=\"0666\"' | sudo tee /etc/udev/rules.d/50-tun.rules");
	else
		log_error("exec cannot make a tap device: /dev/net/tun: %s", strerror(error));
	return -error;
}

int namespace_check_tap(void)
{
	return access("/dev/net/tun", R_OK | W_OK) < 0 ? say_no_tun(errno) : 0;
}

int namespace_open_tap(const char *name, unsigned int *index)
{
	/* The device belongs to the network namespace that opens this file. */
	_cleanup_fd_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (fd < 0)
		return say_no_tun(errno);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return say_no_tun(errno);
	*index = if_nametoindex(ifr.ifr_name);
	return *index ? fd_steal(&fd) : say_no_tun(errno);
}

static int write_new(const char *folder, const char *name, const char *text)
{
	char path[512];
	int fd, r;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = dprintf(fd, "%s", text) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* Lay @folder/@name over @target, which may be a link. */
static int cover(const char *folder, const char *name, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return mount(path, target, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* Behind these sockets somebody else would answer, who knows nothing of the LAN. */
static const char *const other_resolvers[] = {
	"/run/nscd/socket",
	"/var/run/nscd/socket",
	"/run/systemd/resolve/io.systemd.Resolve",
};

static int cover_all(const char *folder, const char *text)
{
	int r = write_new(folder, "resolv.conf", text);

	if (!r)
		r = write_new(folder, "nobody", "");
	if (!r)
		r = cover(folder, "resolv.conf", "/etc/resolv.conf");
	if (r == -ENOENT) {
		log_warning("this host has no /etc/resolv.conf, so names are not found; use addresses, or make it with: "
			    "sudo touch /etc/resolv.conf");
		r = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(other_resolvers) && !r; i++) {
		r = cover(folder, "nobody", other_resolvers[i]);
		if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
			r = 0;
	}
	return r;
}

int namespace_set_resolver(const char *folder, const char *text)
{
	int r;

	/* A file system in memory that goes with the namespace: so that nothing is left, however the program ends. */
	if (mount("hospes", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") < 0) {
		r = -errno;
		log_error("exec cannot mount a tmpfs on %s: %s", folder, strerror(errno));
		return r;
	}
	r = cover_all(folder, text);
	umount2(folder, MNT_DETACH);
	if (r < 0)
		log_error("exec cannot lay its own resolv.conf over /etc/resolv.conf: %s", strerror(-r));
	return r;
}

void namespace_set_sysctls(const char *device)
{
	char path[80];

	/* Where /proc/sys is closed, the program works all the same, but for ping and low ports. */
	put_file("/proc/sys/net/ipv4/ping_group_range", "%u %u", getegid(), getegid());
	put_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", device);
	put_file(path, "0");
}

int namespace_drop(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int r = 0;

	/* Uid 0 would get them all back by running a program. */
	if (!geteuid())
		r = prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED);
	if (!r)
		r = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (!r)
		r = (int)syscall(SYS_capset, &header, none);
	if (r < 0) {
		r = -errno;
		log_error("exec cannot give up its capabilities: %s", strerror(errno));
	}
	return r;
}
