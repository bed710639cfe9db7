// SPDX-License-Identifier: MIT
#include "cli/fabric.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "cli/bridged_client.h"
#include "lan/paths.h"

static bool is_system(const char *path)
{
	return !strncmp(path, BRIDGED_CONFIG "/", strlen(BRIDGED_CONFIG) + 1);
}

bool fabric_is_own(const char *lan)
{
	_cleanup_(freep) char *path = lan_config_find(lan);

	return path && !is_system(path);
}

/* Is it a bridge LAN that is up, whatever has become of its file meanwhile? */
static bool is_served(const char *lan)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_fd_ int fd = varlink_connect(BRIDGED_SOCKET, USEC_S);
	char error[VARLINK_ERROR_SIZE];
	const json_t *found;

	if (fd < 0 || bridged_try(fd, "Status", NULL, &status, error))
		return false;
	found = bridged_lan(status, lan);
	return found && strcmp(lan_text(found, "state"), "down");
}

static int of_file(const char *lan, const char *path, enum fabric *out)
{
	struct lan_config *config;
	char error[512];
	int r = lan_config_load(&config, lan, path, error, sizeof(error));

	if (r < 0) {
		log_error("%s", error);
		return r == -EINVAL ? -EBADMSG : r;
	}
	*out = config->fabric;
	lan_config_free(config);
	return 0;
}

/* Does a LAN of that name serve in this user's own folder? Root's is that of the service, too, so @out is what the LAN says of itself. */
static bool is_up(const char *lan, enum fabric *out)
{
	_cleanup_(freep) char *runtime = paths_runtime(lan), *control = runtime ? paths_join(runtime, "control") : NULL;
	_cleanup_fd_ int fd = control ? varlink_connect(control, USEC_S) : -1;
	_cleanup_json_ json_t *status = NULL;
	char error[VARLINK_ERROR_SIZE];

	if (fd < 0)
		return false;
	if (!geteuid() && !lan_try(fd, "Status", NULL, &status, error) && !strcmp(lan_text(status, "fabric"), "bridge"))
		*out = FABRIC_BRIDGE;
	return true;
}

static int of_own_file(const char *lan, const char *path, enum fabric *out)
{
	int r = of_file(lan, path, out);

	if (r < 0 || *out == FABRIC_USER)
		return r;
	log_error("%s: a bridge LAN is root's; its file lies in " BRIDGED_CONFIG ", as " BRIDGED_CONFIG "/%s.lan", path, lan);
	return -EBADMSG;
}

/*
 * What is up comes before what is written: a LAN can be taken down, too, when its file is wrong meanwhile. Root's own sockets
 * and those of the service lie in one folder.
 */
int fabric_of(const char *lan, enum fabric *out)
{
	_cleanup_(freep) char *path = lan_config_find(lan);
	bool own = path && !is_system(path), root = !geteuid();

	*out = FABRIC_USER;
	if (!root && is_up(lan, out))
		return 0;
	if ((root || !own) && is_served(lan)) {
		*out = FABRIC_BRIDGE;
		return 0;
	}
	if ((root && is_up(lan, out)) || !path)
		return 0;
	return own ? of_own_file(lan, path, out) : of_file(lan, path, out);
}

int fabric_need_root(const char *words, const char *lan)
{
	if (!geteuid())
		return 0;
	log_error("LAN %s is a bridge LAN, which is root's to change: sudo hospes %s %s", lan, words, lan);
	return -EPERM;
}

void fabric_say_down(const char *lan)
{
	if (geteuid())
		log_error("LAN %s is a bridge LAN, and down; root brings it up: sudo hospes up %s", lan, lan);
	else
		log_error("LAN %s is a bridge LAN, and down; hospes try %s brings it up, and back should that cut you off", lan, lan);
}
