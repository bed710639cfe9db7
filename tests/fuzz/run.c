// SPDX-License-Identifier: MIT
/*
 * Runs a fuzz target where libFuzzer is not at hand: every seed as it is, then seeds changed at random until the time is over.
 *
 *	fuzz_X [--seconds N] [--seed N] [--stall N] [--save FILE] [SEED-FILE|SEED-FOLDER]...
 *
 * The target runs in a child, on an input that lies in shared memory. However the child ends, the parent still has the input that
 * did it, and saves it; `fuzz_X FILE` repeats it. A target that takes more than --stall seconds (10) for one input has stalled.
 * Exit status: 0, or 1 if the target failed, or 2 on a wrong command line.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "fuzz.h"

#define INPUT_MAX 8192
#define SEEDS_MAX 512

struct seed { size_t size; uint8_t *data; };

struct plan {
	unsigned int seconds, stall;
	uint64_t random;
	const char *save;
	struct seed seeds[SEEDS_MAX];
	size_t count;
};

/* What the parent can still read when the child has died. */
struct attempt {
	uint64_t runs;
	size_t size;
	uint8_t data[INPUT_MAX];
};

static uint64_t next(struct plan *p)
{
	/* xorshift64* (Marsaglia 2003, Vigna 2014) */
	p->random ^= p->random >> 12;
	p->random ^= p->random << 25;
	p->random ^= p->random >> 27;
	return p->random * UINT64_C(2685821657736338717) >> 16;
}

static void flip_bit(struct plan *p, struct attempt *a)
{
	if (a->size)
		a->data[next(p) % a->size] ^= (uint8_t)(1 << next(p) % 8);
}

static void set_byte(struct plan *p, struct attempt *a)
{
	static const uint8_t telling[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x3f, 0x40, 0x45, 0x60, 0x7f, 0x80, 0xc0, 0xfe, 0xff };

	if (a->size)
		a->data[next(p) % a->size] = next(p) % 2 ? telling[next(p) % ARRAY_SIZE(telling)] : (uint8_t)next(p);
}

/* Field by field, lengths are what parsers get wrong: write one that is about right in network order. */
static void set_size(struct plan *p, struct attempt *a)
{
	uint16_t value = (uint16_t)(a->size + next(p) % 64 - 48);
	size_t at;

	if (a->size < 2)
		return;
	at = next(p) % (a->size - 1);
	a->data[at] = (uint8_t)(value >> 8);
	a->data[at + 1] = (uint8_t)value;
}

static void insert_bytes(struct plan *p, struct attempt *a)
{
	size_t at = next(p) % (a->size + 1), size = MIN(1 + next(p) % 16, sizeof(a->data) - a->size);

	memmove(a->data + at + size, a->data + at, a->size - at);
	for (size_t i = 0; i < size; i++)
		a->data[at + i] = (uint8_t)next(p);
	a->size += size;
}

static void remove_bytes(struct plan *p, struct attempt *a)
{
	size_t at = next(p) % (a->size + 1), size = MIN(1 + next(p) % 16, a->size - at);

	memmove(a->data + at, a->data + at + size, a->size - at - size);
	a->size -= size;
}

static void cut_end(struct plan *p, struct attempt *a)
{
	a->size = next(p) % (a->size + 1);
}

/* Lay a piece of a seed over a place of its own choice. */
static void splice(struct plan *p, struct attempt *a)
{
	const struct seed *s = &p->seeds[next(p) % p->count];
	size_t from = next(p) % (s->size + 1), to = next(p) % (a->size + 1);
	size_t size = MIN(next(p) % (s->size - from + 1), sizeof(a->data) - to);

	if (size)
		memcpy(a->data + to, s->data + from, size);
	a->size = MAX(a->size, to + size);
}

static void change(struct plan *p, struct attempt *a)
{
	static void (*const ways[])(struct plan *p, struct attempt *a) = {
		flip_bit, flip_bit, set_byte, set_byte, set_byte, set_size, insert_bytes, remove_bytes, cut_end, splice,
	};
	const struct seed *s = &p->seeds[next(p) % p->count];

	a->size = s->size;
	if (s->size)
		memcpy(a->data, s->data, s->size);
	for (uint64_t n = 1 + next(p) % 8; n; n--)
		ways[next(p) % ARRAY_SIZE(ways)](p, a);
}

/* Call the target on a copy of just the right size, so that the address sanitizer sees a read past the end. */
static void attempt_once(const struct plan *p, struct attempt *a)
{
	_cleanup_(freep) uint8_t *copy = copy_bytes(a->data, a->size).iov_base;

	alarm(p->stall);
	LLVMFuzzerTestOneInput(copy, a->size);
	a->runs++;
}

static int run_child(struct plan *p, struct attempt *a)
{
	time_t end = time(NULL) + (time_t)p->seconds;

	for (size_t i = 0; i < p->count; i++) {
		a->size = p->seeds[i].size;
		if (a->size)
			memcpy(a->data, p->seeds[i].data, a->size);
		attempt_once(p, a);
	}
	while (p->seconds && time(NULL) < end) {
		change(p, a);
		attempt_once(p, a);
	}
	alarm(p->stall); /* the leak sanitizer looks when we exit */
	for (size_t i = 0; i < p->count; i++)
		free(p->seeds[i].data);
	return 0;
}

static int report(const struct plan *p, const struct attempt *a, int status)
{
	FILE *f;

	fprintf(stderr, "%s: %llu inputs\n", program_invocation_short_name, (unsigned long long)a->runs);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		fprintf(stderr, "%s: stalled\n", program_invocation_short_name);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "%s: %s\n", program_invocation_short_name, strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "%s: exit status %d\n", program_invocation_short_name, WEXITSTATUS(status));
	f = p->save ? fopen(p->save, "w") : NULL;
	if (!f)
		return 1;
	if (fwrite(a->data, 1, a->size, f) != a->size || fclose(f))
		fprintf(stderr, "%s: %s: %m\n", program_invocation_short_name, p->save);
	else
		fprintf(stderr, "%s: the last input is in %s\n", program_invocation_short_name, p->save);
	return 1;
}

static int add_file(struct plan *p, const char *path)
{
	struct seed *s = &p->seeds[p->count];
	FILE *f = fopen(path, "r");

	if (!f || p->count == SEEDS_MAX - 1) {
		fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, f ? "too many seeds" : strerror(errno));
		if (f)
			fclose(f);
		return 2;
	}
	s->data = malloc(INPUT_MAX);
	MUST(s->data);
	s->size = fread(s->data, 1, INPUT_MAX, f);
	p->count++;
	fclose(f);
	return 0;
}

/* A file, or the files of a folder; a folder that does not exist holds no seeds. */
static int add_seeds(struct plan *p, const char *path)
{
	struct dirent **entries;
	struct stat st;
	int count, failed = 0;

	if (stat(path, &st) < 0 && errno == ENOENT && p->seconds)
		return 0;
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return add_file(p, path);
	count = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && !failed)
			failed = add_file(p, name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return failed;
}

static int read_arguments(struct plan *p, int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 't' }, { "seed", required_argument, NULL, 'r' },
		{ "stall", required_argument, NULL, 's' }, { "save", required_argument, NULL, 'o' }, { 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 't': p->seconds = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'r': p->random = strtoull(optarg, NULL, 10) | 1; break;
		case 's': p->stall = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'o': p->save = optarg; break;
		default: return 2;
		}
	for (int i = optind; i < argc; i++)
		if (add_seeds(p, argv[i]))
			return 2;
	if (p->seconds)
		p->count++; /* the empty input, which everything can grow from */
	return 0;
}

int main(int argc, char **argv)
{
	struct plan p = { .stall = 10, .random = 1 };
	struct attempt *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, failed;
	pid_t child;

	MUST(a != MAP_FAILED);
	failed = read_arguments(&p, argc, argv);
	if (failed)
		return failed;
	child = fork();
	MUST(child >= 0);
	if (!child)
		return run_child(&p, a);
	MUST(waitpid(child, &status, 0) == child);
	for (size_t i = 0; i < p.count; i++)
		free(p.seeds[i].data);
	return report(&p, a, status);
}
