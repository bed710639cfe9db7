// SPDX-License-Identifier: MIT
#include "gateway_world.h"
#include "gateway/forward.h"
#include "io/loop.h"
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#define OWN4 "198.51.100.7"

struct accepted { struct guest *guest; addr_t addr, client; uint16_t port, client_port; int fd; };

struct fixture {
	struct world *w;
	struct loop *loop;
	struct guests *guests;
	struct guest *web;
	struct forwards *forwards;
	struct deferred turn_end;
	int turn_ends;
	int refuse;                 /* what accepted() says */
	struct accepted accepted[256];
	size_t count;
	char error[512];
};

static int on_accepted(void *owner, struct guest *guest, addr_t addr, uint16_t port, int fd, addr_t client, uint16_t client_port)
{
	struct fixture *f = owner;

	if (f->refuse)
		return f->refuse;
	assert_true(f->count < ARRAY_SIZE(f->accepted));
	f->accepted[f->count++] = (struct accepted){ guest, addr, client, port, client_port, fd };
	return 0;
}

static void on_turn_end(struct deferred *d) { container_of(d, struct fixture, turn_end)->turn_ends++; }

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct forwards_params p;

	f->w = world_new(HOST_ACCESS_LAN, 64);
	assert_int_equal(loop_new(&f->loop), 0);
	deferred_init(&f->turn_end, f->loop, on_turn_end);
	assert_int_equal(guests_new(&f->guests), 0);
	f->web = guests_add(f->guests, guest_mac_of(0), f->w->now);
	assert_int_equal(guests_set_name(f->guests, f->web, "web", NAME_REGISTERED), 0);
	guests_set_lease(f->guests, f->web, &f->web->lease4, guest_addr_of(0, false), LEASE_BOUND, INT64_MAX);
	assert_true(guests_learn(f->guests, f->web, guest_addr_of(0, true), f->w->now));
	f->web->port_id = 2;
	p = (struct forwards_params){ .loop = f->loop, .guests = f->guests, .udp = f->w->udp, .turn_end = &f->turn_end,
		.accepted = on_accepted, .owner = f };
	assert_int_equal(forwards_new(&f->forwards, &p), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->count; i++)
		close(f->accepted[i].fd);
	forwards_free(f->forwards);
	guests_free(f->guests);
	deferred_remove(&f->turn_end);
	loop_free(f->loop);
	world_free(f->w);
	free(f);
	return 0;
}

static struct forward_rule rule(const char *listen, const char *to)
{
	struct forward_rule r;
	char error[512];

	if (forward_parse(&r, listen, to, error, sizeof(error)))
		fail_msg("%s", error);
	return r;
}

static int add(struct fixture *f, const char *listen, const char *to)
{
	struct forward_rule r = rule(listen, to);
	int result = forwards_add(f->forwards, &r, f->error);

	assert_int_equal(result == 0, f->error[0] == 0);
	return result;
}

static void add_well(struct fixture *f, const char *listen, const char *to)
{
	if (add(f, listen, to))
		fail_msg("%s", f->error);
}

static int rm(struct fixture *f, const char *listen)
{
	struct forward_rule r = rule(listen, "any:1");

	return forwards_remove(f->forwards, &r);
}

/* Connect; -1 if nobody listens. */
static int client_tcp(const char *addr, uint16_t port)
{
	union sockaddr_any sa;
	socklen_t size = host_sockaddr(&sa, a(addr), port);
	int fd = socket(sa.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { .tv_sec = 2 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, &sa.sa, size))
		return fd;
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	return -1;
}

static void turn(struct fixture *f, int turns)
{
	while (turns--)
		assert_int_equal(loop_turn(f->loop, 50 * USEC_MS), 0);
}

static bool listens(const char *addr, uint16_t port)
{
	int fd = client_tcp(addr, port);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void note_clients(void *owner, const struct forward_rule *r, uint64_t clients)
{
	uint64_t *out = owner;

	out[0]++;
	out[1] = clients;
	(void)r;
}

static uint64_t clients(struct fixture *f, uint64_t *count)
{
	uint64_t out[2] = { 0, 0 };

	forwards_each(f->forwards, note_clients, out);
	if (count)
		*count = out[0];
	return out[1];
}

static void test_tcp(void **state)
{
	static const struct { const char *from; bool v6; } cases[] = { { "127.0.0.1", false }, { "::1", true } };
	struct fixture *f = *state;

	add_well(f, "8080", "web:80");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = client_tcp(cases[i].from, 8080);
		char c = 0;

		assert_true(fd >= 0);
		turn(f, 1);
		assert_int_equal(f->count, i + 1);
		struct accepted *got = &f->accepted[i];

		assert_ptr_equal(got->guest, f->web);
		/* By the client's own version, so that the guest can see it. */
		assert_true(addr_equal(got->addr, guest_addr_of(0, cases[i].v6)));
		assert_int_equal(got->port, 80);
		assert_true(addr_equal(got->client, a(cases[i].from)));
		assert_int_not_equal(got->client_port, 0);
		assert_int_equal(write(got->fd, "x", 1), 1);
		assert_int_equal(read(fd, &c, 1), 1);
		assert_true(fcntl(got->fd, F_GETFL) & O_NONBLOCK);
		close(fd);
	}
	assert_int_equal(clients(f, NULL), 2);
	assert_false(listens(OWN4, 8080));
	assert_int_equal(rm(f, "8080"), 0);
	assert_int_equal(rm(f, "8080"), -ENOENT);
	assert_false(listens("127.0.0.1", 8080) || listens("::1", 8080));
	/* What it brought is left alone. */
	assert_int_equal(write(f->accepted[0].fd, "x", 1), 1);
	assert_int_equal(fcntl(f->accepted[0].fd, F_GETFD), FD_CLOEXEC);
}

static void test_addresses(void **state)
{
	struct fixture *f = *state;

	add_well(f, "*:8080", "web:80");
	assert_true(listens("127.0.0.1", 8080) && listens(OWN4, 8080) && listens("::1", 8080) && listens("2001:db8:1::7", 8080));
	add_well(f, OWN4 ":8081", "web:80");
	assert_true(!listens("127.0.0.1", 8081) && listens(OWN4, 8081) && !listens("::1", 8081));
	assert_int_equal(rm(f, OWN4 ":8081"), 0);
	assert_int_equal(rm(f, "8080"), -ENOENT);
	assert_int_equal(rm(f, "*:8080"), 0);
	assert_false(listens("127.0.0.1", 8080));
}

/* The guest is whoever has the name at that moment. */
static void test_guest_found_late(void **state)
{
	struct fixture *f = *state;
	int fd;
	char c;

	add_well(f, "8080", "later:80");
	fd = client_tcp("127.0.0.1", 8080);
	turn(f, 1);
	assert_int_equal(f->count, 0);
	assert_int_equal(read(fd, &c, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	struct guest *later = guests_add(f->guests, guest_mac_of(1), f->w->now);

	assert_int_equal(guests_set_name(f->guests, later, "later", NAME_REGISTERED), 0);
	assert_true(guests_learn(f->guests, later, guest_addr_of(1, false), f->w->now));
	fd = client_tcp("::1", 8080);
	turn(f, 1);
	assert_int_equal(f->count, 0); /* not attached */
	close(fd);
	later->port_id = 3;
	/* It has no IPv6 address: then by the other version. */
	fd = client_tcp("::1", 8080);
	turn(f, 1);
	assert_int_equal(f->count, 1);
	assert_true(addr_equal(f->accepted[0].addr, guest_addr_of(1, false)));
	close(fd);
	/* A gateway that does not want it: the client hears of it. */
	f->refuse = -ENOSPC;
	fd = client_tcp("::1", 8080);
	turn(f, 1);
	assert_int_equal(read(fd, &c, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	assert_int_equal(clients(f, NULL), 1);
}

static void test_guest_by_address(void **state)
{
	struct fixture *f = *state;
	int fd;

	add_well(f, "8080", "[fd00:1::10]:80");
	add_well(f, "8081", "10.0.2.99:80");
	fd = client_tcp("127.0.0.1", 8080);
	turn(f, 1);
	assert_int_equal(f->count, 1);
	assert_true(addr_equal(f->accepted[0].addr, guest_addr_of(0, true)));
	close(fd);
	fd = client_tcp("127.0.0.1", 8081);
	turn(f, 1);
	assert_int_equal(f->count, 1);
	close(fd);
}

static void test_range(void **state)
{
	struct fixture *f = *state;
	uint64_t count;
	int taken, fd;

	add_well(f, "9000-9019", "web:100");
	fd = client_tcp("127.0.0.1", 9019);
	turn(f, 1);
	assert_int_equal(f->accepted[0].port, 119);
	close(fd);
	assert_int_equal(rm(f, "9000-9018"), -ENOENT);
	assert_int_equal(rm(f, "9000-9019"), 0);

	/* All or none. */
	taken = socket(AF_INET6, SOCK_STREAM, 0);
	union sockaddr_any sa;
	socklen_t size = host_sockaddr(&sa, a("::1"), 9015);

	assert_int_equal(bind(taken, &sa.sa, size), 0);
	assert_int_equal(listen(taken, 1), 0);
	assert_int_equal(add(f, "9000-9019", "web:100"), -EADDRINUSE);
	assert_non_null(strstr(f->error, "[::1]:9015/tcp"));
	assert_non_null(strstr(f->error, "another program"));
	assert_false(listens("127.0.0.1", 9000) || listens("127.0.0.1", 9015));
	clients(f, &count);
	assert_int_equal(count, 0);
	close(taken);
}

static void test_overlap(void **state)
{
	struct fixture *f = *state;

	add_well(f, "9000-9009", "web:100");
	assert_int_equal(add(f, "127.0.0.1:9009", "web:80"), -EADDRINUSE);
	assert_non_null(strstr(f->error, "9000-9009"));
	assert_non_null(strstr(f->error, "web:100"));
	assert_non_null(strstr(f->error, "hospes forward rm 9000-9009"));
	add_well(f, "9000-9009/udp", "web:100");
}

static void test_refused_by_kernel(void **state)
{
	struct fixture *f = *state;
	struct rlimit was, now;
	int next;

	assert_int_equal(add(f, "198.51.100.200:8080", "web:80"), -EADDRNOTAVAIL);
	assert_non_null(strstr(f->error, "198.51.100.200:8080/tcp"));
	assert_non_null(strstr(f->error, "does not have that address"));
	next = dup(0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &was);
	now = (struct rlimit){ next + 5, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(add(f, "9000-9019", "web:100"), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_non_null(strstr(f->error, "ulimit -n"));
	assert_false(listens("127.0.0.1", 9000));
	/* Nothing is left open. */
	int again = dup(0);

	assert_int_equal(again, next);
	close(again);
}

/* An ordinary user, and a port that is root's. */
static void test_privileged_port(void **state)
{
	struct fixture *f = *state;
	int result;

	if (seteuid(65534))
		skip(); /* a user namespace with one user in it */
	assert_int_equal(seteuid(65534), 0);
	result = add(f, "80", "web:80");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(result, -EACCES);
	assert_non_null(strstr(f->error, "ports below 1024"));
	assert_non_null(strstr(f->error, "use 8080 instead"));
	assert_non_null(strstr(f->error, "ip_unprivileged_port_start=80"));
}

/* More clients than descriptors: the loop does not spin, and those that wait are served later. */
static void test_no_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit was, now;
	int fds[3], next, turns = 0;
	usec_t end;

	add_well(f, "8080", "web:80");
	for (int i = 0; i < 3; i++)
		fds[i] = client_tcp("127.0.0.1", 8080);
	next = dup(0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &was);
	now = (struct rlimit){ next + 1, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	end = usec_now() + 300 * USEC_MS;
	while (usec_now() < end) {
		assert_int_equal(loop_turn(f->loop, 100 * USEC_MS), 0);
		turns++;
	}
	assert_true(turns < 10);
	assert_int_equal(f->count, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	end = usec_now() + 3 * USEC_S;
	while (f->count < 3 && usec_now() < end)
		loop_turn(f->loop, 100 * USEC_MS);
	assert_int_equal(f->count, 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void test_udp(void **state)
{
	struct fixture *f = *state;
	struct world *w = f->w;
	int client = server(OWN4, 6000), other = server("127.0.0.1", 6001);
	size_t at = 0;
	uint16_t port;
	addr_t from;

	add_well(f, "*:8080-8081/udp", "web:80");
	server_send(client, a(OWN4), 8081, "query", 5);
	turn(f, 1);
	assert_int_equal(f->turn_ends, 1);
	expect_udp(w, 0, &at, w->plan.gateway4, 6000, 81, "query", 5);
	assert_int_equal(guest_udp(w, 0, 81, w->plan.gateway4, 6000, "answer", 6, false), DROP_NONE);
	from = server_expect(client, "answer", 6, &port);
	assert_int_equal(port, 8081);
	assert_true(addr_equal(from, a(OWN4)));
	/* One that asked by loopback is answered from there. */
	server_send(other, a("127.0.0.1"), 8080, "other", 5);
	server_send(other, a("127.0.0.1"), 8080, "again", 5);
	turn(f, 1);
	expect_udp(w, 0, &at, w->plan.gateway4, 6001, 80, "other", 5);
	expect_udp(w, 0, &at, w->plan.gateway4, 6001, 80, "again", 5);
	assert_int_equal(guest_udp(w, 0, 80, w->plan.gateway4, 6001, "answer", 6, false), DROP_NONE);
	from = server_expect(other, "answer", 6, &port);
	assert_true(addr_equal(from, a("127.0.0.1")));
	assert_int_equal(clients(f, NULL), 2);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 2);
	assert_int_equal(rm(f, "*:8080-8081/udp"), 0);
	assert_int_equal(flow_count(w->flows, FLOW_UDP), 0);
	/* The port is free. */
	close(server("127.0.0.1", 8080));
	close(client);
	close(other);
}

static int client_unix(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, path);
	if (!connect(fd, (struct sockaddr *)&un, sizeof(un)))
		return fd;
	close(fd);
	return -errno;
}

static void test_unix(void **state)
{
	struct fixture *f = *state;
	char folder[] = "/tmp/hospes-test-XXXXXX", path[64], text[128];
	struct stat st;
	int fd, stale;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/x.sock", folder);
	add_well(f, path, "web:22");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	fd = client_unix(path);
	assert_true(fd >= 0);
	turn(f, 1);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->accepted[0].port, 22);
	assert_true(addr_equal(f->accepted[0].addr, guest_addr_of(0, false)));
	assert_true(addr_is_any(f->accepted[0].client));
	close(fd);
	assert_int_equal(rm(f, path), 0);
	assert_int_equal(stat(path, &st), -1);

	/* A socket that somebody serves is left alone; one that nobody does is replaced. */
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	strcpy(un.sun_path, path);
	stale = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(stale, 1), 0);
	assert_int_equal(add(f, path, "web:22"), -EADDRINUSE);
	assert_non_null(strstr(f->error, path));
	assert_int_equal(stat(path, &st), 0);
	/* Nor is one that has no time for us now. */
	int busy[8];

	for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
		busy[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(busy[i], (struct sockaddr *)&un, sizeof(un));
	}
	assert_int_equal(add(f, path, "web:22"), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
		close(busy[i]);
	close(stale);
	add_well(f, path, "web:22");
	/* If somebody has put another in its place, that stays. */
	assert_int_equal(unlink(path), 0);
	stale = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(rm(f, path), 0);
	assert_int_equal(stat(path, &st), 0);
	close(stale);

	/* A file is not touched. */
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(add(f, path, "web:22"), -EEXIST);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	snprintf(text, sizeof(text), "%s/none/x.sock", folder);
	assert_int_equal(add(f, text, "web:22"), -ENOENT);
	assert_non_null(strstr(f->error, "make its folder first"));
	assert_int_equal(rmdir(folder), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tcp), TEST(test_addresses), TEST(test_guest_found_late), TEST(test_guest_by_address), TEST(test_range),
		TEST(test_overlap),
		TEST(test_refused_by_kernel), TEST(test_privileged_port), TEST(test_no_descriptors), TEST(test_udp), TEST(test_unix),
	};
	pid_t router = netns_enter();
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	netns_leave(router);
	return r;
}
