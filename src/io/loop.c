// SPDX-License-Identifier: MIT
#include "io/loop.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>

#include "base/fd.h"

#define EVENTS_A_TURN 64
#define LOOKS_A_CALL  16 /* looks at the pollers between two at the descriptors, while spinning */

struct loop {
	int epoll;
	usec_t now;
	struct list timers;   /* by deadline, equal ones in the order they were set */
	struct list deferred;
	struct list last;     /* deferred to after the others */
	struct list pollers;  /* those that are looked at */
	struct spin spin;

	/* What epoll reported and has not been delivered yet: watch_remove() scrubs its own events here. */
	struct epoll_event events[EVENTS_A_TURN];
	int next_event, event_count;

	void *buffer;         /* see loop_take_buffer() */
	bool buffer_taken;

	bool stopped;
	int result;

	int signal_fd;
	struct watch signal_watch;
	void (*signalled)(void *owner, int signal);
	void *signal_owner;
};

DEFINE_CLEANUP(loop)

/* Address space only: pages come as they are used, and one at a time, so that light traffic does not cost a huge page. */
static void *loop_map_buffer(void)
{
	void *buffer = mmap(NULL, LOOP_BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (buffer == MAP_FAILED)
		return NULL;
	madvise(buffer, LOOP_BUFFER_SIZE, MADV_NOHUGEPAGE);
	return buffer;
}

int loop_new(struct loop **out)
{
	_cleanup_(loop_freep) struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->signal_fd = -1;
	l->signal_watch.fd = -1;
	l->now = usec_now();
	list_init(&l->timers);
	list_init(&l->deferred);
	list_init(&l->last);
	list_init(&l->pollers);
	spin_init(&l->spin, SPIN_AUTO);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return -errno;
	l->buffer = loop_map_buffer();
	if (!l->buffer)
		return -ENOMEM;
	*out = steal(&l);
	return 0;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	/* Owners that go after the loop may still clear what they had here. */
	list_for_each(n, &l->timers)
		list_remove(n);
	list_for_each(n, &l->deferred)
		list_remove(n);
	list_for_each(n, &l->last)
		list_remove(n);
	list_for_each(n, &l->pollers)
		list_remove(n);
	watch_remove(&l->signal_watch);
	fd_close(l->signal_fd);
	fd_close(l->epoll);
	if (l->buffer)
		munmap(l->buffer, LOOP_BUFFER_SIZE);
	free(l);
	return NULL;
}

usec_t loop_now(const struct loop *l)
{
	return l->now;
}

void *loop_take_buffer(struct loop *l)
{
	if (l->buffer_taken)
		return NULL;
	l->buffer_taken = true;
	return l->buffer;
}

void loop_give_buffer(struct loop *l)
{
	l->buffer_taken = false;
}

/* Move every node from one list to the end of another. */
static void list_move_all(struct list *to, struct list *from)
{
	list_for_each(n, from) {
		list_remove(n);
		list_append(to, n);
	}
}

/* How long a turn may sleep: USEC_NEVER if nothing but an event is waited for. */
static usec_t loop_patience(const struct loop *l, usec_t timeout)
{
	usec_t left;

	if (!list_empty(&l->deferred) || !list_empty(&l->last))
		return 0;
	if (list_empty(&l->timers))
		return timeout;
	/* Not loop_now(): the last turn's work took time too. */
	left = list_entry(l->timers.next, struct timer, node)->deadline - usec_now();
	return left < 0 ? 0 : MIN(left, timeout);
}

/* Return: 0 or negative errno; l->event_count says how many came. */
static int loop_sleep(struct loop *l, usec_t patience)
{
	struct timespec ts = { .tv_sec = patience / USEC_S, .tv_nsec = patience % USEC_S * 1000 };
	int count = epoll_pwait2(l->epoll, l->events, EVENTS_A_TURN, patience == USEC_NEVER ? NULL : &ts, NULL);

	l->next_event = 0;
	l->event_count = MAX(count, 0);
	return count < 0 && errno != EINTR ? -errno : 0;
}

/* Look at each poller once. Return: was there anything? */
static bool loop_look(struct loop *l)
{
	struct list looked;
	bool found = false;

	/* One by one through a list of their own: a look may remove any of them. */
	list_init(&looked);
	l->now = usec_now();
	while (!list_empty(&l->pollers)) {
		struct list *n = l->pollers.next;

		list_remove(n);
		list_append(&looked, n);
		found |= list_entry(n, struct poller, node)->look(list_entry(n, struct poller, node));
	}
	list_move_all(&l->pollers, &looked);
	return found;
}

/*
 * Look again and again, at the descriptors too, between looks at pollers if there are any. Return: 1 if there was anything, 0 if not, or
 * negative errno.
 */
static int loop_look_for(struct loop *l, usec_t budget)
{
	usec_t start = usec_now(), before = start;

	for (unsigned int i = 1; before - start < budget; i++) {
		bool give;
		usec_t now;

		if (loop_look(l))
			return 1;
		give = list_empty(&l->pollers) || i % LOOKS_A_CALL == 0;
		if (give) {
			int r = loop_sleep(l, 0);

			if (r < 0 || l->event_count)
				return r < 0 ? r : 1;
			sched_yield(); /* to whoever is to answer, if it waits for this processor */
		}
		now = usec_now();
		spin_looked(&l->spin, now - before, give, now);
		before = now;
		spin_relax();
	}
	return 0;
}

/* Nothing was found: let all pollers rest. Return: does one say that it has something after all? */
static bool loop_rest(struct loop *l)
{
	struct list awake;
	bool more = false;

	list_init(&awake);
	while (!list_empty(&l->pollers)) {
		struct poller *p = list_entry(l->pollers.next, struct poller, node);

		list_remove(&p->node);
		if (p->rest(p)) {
			list_append(&awake, &p->node);
			more = true;
		}
	}
	list_move_all(&l->pollers, &awake);
	return more;
}

/* Wait for something to do, without a system call if there is something at once or soon. */
static int loop_wait(struct loop *l, usec_t timeout)
{
	usec_t patience = loop_patience(l, timeout), start, budget;
	bool found = !list_empty(&l->pollers) && loop_look(l);
	int r;

	l->event_count = 0;
	if (found)
		spin_waited(&l->spin, 0);
	if (found || !patience)
		return loop_sleep(l, 0);
	start = usec_now();
	budget = MIN(spin_budget(&l->spin, !list_empty(&l->pollers), start), patience);
	if (budget || !list_empty(&l->pollers)) {
		r = loop_look_for(l, budget);
		if (budget)
			spin_ended(&l->spin, r > 0);
		if (!r && loop_rest(l) && loop_look(l))
			r = 1;
		if (r) {
			spin_waited(&l->spin, usec_now() - start);
			return r < 0 || l->event_count ? MIN(r, 0) : loop_sleep(l, 0);
		}
		/* Whoever looked or went to rest may have set a timer or left work for the turn's end. */
		patience = loop_patience(l, timeout);
	}
	r = loop_sleep(l, patience);
	spin_waited(&l->spin, usec_now() - start);
	return r;
}

static void loop_deliver_events(struct loop *l)
{
	while (l->next_event < l->event_count) {
		const struct epoll_event *e = &l->events[l->next_event++];
		struct watch *w = e->data.ptr;
		uint32_t events;

		if (!w)
			continue;
		/* An earlier callback of this turn may have changed what this one wants to hear. */
		events = e->events & (w->events | EPOLLERR | EPOLLHUP);
		if (events)
			w->ready(w, events);
	}
}

/*
 * Those that are due are taken out first: one that sets itself to a time past waits for the next turn, and cannot keep this one
 * from ending.
 */
static void loop_deliver_timers(struct loop *l)
{
	struct list due;

	list_init(&due);
	list_for_each(n, &l->timers) {
		if (list_entry(n, struct timer, node)->deadline > l->now)
			break;
		list_remove(n);
		list_append(&due, n);
	}
	while (!list_empty(&due)) {
		struct timer *t = list_entry(due.next, struct timer, node);

		list_remove(&t->node);
		t->deadline = USEC_NEVER;
		t->due(t);
	}
}

static void loop_deliver_deferred(struct list *deferred)
{
	struct list due;

	list_init(&due);
	list_move_all(&due, deferred);
	while (!list_empty(&due)) {
		struct deferred *d = list_entry(due.next, struct deferred, node);

		list_remove(&d->node);
		d->call(d);
	}
}

int loop_turn(struct loop *l, usec_t timeout)
{
	int r = loop_wait(l, timeout);

	if (r < 0)
		return r;
	l->now = usec_now();
	loop_deliver_events(l);
	loop_deliver_timers(l);
	loop_deliver_deferred(&l->deferred);
	loop_deliver_deferred(&l->last);
	return 0;
}

int loop_run(struct loop *l)
{
	while (!l->stopped) {
		int r = loop_turn(l, USEC_NEVER);

		if (r < 0)
			return r;
	}
	l->stopped = false;
	return l->result;
}

void loop_stop(struct loop *l, int result)
{
	l->stopped = true;
	l->result = result;
}

void loop_spin(struct loop *l, usec_t limit)
{
	spin_init(&l->spin, limit);
}

void loop_moved(struct loop *l, size_t bytes)
{
	spin_moved(&l->spin, bytes);
}

void poller_init(struct poller *p, struct loop *l, bool (*look)(struct poller *p), bool (*rest)(struct poller *p))
{
	*p = (struct poller){ .look = look, .rest = rest, .loop = l };
	list_init(&p->node);
}

void poller_set(struct poller *p)
{
	if (list_empty(&p->node))
		list_append(&p->loop->pollers, &p->node);
}

void poller_remove(struct poller *p)
{
	list_remove(&p->node);
}

int watch_add(struct watch *w, struct loop *l, int fd, uint32_t events, void (*ready)(struct watch *w, uint32_t events))
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	*w = (struct watch){ .fd = -1, .events = events, .ready = ready, .loop = l };
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	w->fd = fd;
	return 0;
}

int watch_set(struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	if (events == w->events)
		return 0;
	if (epoll_ctl(w->loop->epoll, EPOLL_CTL_MOD, w->fd, &e) < 0)
		return -errno;
	w->events = events;
	return 0;
}

void watch_remove(struct watch *w)
{
	struct loop *l = w->loop;

	if (w->fd < 0 || !l)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	for (int i = l->next_event; i < l->event_count; i++)
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
}

void timer_init(struct timer *t, struct loop *l, void (*due)(struct timer *t))
{
	*t = (struct timer){ .deadline = USEC_NEVER, .due = due, .loop = l };
	list_init(&t->node);
}

void timer_set(struct timer *t, usec_t deadline)
{
	struct list *at;

	if (deadline == t->deadline)
		return;
	list_remove(&t->node);
	t->deadline = deadline;
	if (deadline == USEC_NEVER)
		return;
	/* From the back: a new deadline is mostly the latest. */
	for (at = t->loop->timers.prev; at != &t->loop->timers; at = at->prev)
		if (list_entry(at, struct timer, node)->deadline <= deadline)
			break;
	list_append(at->next, &t->node); /* appending to a node puts it before that node */
}

void deferred_init(struct deferred *d, struct loop *l, void (*call)(struct deferred *d))
{
	*d = (struct deferred){ .call = call, .loop = l };
	list_init(&d->node);
}

void deferred_add(struct deferred *d)
{
	if (list_empty(&d->node))
		list_append(&d->loop->deferred, &d->node);
}

void deferred_add_last(struct deferred *d)
{
	if (list_empty(&d->node))
		list_append(&d->loop->last, &d->node);
}

void deferred_remove(struct deferred *d)
{
	list_remove(&d->node);
}

static void loop_read_signals(struct watch *w, _unused_ uint32_t events)
{
	struct loop *l = w->loop;
	struct signalfd_siginfo info;

	while (read(l->signal_fd, &info, sizeof(info)) == sizeof(info))
		l->signalled(l->signal_owner, (int)info.ssi_signo);
}

int loop_on_signal(struct loop *l, void (*signalled)(void *owner, int signal), void *owner)
{
	_cleanup_fd_ int fd = -1;
	sigset_t set;
	int r;

	if (l->signal_fd >= 0)
		return -EBUSY;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = watch_add(&l->signal_watch, l, fd, EPOLLIN, loop_read_signals);
	if (r < 0)
		return r;
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		r = -errno;
		watch_remove(&l->signal_watch);
		return r;
	}
	l->signalled = signalled;
	l->signal_owner = owner;
	l->signal_fd = fd_steal(&fd);
	return 0;
}
