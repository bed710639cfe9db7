// SPDX-License-Identifier: MIT
/* Up, Down and Plan of one LAN: file, snapshot, journal, plan and apply, in that order. */
#include "bridge/service_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "bridge/lan_file.h"
#include "bridge/lan_taps.h"
#include "lan/paths.h"

void outcome_fini(struct outcome *o)
{
	steps_fini(&o->steps);
	json_decref(o->changes);
}

/* The first failure is the one to be told. */
static void fail(struct outcome *o, const char *error, int code)
{
	if (o->error)
		return;
	o->error = error;
	o->code = code;
	if (!*o->message)
		snprintf(o->message, sizeof(o->message), "%s", strerror(-code));
}

/* --- what is written --- */

/* Return: the journal, or NULL where there is none, or none was asked for; *r says which. */
static struct journal *open_journal(struct service_lan *l, bool make, int *r)
{
	struct journal *j = NULL;

	*r = 0;
	if (!make && access(l->journal, F_OK) < 0)
		return NULL;
	*r = paths_make(l->state_folder);
	if (!*r)
		*r = journal_open(&j, l->journal, l->name);
	return *r < 0 ? NULL : j;
}

static void fail_journal(struct service_lan *l, struct outcome *o, int r)
{
	snprintf(o->message, sizeof(o->message), "cannot use the journal %s: %s%s", l->journal, strerror(-r),
		 r == -EBADMSG ? " (it is damaged: put the host in order by hand, then remove it)" : "");
	fail(o, "Failed", r);
}

static int plan_down(struct journal *j, struct steps *out)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	int r = snapshot_read(&now);

	return r < 0 ? r : bridge_plan_down(out, journal_steps(j), now);
}

/* Is there nothing left to undo? What goes with a link that was removed, or that somebody changed since, stays in the journal as it was. */
static bool is_undone(struct journal *j)
{
	struct steps left = { 0 };
	bool undone = plan_down(j, &left) == 0 && !left.count;

	steps_fini(&left);
	return undone;
}

/* --- up --- */

static void plan_up(struct service_lan *l, const struct lan_config *config, struct journal *j, struct outcome *o)
{
	const struct bridge_config *is = l->up ? &l->up->config->bridge : NULL;
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	int r = bridge_plan_same(config, is, j ? journal_steps(j) : NULL, o->message, sizeof(o->message));

	if (!r)
		r = snapshot_read(&now);
	if (!r && j)
		r = bridge_plan_mend(now, journal_steps(j));
	if (!r)
		r = bridge_plan_up(&o->steps, config, now, o->message, sizeof(o->message));
	if (r < 0)
		fail(o, r == -EINVAL || r == -EADDRINUSE ? "Refused" : "Failed", r);
}

/* @word: a mark, for the service that finds the journal if this one dies meanwhile */
static void take_steps(struct journal *j, bool undo, const char *word, struct outcome *o)
{
	struct apply apply = { .journal = j, .undo = undo };
	struct apply_result result = { 0 };
	int r;

	if (!o->steps.count)
		return;
	r = journal_mark(j, word);
	if (!r || !undo) /* the way back does not depend on what can be written */
		r = bridge_apply(&apply, &o->steps, &result);
	o->done = result.taken;
	o->rolled_back = result.rolled_back;
	if (r < 0) {
		snprintf(o->message, sizeof(o->message), "%s", *result.message ? result.message : strerror(-r));
		fail(o, "Failed", r);
	}
}

/* Guests, rules, services: what is beyond the plan. */
static int serve(struct service_lan *l, struct lan_config *config, json_t *changes, char *error, size_t size)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	struct lan_up_params params = service_lan_params(l);
	int r = snapshot_read(&now);

	if (r < 0) {
		lan_config_free(config);
		snprintf(error, size, "cannot read the host's network: %s", strerror(-r));
		return r;
	}
	return l->up ? lan_up_configure(l->up, config, now, changes, error, size) : lan_up_new(&l->up, &params, config, now, error, size);
}

static void stop_serving(struct service_lan *l)
{
	if (!l->up) { /* a service that died may have left it all the same */
		lan_up_sweep(l->service->route, l->name, l->runtime);
		return;
	}
	lan_up_remove(l->up);
	l->up = lan_up_free(l->up);
}

/* Back to what was before, after a failure behind the steps. */
static void undo(struct service_lan *l, struct journal *j, struct outcome *o)
{
	struct outcome back = { 0 };

	stop_serving(l);
	if (plan_down(j, &back.steps) == 0)
		take_steps(j, false, MARK_BACK, &back);
	o->rolled_back = !back.error && is_undone(j);
	if (o->rolled_back && journal_clear(j) < 0)
		log_warning("cannot write %s", l->journal);
	l->state = o->rolled_back ? LAN_DOWN : LAN_BROKEN;
	outcome_fini(&back);
}

static void verify(const struct lan_config *config, struct outcome *o)
{
	int r = bridge_verify(config, o->message, sizeof(o->message));

	if (r < 0)
		fail(o, "Failed", r);
}

static void mark(struct service_lan *l, const struct lan_config *config, struct journal *j, int64_t trial, bool answered, struct outcome *o)
{
	char word[64] = MARK_UP;
	int r = 0;

	if (trial) {
		service_lan_begin_trial(l, config, trial, answered);
		snprintf(word, sizeof(word), "trying %lld", (long long)l->until);
	} else {
		service_lan_end_trial(l);
	}
	if (strcmp(journal_marked(j), word))
		r = journal_mark(j, word);
	if (r < 0)
		fail_journal(l, o, r);
	else
		l->state = trial ? LAN_TRYING : LAN_UP;
}

/* A change of a LAN that is up has failed: where all of it was undone, it is what it was, on trial too if it was. */
static void stay_up(struct service_lan *l, struct journal *j, const char *word, const struct outcome *o)
{
	if (!o->rolled_back || (strcmp(journal_marked(j), word) && journal_mark(j, word) < 0))
		l->state = LAN_BROKEN;
}

static void go_up(struct service_lan *l, struct lan_config *config, int64_t trial, bool answered, struct journal *j, struct outcome *o)
{
	bool was_up = l->state == LAN_UP || l->state == LAN_TRYING;
	char word[64];
	int r;

	snprintf(word, sizeof(word), "%s", journal_marked(j));
	o->changes = json_array();
	plan_up(l, config, j, o);
	if (o->error) {
		lan_config_free(config);
		return; /* nothing has changed */
	}
	/* A LAN that is up, and stays as it is, has nothing to be tried. */
	if (l->state == LAN_UP && !o->steps.count)
		trial = 0;
	take_steps(j, true, trial ? MARK_BACK : MARK_WORKING, o);
	if (!o->error && o->steps.count)
		verify(config, o);
	r = o->error ? 0 : serve(l, config, o->changes, o->message, sizeof(o->message));
	if (o->error)
		lan_config_free(config);
	if (r < 0)
		fail(o, "Failed", r);
	if (!o->error)
		mark(l, l->up->config, j, trial, answered, o);
	if (!o->error)
		return;
	if (was_up)
		stay_up(l, j, word, o);
	else
		undo(l, j, o);
}

void service_lan_up(struct service_lan *l, struct lan_config *config, int64_t trial, bool answered, struct outcome *o)
{
	int r;
	_cleanup_(journal_freep) struct journal *j = open_journal(l, true, &r);

	if (!j) {
		lan_config_free(config);
		fail_journal(l, o, r);
		return;
	}
	go_up(l, config, trial, answered, j, o);
	if (!o->error)
		log_info("LAN %s is %s", l->name, service_lan_state(l));
	if (l->state == LAN_DOWN && !journal_steps(j)->count && unlink(l->journal) < 0 && errno != ENOENT)
		log_warning("cannot remove %s: %s", l->journal, strerror(errno));
}

/* --- down --- */

void service_lan_down(struct service_lan *l, struct outcome *o)
{
	int r;
	_cleanup_(journal_freep) struct journal *j = open_journal(l, false, &r);

	service_lan_end_trial(l);
	if (r < 0) {
		fail_journal(l, o, r);
		return;
	}
	if (!j) {
		if (l->up)
			stop_serving(l);
		l->state = LAN_DOWN;
		return;
	}
	/* What hangs on the bridge goes first. */
	stop_serving(l);
	service_lan_hand_over(l, j);
	r = plan_down(j, &o->steps);
	if (r < 0)
		fail(o, "Failed", r);
	else
		take_steps(j, false, MARK_BACK, o);
	if (o->error || !is_undone(j)) {
		l->state = LAN_BROKEN;
		if (!o->error) {
			snprintf(o->message, sizeof(o->message), "some of what was done could not be undone; the journal %s names it", l->journal);
			fail(o, "Failed", -EBUSY);
		}
		return;
	}
	r = unlink(l->journal) < 0 ? journal_clear(j) : 0;
	if (r < 0)
		fail_journal(l, o, r);
	l->state = LAN_DOWN;
	log_info("LAN %s is down", l->name);
}

/* --- plan --- */

void service_lan_plan(struct service_lan *l, bool down, struct outcome *o)
{
	int r;
	_cleanup_(journal_freep) struct journal *j = open_journal(l, false, &r);
	struct lan_config *config;

	if (r < 0) {
		fail_journal(l, o, r);
		return;
	}
	if (down) {
		r = j ? plan_down(j, &o->steps) : 0;
		if (r < 0)
			fail(o, "Failed", r);
		return;
	}
	r = lan_file_load(&config, l->service->p.config, l->name, o->message, sizeof(o->message));
	if (r < 0) {
		fail(o, r == -ENOENT ? "NoLan" : r == -EINVAL ? "Invalid" : "Refused", r);
		return;
	}
	plan_up(l, config, j, o);
	lan_config_free(config);
}
