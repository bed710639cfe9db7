// SPDX-License-Identifier: MIT
/* spin CORE CORE MILLISECONDS: the round trip in ns of a word that two spinning cores hand to each other: which mode the machine is in */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TURNS 100 /* few, so that it ends soon where other work keeps one of the cores away */

struct shared {
	_Alignas(128) _Atomic uint64_t there;
	_Alignas(128) _Atomic uint64_t back;
	int core;
};

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		perror("spin: sched_setaffinity");
}

static void *answer(void *context)
{
	struct shared *s = context;
	uint64_t seen = 0, value;

	pin(s->core);
	do {
		value = atomic_load_explicit(&s->there, memory_order_acquire);
		if (value != seen)
			atomic_store_explicit(&s->back, seen = value, memory_order_release);
	} while (value != UINT64_MAX);
	return NULL;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Return: ns of one round trip, the mean of many */
static double sample(struct shared *s, uint64_t *value)
{
	double start = now_ns();

	for (int i = 0; i < TURNS; i++) {
		atomic_store_explicit(&s->there, ++*value, memory_order_release);
		while (atomic_load_explicit(&s->back, memory_order_acquire) != *value)
			;
	}
	return (now_ns() - start) / TURNS;
}

int main(int argc, char **argv)
{
	static double samples[1 << 16];
	static struct shared s;
	pthread_t other;
	uint64_t value = 0;
	size_t count = 0;
	double end;

	if (argc != 4)
		return fprintf(stderr, "spin CORE CORE MILLISECONDS\n"), 2;
	pin(atoi(argv[1]));
	s.core = atoi(argv[2]);
	if (pthread_create(&other, NULL, answer, &s))
		return perror("spin: pthread_create"), 1;
	for (end = now_ns() + 1e6 * atoi(argv[3]); now_ns() < end && count < 1 << 16;)
		samples[count++] = sample(&s, &value);
	atomic_store(&s.there, UINT64_MAX);
	pthread_join(other, NULL);
	qsort(samples, count, sizeof(*samples), compare);
	printf("%.1f\n", samples[count / 2]);
	return 0;
}
