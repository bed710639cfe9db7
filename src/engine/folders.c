// SPDX-License-Identifier: MIT
#include "engine/folders.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "lan/paths.h"

/* "/run/user/1000/hospes" of "/run/user/1000/hospes/default"; malloc'd */
static char *folder_above(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash && slash != path ? strndup(path, (size_t)(slash - path)) : path ? strdup("/") : NULL;
}

static void add_forwards(struct folders *f, const struct lan_config *config)
{
	size_t count = 0;

	for (size_t i = 0; i < config->forward_count && count < FOLDERS_FORWARDS; i++)
		if (config->forwards[i].kind == FORWARD_UNIX)
			f->forwards[count++] = folder_above(config->forwards[i].path);
}

int folders_init(struct folders *f, const char *runtime, const char *state, const char *resolv_conf, const char *config_path,
		 const struct lan_config *config)
{
	_cleanup_(freep) char *link = realpath(resolv_conf, NULL);

	*f = (struct folders){
		.runtime = strdup(runtime), .runtime_above = folder_above(runtime), .state = strdup(state),
			.config = folder_above(config_path),
		.config_own = paths_config(), .resolv_conf = strdup(resolv_conf), .resolv_folder = folder_above(resolv_conf),
		.resolv_link = folder_above(link),
	};
	/*
	 * Once fenced off, only what is there now can be allowed: without its folder, a file that is written later could not be read by a
	 * reload. If it cannot be made, a restart reads the file.
	 */
	if (f->config_own && strncmp(f->config_own, "/etc/", 5))
		paths_make(f->config_own);
	add_forwards(f, config);
	return f->runtime && f->runtime_above && f->state && f->resolv_conf && f->resolv_folder ? 0 : -ENOMEM;
}

void folders_fini(struct folders *f)
{
	char **const all[] = { &f->runtime, &f->runtime_above, &f->state, &f->config, &f->config_own, &f->resolv_conf, &f->resolv_folder,
			       &f->resolv_link };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		free(*all[i]);
		*all[i] = NULL;
	}
	for (size_t i = 0; i < FOLDERS_FORWARDS; i++) {
		free(f->forwards[i]);
		f->forwards[i] = NULL;
	}
}

size_t folders_list(const struct folders *f, struct sandbox_folder into[static FOLDERS_MAX])
{
	const unsigned int sockets = SANDBOX_BIND | SANDBOX_UNBIND;
	const struct sandbox_folder all[] = {
		{ f->runtime, SANDBOX_READ | SANDBOX_WRITE | sockets },
		{ f->runtime_above, SANDBOX_RMDIR },
		{ f->state, SANDBOX_READ | SANDBOX_WRITE },
		{ f->config, SANDBOX_READ }, { f->config_own, SANDBOX_READ }, { "/etc", SANDBOX_READ },
		{ f->resolv_folder, SANDBOX_READ }, { f->resolv_link, SANDBOX_READ }, { "/run", SANDBOX_READ },
		{ "/proc/sys", SANDBOX_READ }, { "/usr", SANDBOX_READ },
		{ "/run", sockets }, { "/tmp", sockets }, { getenv("XDG_RUNTIME_DIR"), sockets },
	};
	size_t count = 0;

	_Static_assert(ARRAY_SIZE(all) + FOLDERS_FORWARDS <= FOLDERS_MAX, "room for all");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].path)
			into[count++] = all[i];
	for (size_t i = 0; i < FOLDERS_FORWARDS && f->forwards[i]; i++)
		into[count++] = (struct sandbox_folder){ f->forwards[i], sockets };
	return count;
}
