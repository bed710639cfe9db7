// SPDX-License-Identifier: MIT
/* The small rooms of base/: hash, drop reasons, descriptors, messages, clocks. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "base/drop.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/usec.h"

/* The paper's own key 00 01 ... 0f, and messages 00 01 02 ... of these sizes (its reference implementation's vectors). */
static void siphash_vectors(void **state)
{
	static const struct { size_t size; uint64_t hash; } vectors[] = {
		{ 0, 0x726fdb47dd0e0e31 }, { 1, 0x74f839c593dc67fd }, { 2, 0x0d6c8009d9a94f5a }, { 7, 0xab0200f58b01d137 },
		{ 8, 0x93f5f5799a932462 }, { 15, 0xa129ca6149be45e5 }, { 63, 0x958a324ceb064572 },
	};
	const struct hash_key key = { { 0x0706050403020100, 0x0f0e0d0c0b0a0908 } };
	uint8_t data[64];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		assert_true(hash_bytes(&key, data, vectors[i].size) == vectors[i].hash);
}

static void hash_keys_differ(void **state)
{
	struct hash_key a = hash_key_random(), b = hash_key_random();

	(void)state;
	assert_true(memcmp(&a, &b, sizeof(a)));
	assert_true(hash_bytes(&a, "x", 1) != hash_bytes(&b, "x", 1));
}

static void drop_reasons_have_words(void **state)
{
	(void)state;
	assert_string_equal(drop_name(DROP_NONE), "none");
	assert_string_equal(drop_name(DROP_SPOOFED_MAC), "spoofed-mac");
	for (int a = 0; a < DROP_COUNT; a++) {
		assert_true(strlen(drop_text((enum drop)a)) > 0);
		for (int b = 0; b < a; b++)
			assert_string_not_equal(drop_name((enum drop)a), drop_name((enum drop)b));
	}
	assert_string_equal(drop_name((enum drop)DROP_COUNT), "unknown");
}

static void descriptor_travels_with_its_bytes(void **state)
{
	union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control;
	char got[8] = { 0 }, through = 0;
	struct iovec iov = { got, sizeof(got) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int pair[2], ends[2], received;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fd_send_fd(pair[0], ends[1], "hello", 5), 0);
	assert_int_equal(recvmsg(pair[1], &msg, MSG_CMSG_CLOEXEC), 5);
	assert_string_equal(got, "hello");
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(received));
	assert_int_equal(write(received, "z", 1), 1);
	assert_int_equal(read(ends[0], &through, 1), 1);
	assert_int_equal(through, 'z');
	assert_true(fcntl(ends[1], F_GETFD) >= 0); /* the sender keeps its own */

	close(pair[1]);
	assert_int_equal(fd_send_fd(pair[0], ends[1], "x", 1), -EPIPE);
	assert_int_equal(fd_send_fd(-1, ends[1], "x", 1), -EBADF);
	for (size_t i = 0; i < 2; i++)
		close(ends[i]);
	close(received);
	close(pair[0]);
}

static void descriptor_helpers(void **state)
{
	int ends[2], copy;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fd_set_nonblock(ends[0]), 0);
	assert_true(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_nonblock(-1), -EBADF);
	copy = ends[0];
	{
		_cleanup_fd_ int fd = ends[0];
		_cleanup_fd_ int kept = ends[1];

		assert_int_equal(fd_steal(&kept), ends[1]);
		assert_int_equal(kept, -1);
		(void)fd;
	}
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	assert_true(fcntl(ends[1], F_GETFD) >= 0);
	close(ends[1]);
}

static void limit_is_raised(void **state)
{
	struct rlimit before, after, low;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){ .rlim_cur = MIN(before.rlim_max, (rlim_t)64), .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(fd_raise_limit(), before.rlim_max);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_int_equal(after.rlim_cur, before.rlim_max);
}

/* What @emit writes to standard error. */
static size_t capture(void (*emit)(void), char *into, size_t size)
{
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t got;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	emit();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	got = read(ends[0], into, size - 1);
	close(ends[0]);
	assert_true(got >= 0);
	into[got] = '\0';
	return (size_t)got;
}

static void emit_hostile(void)
{
	errno = ENOENT;
	log_error("guest %s: %m", "we\nb\033[2J");
	assert_int_equal(errno, ENOENT);
}

static void emit_long(void)
{
	char text[9000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_warning("%s", text);
}

static void emit_debug(void)
{
	log_debug("seen");
}

static void messages_are_one_line(void **state)
{
	char text[8192], want[256];

	(void)state;
	capture(emit_hostile, text, sizeof(text));
	snprintf(want, sizeof(want), "%s: guest we?b?[2J: No such file or directory\n", program_invocation_short_name);
	assert_string_equal(text, want);
	assert_int_equal(capture(emit_long, text, sizeof(text)), 4096 - 1);
	assert_ptr_equal(strchr(text, '\n'), text + 4096 - 2);

	unsetenv("HOSPES_DEBUG");
	assert_int_equal(capture(emit_debug, text, sizeof(text)), 0);
	setenv("HOSPES_DEBUG", "1", 1);
	assert_true(capture(emit_debug, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "debug: seen\n"));
}

static void clocks_run(void **state)
{
	usec_t a = usec_now(), b = usec_now();

	(void)state;
	assert_true(a > 0 && b >= a);
	assert_true(usec_wall() > (usec_t)1600000000 * USEC_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_vectors),
		cmocka_unit_test(hash_keys_differ),
		cmocka_unit_test(drop_reasons_have_words),
		cmocka_unit_test(descriptor_travels_with_its_bytes),
		cmocka_unit_test(descriptor_helpers),
		cmocka_unit_test(limit_is_raised),
		cmocka_unit_test(messages_are_one_line),
		cmocka_unit_test(clocks_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
