// SPDX-License-Identifier: MIT
#include "control/lease_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lan/leases.h"
#include "lan/paths.h"

#define SAVE_DELAY USEC_S

static const char *remedy(int error)
{
	switch (error) {
	case -ENOSPC:
		return "free some space on that file system";
	case -EDQUOT:
		return "free some space: this user's quota is used up";
	case -EROFS:
	case -EACCES:
	case -EPERM:
		return "make the folder writable, or set XDG_STATE_HOME to one that is";
	}
	return "see whether the folder is there and can be written to";
}

static void lease_store_save(struct lease_store *s)
{
	int r;

	if (!s->changed || !s->path)
		return;
	r = leases_save(s->guests, s->path);
	if (r < 0 && !s->failed)
		log_error("cannot save the leases to %s: %s; %s. They stay in memory, and saving is tried again when the next one "
			"changes", s->path,
			  strerror(-r), remedy(r));
	if (r == 0 && s->failed)
		log_info("leases are saved to %s again", s->path);
	s->failed = r < 0;
	s->changed = r < 0;
}

static void lease_store_due(struct timer *t)
{
	lease_store_save(container_of(t, struct lease_store, timer));
}

void lease_store_changed(struct lease_store *s)
{
	s->changed = true;
	if (s->path && s->timer.deadline == USEC_NEVER)
		timer_set(&s->timer, loop_now(s->timer.loop) + SAVE_DELAY);
}

int lease_store_init(struct lease_store *s, struct loop *loop, struct guests *guests, const char *folder)
{
	_cleanup_(freep) char *path = paths_join(folder, "leases");
	int r;

	if (!path)
		return -ENOMEM;
	*s = (struct lease_store){ .guests = guests };
	timer_init(&s->timer, loop, lease_store_due);
	r = paths_make(folder);
	if (r < 0) {
		log_warning("cannot make the folder %s: %s; leases are not kept when the LAN goes down", folder, strerror(-r));
		return 0;
	}
	r = leases_load(guests, path, usec_wall() / USEC_S);
	if (r < 0)
		log_warning("cannot read the leases in %s: %s; guests may get other addresses than before", path, strerror(-r));
	s->path = steal(&path);
	return 0;
}

void lease_store_fini(struct lease_store *s)
{
	if (!s->guests)
		return;
	lease_store_save(s);
	timer_set(&s->timer, USEC_NEVER);
	free(s->path);
	*s = (struct lease_store){ 0 };
}
