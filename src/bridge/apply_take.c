// SPDX-License-Identifier: MIT
/* Steps that are no netlink message: a tap, a file under /proc/sys, a text for nft. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "bridge/apply_private.h"
#include "bridge/ruleset.h"

int apply_owner(const char *name, uint32_t *uid)
{
	struct passwd entry, *found = NULL;
	char room[4096];
	int r = getpwnam_r(name, &entry, room, sizeof(room), &found);

	if (!found)
		return r && r != ENOENT ? -EIO : -ENOENT;
	*uid = found->pw_uid;
	return 0;
}

/* IFF_TUN_EXCL: one that is there already is somebody else's. */
static int make_tap(const struct step *s)
{
	_cleanup_fd_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL) };
	uint32_t uid;
	int r = apply_owner(s->value, &uid);

	if (r)
		return r;
	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", s->link);
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOWNER, (unsigned long)uid) < 0 || ioctl(fd, TUNSETPERSIST, 1UL) < 0)
		return -errno;
	return 0;
}

static int set_sysctl(const struct step *s)
{
	_cleanup_fd_ int fd = -1;
	char path[128];
	size_t size = strlen(s->value);

	snprintf(path, sizeof(path), "/proc/sys/%s", s->key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, s->value, size) == (ssize_t)size ? 0 : -errno;
}

/* Whether it is there or not. */
static int remove_table(const struct step *s, char *error, size_t error_size)
{
	char text[2 * sizeof(s->key) + 32];

	snprintf(text, sizeof(text), "table %s\ndelete table %s\n", s->key, s->key);
	return ruleset_load(text, error, error_size);
}

int apply_take(const struct step *s, char *error, size_t error_size)
{
	switch (s->kind) {
	case STEP_TAP_ADD:
		return make_tap(s);
	case STEP_SYSCTL:
		return set_sysctl(s);
	case STEP_NFT_ADD:
		return ruleset_load(s->text, error, error_size);
	case STEP_NFT_DEL:
		return remove_table(s, error, error_size);
	case STEP_BRIDGE_ADD: case STEP_BRIDGE_DEL: case STEP_TAP_DEL: case STEP_ALIAS: case STEP_MAC: case STEP_MTU: case STEP_UP:
	case STEP_MASTER: case STEP_ISOLATED: case STEP_STP: case STEP_FORWARD_DELAY: case STEP_HELLO: case STEP_MAX_AGE:
	case STEP_ADDRESS_ADD: case STEP_ADDRESS_DEL: case STEP_ROUTE_ADD: case STEP_ROUTE_DEL: case STEP_RULE_ADD: case STEP_RULE_DEL:
	case STEP_KINDS:
		break;
	}
	return -EINVAL;
}
