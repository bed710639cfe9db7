// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "cli/relay.h"

#define AMOUNT (8u << 20)

/* A relay in a process of its own: in -> socket -> out. */
struct world {
	int in, out, peer;     /* our ends */
	pid_t pid;
};

static void world_start(struct world *w)
{
	int in[2], out[2], pair[2];

	assert_int_equal(pipe(in) | pipe(out) | socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (!w->pid) {
		alarm(60);
		close(in[1]);
		close(out[0]);
		close(pair[1]);
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
		_exit(-relay_run(pair[0], in[0], out[1]));
	}
	close(in[0]);
	close(out[1]);
	close(pair[0]);
	w->in = in[1], w->out = out[0], w->peer = pair[1];
}

static int world_wait(struct world *w)
{
	int status;

	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void both_ways_and_half_closed(void **state)
{
	struct world w;
	char text[16] = "";

	(void)state;
	world_start(&w);
	assert_int_equal(write(w.in, "hello", 5), 5);
	assert_int_equal(recv(w.peer, text, 5, MSG_WAITALL), 5);
	assert_memory_equal(text, "hello", 5);
	close(w.in);
	assert_int_equal(read(w.peer, text, 1), 0);
	/* One way is closed, the other still carries. */
	assert_int_equal(write(w.peer, "world", 5), 5);
	assert_int_equal(read(w.out, text, sizeof(text)), 5);
	shutdown(w.peer, SHUT_WR);
	assert_int_equal(read(w.out, text, 1), 0);
	assert_int_equal(world_wait(&w), 0);
	close(w.out);
	close(w.peer);
}

static void the_other_side_closes_first(void **state)
{
	struct world w;
	char text[16];

	(void)state;
	world_start(&w);
	assert_int_equal(write(w.peer, "bye", 3), 3);
	shutdown(w.peer, SHUT_WR);
	assert_int_equal(read(w.out, text, sizeof(text)), 3);
	assert_int_equal(read(w.out, text, 1), 0);
	assert_int_equal(write(w.in, "still", 5), 5);
	assert_int_equal(recv(w.peer, text, 5, MSG_WAITALL), 5);
	/* Now wholly: no end of input is needed. */
	close(w.peer);
	assert_int_equal(world_wait(&w), 0);
	close(w.in);
	close(w.out);
}

static void who_reads_us_goes(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	close(w.out);
	assert_int_equal(world_wait(&w), EPIPE);
	close(w.in);
	close(w.peer);
}

/* A peer that closes with our bytes unread cuts the connection; what it said before still arrives. */
static void the_other_side_cuts(void **state)
{
	struct world w;
	char text[16];

	(void)state;
	world_start(&w);
	assert_int_equal(write(w.in, "x", 1), 1);
	assert_int_equal(recv(w.peer, text, 1, MSG_PEEK), 1);
	close(w.peer);
	assert_int_equal(world_wait(&w), ECONNRESET);
	close(w.in);
	close(w.out);
}

static unsigned char byte_at(size_t i, unsigned int salt) { return (unsigned char)(i * 31 + (i >> 11) * 7 + salt); }

struct feed { int fd; unsigned int salt; };

static void *feed_all(void *arg)
{
	struct feed *f = arg;
	unsigned char part[5000];

	for (size_t done = 0; done < AMOUNT;) {
		size_t want = MIN(sizeof(part), AMOUNT - done), used = 0;

		for (size_t i = 0; i < want; i++)
			part[i] = byte_at(done + i, f->salt);
		while (used < want) {
			ssize_t n = write(f->fd, part + used, want - used);

			if (n <= 0)
				return "write failed";
			used += (size_t)n;
		}
		done += want;
	}
	return NULL;
}

static void *read_all(void *arg)
{
	struct feed *f = arg;
	unsigned char part[70000];

	for (size_t done = 0; done < AMOUNT;) {
		ssize_t n = read(f->fd, part, sizeof(part));

		if (n <= 0)
			return "read failed";
		for (ssize_t i = 0; i < n; i++)
			if (part[i] != byte_at(done + (size_t)i, f->salt))
				return "a byte is wrong";
		done += (size_t)n;
	}
	return NULL;
}

/* Both ways at once, with each side reading as it likes: nothing stalls, no byte is lost. */
static void a_lot_both_ways(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	struct feed feeds[] = { { w.in, 1 }, { w.peer, 2 }, { w.peer, 1 }, { w.out, 2 } };
	pthread_t threads[4];
	char text[1];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? feed_all : read_all, &feeds[i]), 0);
	for (int i = 0; i < 4; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	close(w.in);
	shutdown(w.peer, SHUT_WR);
	assert_int_equal(read(w.out, text, 1), 0);
	assert_int_equal(world_wait(&w), 0);
	close(w.out);
	close(w.peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_and_half_closed),
		cmocka_unit_test(the_other_side_closes_first),
		cmocka_unit_test(who_reads_us_goes),
		cmocka_unit_test(the_other_side_cuts),
		cmocka_unit_test(a_lot_both_ways),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
