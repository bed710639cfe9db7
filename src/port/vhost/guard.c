// SPDX-License-Identifier: MIT
#include "port/vhost/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/attr.h"

/* Volatile: the handler looks at them between any two instructions of ours. */
static struct {
	struct guarded { uintptr_t start; size_t size; bool broken; } volatile mappings[GUARDED_MAX];
	volatile size_t end;           /* all behind it are free */
	volatile size_t broken;        /* how many are */
	struct sigaction before;
} table;

static volatile struct guarded *guard_find(uintptr_t address)
{
	for (size_t i = 0; i < table.end; i++)
		if (address - table.mappings[i].start < table.mappings[i].size)
			return &table.mappings[i];
	return NULL;
}

static bool guard_replace(volatile struct guarded *g)
{
	int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	void *fresh = mmap((void *)g->start, g->size, PROT_READ | PROT_WRITE, how, -1, 0);

	return fresh != MAP_FAILED;
}

static void guard_handle(int signal, siginfo_t *info, _unused_ void *context)
{
	/* Positive: the kernel says so, about a touch. Somebody's kill() carries no address. */
	volatile struct guarded *g = info->si_code > 0 ? guard_find((uintptr_t)info->si_addr) : NULL;
	int error = errno;

	if (g && !g->broken && guard_replace(g)) {
		g->broken = true;
		table.broken++;
	} else {
		/* Not ours: the touch is repeated, and finds whoever was there before us. */
		sigaction(SIGBUS, &table.before, NULL);
		if (info->si_code <= 0)
			raise(signal);
	}
	errno = error;
}

static int guard_install(void)
{
	struct sigaction action = { .sa_sigaction = guard_handle, .sa_flags = SA_SIGINFO | SA_RESTART }, now;

	if (sigaction(SIGBUS, NULL, &now) < 0)
		return -errno;
	/* Others may have put theirs over it since the last mapping. */
	if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == guard_handle)
		return 0;
	sigemptyset(&action.sa_mask);
	table.before = now;
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

int guard_add(void *mapping, size_t size)
{
	size_t i = 0;
	int r = guard_install();

	if (r < 0)
		return r;
	while (i < table.end && table.mappings[i].size)
		i++;
	if (i == GUARDED_MAX)
		return -ENOSPC;
	table.mappings[i].start = (uintptr_t)mapping;
	table.mappings[i].broken = false;
	table.mappings[i].size = size;
	if (i == table.end)
		table.end = i + 1;
	return 0;
}

void guard_remove(void *mapping)
{
	volatile struct guarded *g = guard_find((uintptr_t)mapping);

	if (!g)
		return;
	table.broken -= g->broken;
	g->size = 0;
	g->broken = false;
	while (table.end && !table.mappings[table.end - 1].size)
		table.end--;
}

bool guard_is_broken(const void *mapping)
{
	const volatile struct guarded *g = table.broken ? guard_find((uintptr_t)mapping) : NULL;

	return g && g->broken;
}
