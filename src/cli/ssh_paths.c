// SPDX-License-Identifier: MIT
#include "cli/ssh_paths.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "cli/cli.h"
#include "cli/ssh_text.h"
#include "lan/paths.h"

/* ssh(1), -i: what it tries where no key is named. */
static const char *const default_keys[SSH_DEFAULT_KEYS] = { "id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_dsa" };

static char *own_program(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return strdup("hospes");
	path[n] = 0;
	return strdup(path);
}

static int find_default_keys(struct ssh_paths *p)
{
	const char *home = getenv("HOME");
	size_t count = 0;

	for (size_t i = 0; home && i < SSH_DEFAULT_KEYS; i++) {
		_cleanup_(freep) char *path = NULL;

		if (asprintf(&path, "%s/.ssh/%s", home, default_keys[i]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		if (access(path, R_OK))
			continue;
		p->keys[count] = ssh_quote_path(path);
		if (!p->keys[count++]) {
			log_error("ssh cannot take the path %s: it has quotes or backslashes in it", path);
			return -EINVAL;
		}
	}
	return 0;
}

int ssh_paths_find(struct ssh_paths *out, const char *lan)
{
	_cleanup_(freep) char *shared = paths_state(LAN_DEFAULT), *own = paths_state(lan);
	int r;

	*out = (struct ssh_paths){ 0 };
	if (!shared || !own) {
		log_error("no home folder is known, so there is no place for host keys; set HOME");
		return -ENOENT;
	}
	r = paths_make(shared);
	if (r < 0) {
		log_error("cannot make the folder %s for the guests' host keys: %s", shared, strerror(-r));
		return r;
	}
	out->program = own_program();
	out->known_hosts = paths_join(shared, "known_hosts");
	out->key = paths_join(own, "id_ed25519");
	r = out->program && out->known_hosts && out->key ? find_default_keys(out) : -ENOMEM;
	if (r == -ENOMEM)
		log_error("out of memory");
	return r;
}

void ssh_paths_fini(struct ssh_paths *p)
{
	free(p->program);
	free(p->known_hosts);
	free(p->key);
	for (size_t i = 0; i <= SSH_DEFAULT_KEYS; i++)
		free(p->keys[i]);
}
