// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lan/leases.h"

#define A4(last) ((addr_t){{ [10] = 0xff, [11] = 0xff, 10, 0, 2, last }})
#define A6(last) ((addr_t){{ 0xfd, 0x11, 0x22, [15] = last }})
#define MAC(n) ((struct mac){{ 0x52, 0x54, 0, 0, (uint8_t)((n) >> 8), (uint8_t)(n) }})
#define WALL ((int64_t)1700000000)

struct files { char folder[32], path[64], beside[64]; };

static int set_up(void **state)
{
	struct files *f = test_calloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/leases-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/leases", f->folder);
	snprintf(f->beside, sizeof(f->beside), "%s/leases.new", f->folder);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct files *f = *state;

	unlink(f->path);
	assert_int_equal(rmdir(f->folder), 0); /* nothing else was left there */
	test_free(f);
	return 0;
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static size_t read_file(const char *path, char *into, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(into, 1, size - 1, f);
	into[n] = 0;
	fclose(f);
	return n;
}

static void give(struct guests *g, unsigned int n, uint8_t last, enum lease_state state, int64_t until)
{
	struct guest *guest = guests_add(g, MAC(n), 1);

	guests_set_lease(g, guest, &guest->lease4, A4(last), state, until);
}

static void round_trip(void **state)
{
	struct files *f = *state;
	_cleanup_(guests_freep) struct guests *g = NULL, *h = NULL;
	struct guest *a;
	struct stat st;

	assert_int_equal(guests_new(&g), 0);
	assert_int_equal(guests_new(&h), 0);
	give(g, 1, 15, LEASE_BOUND, WALL + 10);
	a = guests_find(g, MAC(1));
	guests_set_lease(g, a, &a->lease6, A6(9), LEASE_BOUND, WALL + 20);
	memcpy(a->lease4.client_id, "\x01\x52\x54\xff\x00", a->lease4.client_id_size = 5);
	memset(a->lease6.client_id, 0xab, a->lease6.client_id_size = CLIENT_ID_MAX);
	a->lease6.iaid = UINT32_MAX;
	guests_set_name(g, a, "web", NAME_REGISTERED);
	give(g, 2, 16, LEASE_EXPIRED, WALL - 5);
	give(g, 3, 17, LEASE_OFFERED, WALL + 60);      /* an offer that was not taken: not kept */
	guests_learn(g, guests_add(g, MAC(4), 1), A4(99), 1); /* nothing to keep */
	guests_set_name(g, guests_add(g, MAC(5), 1), "only-a-name", NAME_FROM_DHCP);
	assert_int_equal(leases_save(g, f->path), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	assert_int_equal(leases_load(h, f->path, WALL + 10), 0);
	a = guests_find(h, MAC(1));
	assert_non_null(a);
	assert_int_equal(a->lease4.state, LEASE_EXPIRED); /* just now */
	assert_int_equal(a->lease6.state, LEASE_BOUND);
	assert_true(addr_equal(a->lease4.addr, A4(15)) && addr_equal(a->lease6.addr, A6(9)));
	assert_int_equal(a->lease4.until, WALL + 10);
	assert_memory_equal(a->lease4.client_id, "\x01\x52\x54\xff\x00", 5);
	assert_int_equal(a->lease6.client_id_size, CLIENT_ID_MAX);
	assert_int_equal(a->lease6.client_id[63], 0xab);
	assert_int_equal(a->lease6.iaid, UINT32_MAX);
	assert_ptr_equal(guests_by_name(h, "web"), a);
	assert_int_equal(a->name_origin, NAME_FROM_DHCP);
	assert_ptr_equal(guests_by_addr(h, A6(9)), a);
	assert_int_equal(guests_find(h, MAC(2))->lease4.state, LEASE_EXPIRED);
	assert_null(guests_find(h, MAC(3)));
	assert_null(guests_find(h, MAC(4)));
	assert_non_null(guests_by_name(h, "only-a-name"));
}

static void a_full_table(void **state)
{
	struct files *f = *state;
	_cleanup_(guests_freep) struct guests *g = NULL, *h = NULL;

	assert_int_equal(guests_new(&g), 0);
	assert_int_equal(guests_new(&h), 0);
	for (unsigned int i = 0; i < GUEST_MAX; i++) {
		struct guest *a = guests_add(g, MAC(i), 1);

		guests_set_lease(g, a, &a->lease4, addr_of4(ip4(0x0a010000 + i)), LEASE_BOUND, WALL + 1000);
	}
	assert_int_equal(leases_save(g, f->path), 0);
	assert_int_equal(leases_load(h, f->path, WALL), 0);
	for (unsigned int i = 0; i < GUEST_MAX; i++)
		assert_true(addr_equal(guests_find(h, MAC(i))->lease4.addr, addr_of4(ip4(0x0a010000 + i))));
}

static void missing_file(void **state)
{
	struct files *f = *state;
	_cleanup_(guests_freep) struct guests *g = NULL;

	assert_int_equal(guests_new(&g), 0);
	assert_int_equal(leases_load(g, f->path, WALL), 0);
	assert_null(guests_next(g, NULL));
	assert_int_equal(leases_load(g, f->folder, WALL), -EINVAL);
	assert_int_equal(leases_save(g, "/nonexistent/leases"), -ENOENT);
}

/* Run leases_load() and catch what it tells a person. */
static int load_and_listen(struct guests *g, const char *path, char *said, size_t size)
{
	char name[] = "/tmp/said-XXXXXX";
	int fd = mkstemp(name), before = dup(2), r;

	assert_true(fd >= 0 && before >= 0);
	dup2(fd, 2);
	r = leases_load(g, path, WALL);
	dup2(before, 2);
	close(before);
	close(fd);
	read_file(name, said, size);
	unlink(name);
	return r;
}

#define ZEROES_64 "0000000000000000000000000000000000000000000000000000000000000000"

static void damaged_lines(void **state)
{
	static const char *const bad[] = {
		"garbage", "52:54:00:00:00", "53:54:00:00:00:01 ip4=10.0.2.1 until4=1", "00:00:00:00:00:00 name=x",
		"52:54:00:00:00:01x ip4=10.0.2.15",
		"52:54:00:00:00:01 ip4=10.0.2.256 until4=1", "52:54:00:00:00:01 ip4=fd00::1 until4=1",
		"52:54:00:00:00:01 ip6=10.0.2.15 until6=1",
		"52:54:00:00:00:01 ip4=0.0.0.0 until4=1", "52:54:00:00:00:01 ip4=224.0.0.1", "52:54:00:00:00:01 ip4=10.0.2.15 until4=",
		"52:54:00:00:00:01 ip4=10.0.2.15 until4=-1", "52:54:00:00:00:01 ip4=10.0.2.15 until4=99999999999999999999",
		"52:54:00:00:00:01 ip4=10.0.2.15 until4=1x", "52:54:00:00:00:01 id4=0", "52:54:00:00:00:01 id4=zz",
		"52:54:00:00:00:01 id4=-1",
		"52:54:00:00:00:01 iaid=4294967296", "52:54:00:00:00:01 name=we_b", "52:54:00:00:00:01 name=", "52:54:00:00:00:01 wha=t",
		"52:54:00:00:00:01  ip4=10.0.2.15", "52:54:00:00:00:01 ip4", " 52:54:00:00:00:01 ip4=10.0.2.15", "\x80\xff\x01",
		/* an id of 65 bytes */
		"52:54:00:00:00:01 id4=" ZEROES_64 ZEROES_64 "00",
	};
	struct files *f = *state;
	char text[512], said[1024], where[80];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(guests_freep) struct guests *g = NULL;
		int n = snprintf(text, sizeof(text), "# a comment\n52:54:00:00:00:08 ip4=10.0.2.8 until4=1800000000\n%s\n"
				 "52:54:00:00:00:09 ip4=10.0.2.9 until4=1800000000", bad[i]);

		assert_int_equal(guests_new(&g), 0);
		write_file(f->path, text, (size_t)n);
		assert_int_equal(load_and_listen(g, f->path, said, sizeof(said)), 0);
		snprintf(where, sizeof(where), "%s:3: ", f->path);
		if (!strstr(said, where))
			fail_msg("\"%s\": %s", bad[i], said);
		assert_null(guests_find(g, MAC(1)));
		assert_non_null(guests_find(g, MAC(8))); /* the others are there, before and behind */
		assert_non_null(guests_find(g, MAC(9)));
	}
}

static void lines_that_contradict(void **state)
{
	static const char text[] =
		"52:54:00:00:00:01 ip4=10.0.2.15 until4=1800000000\n"
		"52:54:00:00:00:02 ip4=10.0.2.15 until4=1800000000\n" /* another's address */
		"52:54:00:00:00:01 ip4=10.0.2.16 until4=1800000000\n" /* a second line */
		"52:54:00:00:00:03 ip4=10.0.2.17 until4=1 name=web\n"
		"52:54:00:00:00:04 ip4=10.0.2.17 until4=1\n"
		"52:54:00:00:00:05 ip4=10.0.2.18 until4=1 name=WEB\n"; /* a name that is taken: the lease counts */
	struct files *f = *state;
	_cleanup_(guests_freep) struct guests *g = NULL;
	char said[1024];

	assert_int_equal(guests_new(&g), 0);
	write_file(f->path, text, strlen(text));
	assert_int_equal(load_and_listen(g, f->path, said, sizeof(said)), 0);
	assert_true(addr_equal(guests_find(g, MAC(1))->lease4.addr, A4(15)));
	assert_null(guests_find(g, MAC(2)));
	assert_null(guests_find(g, MAC(4)));
	assert_non_null(guests_find(g, MAC(5)));
	assert_ptr_equal(guests_by_name(g, "web"), guests_find(g, MAC(3)));
	assert_non_null(strstr(said, ":2: "));
	assert_non_null(strstr(said, ":3: "));
	assert_non_null(strstr(said, ":5: "));
	assert_null(strstr(said, ":6: "));
}

static void bytes_that_are_no_text(void **state)
{
	struct files *f = *state;
	static uint8_t noise[20000];
	struct rng r = { 7 };
	char said[65536];

	/* A line far too long, with a good one behind it; a NUL in a line; noise. */
	memset(noise, 'x', sizeof(noise));
	memcpy(noise + 10000, "\n52:54:00:00:00:08 ip4=10.0.2.8\n52:54:00:00:00:07\0 ip4=10.0.2.7\n#", 65);
	for (int round = 0; round < 50; round++) {
		_cleanup_(guests_freep) struct guests *g = NULL;

		assert_int_equal(guests_new(&g), 0);
		write_file(f->path, noise, sizeof(noise));
		assert_int_equal(load_and_listen(g, f->path, said, sizeof(said)), 0);
		if (!round) {
			assert_non_null(guests_find(g, MAC(8)));
			assert_null(guests_find(g, MAC(7)));
			assert_non_null(strstr(said, ":1: "));
			assert_non_null(strstr(said, ":3: "));
		}
		rng_fill(&r, noise, sizeof(noise));
	}
}

/*
 * Try to save more than there is room for, on a disk (or in a limit) of a few KiB. For a child, which cannot fail as a test does.
 * Return: what leases_save() says; or 1 if the old file is not as it was.
 */
static int save_much(const char *path)
{
	_cleanup_(guests_freep) struct guests *g = NULL;
	char before[256], after[256];
	int r;

	if (guests_new(&g) < 0)
		return 1;
	give(g, 1, 15, LEASE_BOUND, WALL);
	if (leases_save(g, path) || read_file(path, before, sizeof(before)) < 80)
		return 1;
	for (unsigned int i = 2; i < 1000; i++) {
		struct guest *a = guests_add(g, MAC(i), 1);

		guests_set_lease(g, a, &a->lease4, addr_of4(ip4(0x0a010000 + i)), LEASE_BOUND, WALL);
	}
	r = leases_save(g, path);
	read_file(path, after, sizeof(after));
	return strcmp(before, after) ? 1 : r;
}

/* A disk of two pages in a mount namespace of a child's own, where root may have one. Return: false if not. */
static bool mount_small(const char *folder)
{
	if (geteuid() || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	return mount("small", folder, "tmpfs", 0, "size=8k") == 0;
}

/* The child's part: 0 if all is as it should be. */
static int fill_disk(const struct files *f)
{
	struct rlimit limit = { 4096, 4096 };
	bool small = mount_small(f->folder);

	/* Where there is no such disk, a limit to the size of files fails in the same place. */
	signal(SIGXFSZ, SIG_IGN);
	if (!small && setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return 2;
	if (save_much(f->path) != (small ? -ENOSPC : -EFBIG))
		return 3;
	return access(f->beside, F_OK) ? 0 : 4;
}

static void full_disk(void **state)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child)
		_exit(fill_disk(*state));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* What lies in the way of the new file is not followed. */
static void no_links(void **state)
{
	struct files *f = *state;
	_cleanup_(guests_freep) struct guests *g = NULL;
	char target[80];

	assert_int_equal(guests_new(&g), 0);
	give(g, 1, 15, LEASE_BOUND, WALL);
	snprintf(target, sizeof(target), "%s/target", f->folder);
	write_file(target, "precious", 8);
	assert_int_equal(symlink(target, f->beside), 0);
	assert_int_equal(leases_save(g, f->path), -ELOOP);
	assert_int_equal(unlink(f->beside), 0);
	assert_int_equal(unlink(target), 0);
	assert_int_equal(leases_save(g, f->path), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(round_trip), T(a_full_table), T(missing_file), T(damaged_lines), T(lines_that_contradict), T(bytes_that_are_no_text),
		T(full_disk), T(no_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
