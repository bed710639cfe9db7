// SPDX-License-Identifier: MIT
/* What this machine lets the user do. */
#include "doctor/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fd.h"

static void gather_device(struct facts *f, const char *path)
{
	struct device_fact *d = facts_add(f, devices, device_count);
	_cleanup_fd_ int fd = -1;
	struct group *group;
	struct stat st;

	if (!d)
		return;
	snprintf(d->path, sizeof(d->path), "%s", path);
	if (stat(path, &st) < 0)
		return;
	d->there = true;
	d->mode = st.st_mode & 07777;
	d->gid = st.st_gid;
	group = getgrgid(st.st_gid);
	if (group)
		snprintf(d->group_name, sizeof(d->group_name), "%s", group->gr_name);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	d->opens = fd >= 0;
	d->error = fd < 0 ? errno : 0;
	/* A node without a driver behind it is as good as none. */
	if (d->error == ENODEV || d->error == ENXIO)
		d->there = false;
}

static void gather_groups(struct facts *f)
{
	int count = getgroups(0, NULL);
	gid_t *groups = count < 0 ? NULL : calloc((size_t)count + 1, sizeof(*groups));

	if (!groups) {
		f->failed = true;
		return;
	}
	count = getgroups(count, groups);
	groups[MAX(count, 0)] = getegid();
	f->groups = groups;
	f->group_count = (size_t)MAX(count, 0) + 1;
}

/* The only sure way to know is to make one, in a process that ends at once. */
static int try_namespace(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(unshare(CLONE_NEWUSER) < 0 ? errno : 0);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

static void file_closep(FILE **file) { if (*file) fclose(*file); }

static void gather_resolver(struct facts *f)
{
	_cleanup_(file_closep) FILE *file = fopen("/etc/resolv.conf", "re");
	char line[256], address[64];

	f->resolver_read = file || errno == ENOENT;
	if (!f->resolver_read)
		facts_gap(f, "/etc/resolv.conf", "%s", strerror(errno));
	f->resolved_stub = access("/run/systemd/resolve/stub-resolv.conf", R_OK) == 0;
	while (file && fgets(line, sizeof(line), file))
		f->nameservers += sscanf(line, " nameserver %63s", address) == 1;
}

static void gather_processor(struct facts *f)
{
	_cleanup_(file_closep) FILE *file = fopen("/proc/cpuinfo", "re");
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;

	while (file && !f->processor_can && getline(&line, &size, file) >= 0) {
		const char *module = strstr(line, " vmx ") ? "kvm_intel" : strstr(line, " svm ") ? "kvm_amd" : NULL;

		if (strncmp(line, "flags", 5))
			continue;
		f->processor_can = module;
		if (module)
			snprintf(f->processor_module, sizeof(f->processor_module), "%s", module);
	}
}

static void gather_gates(struct facts *f)
{
	static const char *const keys[] = {
		"user/max_user_namespaces", "kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns",
	};
	struct sysctl_fact fact, *kept;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		snprintf(path, sizeof(path), "/proc/sys/%s", keys[i]);
		/* No kernel has all of them. */
		if (!gather_read(path, fact.value, sizeof(fact.value)))
			continue;
		snprintf(fact.key, sizeof(fact.key), "%s", keys[i]);
		kept = facts_add(f, sysctls, sysctl_count);
		if (kept)
			*kept = fact;
	}
}

void gather_host(struct facts *f)
{
	gather_device(f, "/dev/net/tun");
	gather_device(f, "/dev/kvm");
	gather_device(f, "/dev/vhost-net");
	gather_groups(f);
	gather_resolver(f);
	gather_processor(f);
	gather_gates(f);
	if (!f->root)
		f->userns_error = try_namespace();
}
