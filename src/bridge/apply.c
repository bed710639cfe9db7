// SPDX-License-Identifier: MIT
#include "bridge/apply.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>

#include "bridge/apply_private.h"

#define BATCH_MAX 256        /* steps in one sendmsg; a socket's buffer takes more */
#define MESSAGES_A_STEP 2

struct run {
	const struct apply *a;
	struct steps *steps;
	struct apply_result *result;
	struct nl *nl;
	int errors[BATCH_MAX * MESSAGES_A_STEP];
	char said[400];          /* nft's own words */
	bool stopped;
};

static void note_failure(struct run *run, size_t at, int error)
{
	_cleanup_(freep) char *text = step_format(&run->steps->step[at]);
	struct apply_result *r = run->result;

	if (r->failed != SIZE_MAX)
		return;
	r->failed = at;
	r->error = error;
	snprintf(r->message, sizeof(r->message), "%.100s: %s", text ? text : "out of memory", run->said[0] ? run->said : strerror(-error));
}

/* The way back is found by what is: a disk that is full must not keep anybody from it. */
static bool must_be_written(const struct step *s)
{
	return !s->undoes;
}

/* How a step ended: into the journal, the count, the tests' ear. Return: false to stop. */
static bool settle(struct run *run, size_t at, int error)
{
	struct step *s = &run->steps->step[at];

	if (error && apply_is_harmless(s->kind, error))
		error = 0;
	if (error)
		note_failure(run, at, error);
	else
		run->result->taken++, s->state = STEP_DONE;
	if (!error && run->a->after && run->a->after(run->a->owner, s, at)) {
		run->stopped = true;
		return false;
	}
	if (run->a->journal && journal_result(run->a->journal, s, error) && !error && must_be_written(s))
		note_failure(run, at, -EIO);
	return run->result->failed == SIZE_MAX || !run->a->undo;
}

/* Send what is in the batch: of steps @from to @to, @messages each. All of them are settled, since all of them were tried. */
static bool send_batch(struct run *run, size_t from, size_t to, const uint8_t *messages)
{
	size_t at = 0;
	bool go = true;
	int r = nl_send(run->nl, run->errors);

	for (size_t i = from; i < to && !run->stopped; i++) {
		int error = r;

		for (uint8_t k = 0; k < messages[i - from]; k++, at++)
			if (!error && run->errors[at] && !apply_is_harmless(run->steps->step[i].kind, run->errors[at]))
				error = run->errors[at];
		go &= settle(run, i, error);
	}
	return go && !run->stopped;
}

/*
 * Steps @from to @to in as few batches as can be. A step whose link is made by an earlier one of the batch ends the batch before it; a link
 * that is not there even then fails that step.
 */
static bool take_batch(struct run *run, size_t from, size_t to)
{
	uint8_t messages[BATCH_MAX];
	size_t sent = from;
	bool go = true;

	for (size_t i = from; go && i < to; i++) {
		size_t before;
		int r;

		if (nl_is_full(run->nl)) {
			go = send_batch(run, sent, i, messages);
			sent = i;
		}
		if (!go)
			break;
		before = nl_count(run->nl);
		r = apply_put(run->nl, &run->steps->step[i]);
		if (r == -ENODEV && before) {
			go = send_batch(run, sent, i, messages);
			sent = i;
			before = 0;
			r = go ? apply_put(run->nl, &run->steps->step[i]) : 0;
		}
		if (r) {
			go &= !before || send_batch(run, sent, i, messages);
			sent = i + 1;
			go = go && settle(run, i, r);
			continue;
		}
		messages[i - sent] = (uint8_t)(nl_count(run->nl) - before);
	}
	return go ? send_batch(run, sent, to, messages) : false;
}

static size_t batch_end(const struct run *run, size_t from)
{
	size_t to = from + 1;

	while (!run->a->single && to < run->steps->count && to - from < BATCH_MAX && apply_is_netlink(run->steps->step[to].kind))
		to++;
	return to;
}

static int take_all(struct run *run)
{
	size_t i = 0, to;
	bool go = true;
	int r;

	while (go && i < run->steps->count) {
		bool batch = apply_is_netlink(run->steps->step[i].kind);

		to = batch ? batch_end(run, i) : i + 1;
		r = run->a->journal ? journal_intend(run->a->journal, &run->steps->step[i], to - i) : 0;
		if (r && must_be_written(&run->steps->step[i])) {
			snprintf(run->said, sizeof(run->said), "the journal cannot be written: %s", strerror(-r));
			note_failure(run, i, r);
			return r;
		}
		run->said[0] = 0;
		if (batch)
			go = take_batch(run, i, to);
		else
			go = settle(run, i, apply_take(&run->steps->step[i], run->said, sizeof(run->said)));
		i = to;
	}
	return 0;
}

/* Those that were taken, the last first. Return: 0 if all of it was undone. */
static int undo(const struct apply *a, const struct steps *steps)
{
	struct apply back = { .journal = a->journal };
	struct apply_result result;
	struct steps inverse = { 0 };
	int r = 0;

	for (size_t i = steps->count; !r && i-- > 0;) {
		struct step s;

		if (steps->step[i].state != STEP_DONE)
			continue;
		r = step_inverse(&s, &steps->step[i]);
		if (!r)
			r = steps_add(&inverse, &s);
	}
	if (!r)
		r = bridge_apply(&back, &inverse, &result);
	steps_fini(&inverse);
	return r;
}

/* A user who is not there is found out before anything is done. */
static int check_owners(const struct steps *steps, struct apply_result *result)
{
	for (size_t i = 0; i < steps->count; i++) {
		const struct step *s = &steps->step[i];
		uint32_t uid;
		int r = s->kind == STEP_TAP_ADD ? apply_owner(s->value, &uid) : 0;

		if (!r)
			continue;
		result->failed = i;
		result->error = r;
		snprintf(result->message, sizeof(result->message), "Taps: %s cannot belong to %s: %s", s->link, s->value,
			 r == -ENOENT ? "there is no such user" : strerror(-r));
		return r;
	}
	return 0;
}

int bridge_apply(const struct apply *a, struct steps *steps, struct apply_result *result)
{
	_cleanup_(nl_freep) struct nl *nl = NULL;
	_cleanup_(freep) struct run *run = calloc(1, sizeof(*run));
	int r;

	*result = (struct apply_result){ .failed = SIZE_MAX };
	r = run ? check_owners(steps, result) : -ENOMEM;
	if (!r)
		r = nl_new(&nl, NETLINK_ROUTE);
	if (r) {
		if (!result->message[0])
			snprintf(result->message, sizeof(result->message), "netlink: %s", strerror(-r));
		result->error = r;
		return r;
	}
	*run = (struct run){ .a = a, .steps = steps, .result = result, .nl = nl };
	take_all(run);
	if (run->stopped)
		return -ECANCELED;
	if (result->failed != SIZE_MAX && a->undo)
		result->rolled_back = !undo(a, steps);
	return result->failed == SIZE_MAX ? 0 : result->error;
}

/*
 * A DHCP client that has not been told yet puts the address that was taken from the uplink there again, with its routes, perhaps at once.
 * That is no step that failed; who went up is told what to type, and the next `up` takes it off.
 */
static bool is_put_back(const struct step *s, const char *uplink)
{
	bool taken_off = s->kind == STEP_ADDRESS_DEL || s->kind == STEP_ROUTE_DEL;

	return *uplink && ((taken_off && !strcmp(s->link, uplink)) || (s->kind == STEP_ROUTE_ADD && !strcmp(s->key, uplink)));
}

int bridge_verify(const struct lan_config *config, char *error, size_t error_size)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	_cleanup_(freep) char *text = NULL;
	struct steps steps = { 0 };
	int r = snapshot_read(&now);

	if (r) {
		snprintf(error, error_size, "LAN %s: the host's state cannot be read: %s", config->name, strerror(-r));
		return r;
	}
	r = bridge_plan_up(&steps, config, now, error, error_size);
	for (size_t i = 0; !r && i < steps.count; i++) {
		if (is_put_back(&steps.step[i], config->bridge.uplink))
			continue;
		text = step_format(&steps.step[i]);
		snprintf(error, error_size, "LAN %s is not as configured: it still needs %s", config->name, text ? text : "a step");
		r = -EUCLEAN;
	}
	steps_fini(&steps);
	return r;
}
