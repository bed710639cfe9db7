// SPDX-License-Identifier: MIT
/* A LAN that comes up, is told to change, goes down; and the folders, sockets and files that stand in its way. */
#include "lan_fixture.h"

#include <fcntl.h>
#include <sys/un.h>

#include "control/lease_store.h"
#include "engine/routes.h"

/* Standard error goes to a pipe. Return: what to give to said(). */
struct hush { int read_end, before; };

static struct hush hush(void)
{
	struct hush h;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	h = (struct hush){ .read_end = ends[0], .before = dup(STDERR_FILENO) };
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	return h;
}

/* Standard error is itself again. Return: what was said. */
static const char *said(struct hush h)
{
	static char text[8192];
	ssize_t n = read(h.read_end, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = 0;
	dup2(h.before, STDERR_FILENO);
	close(h.before);
	close(h.read_end);
	return text;
}

static char *in_runtime(const struct lan *l, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", l->runtime, name);
	return path;
}

static void test_everything_is_private_and_goes(void **state)
{
	static const char *const names[] = { "stream", "dgram", "control", "pid" };
	struct lan *l = *state;
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(stat(in_runtime(l, names[i]), &st), 0);
		assert_int_equal(st.st_mode & 077, 0);
	}
	assert_int_equal(stat(l->runtime, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	engine_down(l->engine);
	assert_int_not_equal(stat(l->runtime, &st), 0);
}

static void test_second_daemon_is_told_who_has_it(void **state)
{
	struct lan *l = *state;
	struct engine *second = NULL;
	char pid[32];
	struct hush h = hush();
	int r = lan_up(l, &second);
	const char *text = said(h);

	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_int_equal(r, -EBUSY);
	assert_non_null(strstr(text, pid));
	assert_non_null(strstr(text, "hospes down test"));
	/* And nothing was taken from the first. */
	assert_int_equal(access(in_runtime(l, "control"), F_OK), 0);
	json_decref(lan_expect(l, "Status", "", ""));
}

/* A socket in the runtime folder that is not the LAN's; -1: one that nobody serves. */
static void put_socket(struct lan *l, const char *name, int type, int *serving)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.90s", in_runtime(l, name));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	if (serving)
		*serving = fd;
	else
		close(fd);
}

static void test_stale_sockets_are_replaced(void **state)
{
	struct lan *l = *state;

	l->engine = engine_free(l->engine);
	assert_int_equal(mkdir(l->runtime, 0700), 0);
	put_socket(l, "stream", SOCK_STREAM, NULL);
	put_socket(l, "dgram", SOCK_DGRAM, NULL);
	put_socket(l, "control", SOCK_STREAM, NULL);
	lan_write(in_runtime(l, "pid"), "999999\n");
	assert_int_equal(lan_up(l, &l->engine), 0);
	json_decref(lan_expect(l, "Status", "", ""));
}

static void test_live_sockets_of_others_are_left(void **state)
{
	static const struct { const char *name; int type; } cases[] = {
		{ "stream", SOCK_STREAM }, { "dgram", SOCK_DGRAM }, { "control", SOCK_STREAM }, { "dgram", SOCK_STREAM },
	};
	struct lan *l = *state;
	struct hush h;
	int serving;

	l->engine = engine_free(l->engine);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(mkdir(l->runtime, 0700), 0);
		put_socket(l, cases[i].name, cases[i].type, &serving);
		h = hush();
		assert_int_equal(lan_up(l, &l->engine), -EADDRINUSE);
		assert_non_null(strstr(said(h), "another program serves the socket"));
		close(serving);
		assert_int_equal(unlink(in_runtime(l, cases[i].name)), 0);
		rmdir(l->runtime);
	}
}

static void test_files_in_the_way_are_left(void **state)
{
	struct lan *l = *state;
	struct hush h;

	l->engine = engine_free(l->engine);
	assert_int_equal(mkdir(l->runtime, 0700), 0);
	lan_write(in_runtime(l, "stream"), "precious");
	h = hush();
	assert_int_equal(lan_up(l, &l->engine), -EEXIST);
	assert_non_null(strstr(said(h), "in the way"));
	assert_int_equal(access(in_runtime(l, "stream"), F_OK), 0);
}

static void test_path_too_long(void **state)
{
	struct lan *l = *state;
	char longer[256];
	struct hush h;
	struct engine *engine = NULL;
	struct engine_params params = { .loop = l->loop, .plan = &l->plan, .machine_id = "1", .runtime = longer, .state = l->state,
		.resolv_conf = "/x" };
	struct lan_config *config;
	char error[1024];

	snprintf(longer, sizeof(longer), "%s/%0100d", l->folder, 0);
	assert_int_equal(lan_config_load(&config, "test", NULL, error, sizeof(error)), 0);
	h = hush();
	assert_int_equal(engine_new(&engine, &params, config), -ENAMETOOLONG);
	assert_non_null(strstr(said(h), "XDG_RUNTIME_DIR"));
	assert_int_not_equal(access(longer, F_OK), 0);
}

/* --- reload --- */

static bool has_change(const json_t *answer, const char *part)
{
	const json_t *change;
	size_t i;

	json_array_foreach(json_object_get(answer, "changes"), i, change)
		if (strstr(json_string_value(change), part))
			return true;
	return false;
}

static void test_reload(void **state)
{
	struct lan *l = *state;
	json_t *answer;
	char text[1024];

	snprintf(text, sizeof(text), "[LAN]\nIPv4 = 10.0.9.0/24\nHostAccess = none\nMTU = 1400\nPoll = 50\n[Guest]\nName = db\nIPv4 = 10.0.9.77\n"
				     "[Forward]\nListen = %s/a.sock\nTo = db:5432\n", l->folder);
	lan_write(l->config, text);
	answer = lan_expect(l, "Reload", "", "");
	assert_int_equal(json_array_size(json_object_get(answer, "changes")), 5);
	assert_true(has_change(answer, "HostAccess is none"));
	assert_true(has_change(answer, "Poll is"));
	assert_true(has_change(answer, "MTU cannot change"));
	assert_true(has_change(answer, "guest db registered"));
	assert_true(has_change(answer, "a.sock to db:5432 added"));
	json_decref(answer);
	answer = lan_expect(l, "Status", "", "");
	assert_string_equal(json_string_value(json_object_get(answer, "host_access")), "none");
	assert_int_equal(json_integer_value(json_object_get(answer, "mtu")), 1500);
	json_decref(answer);

	/* Nothing new but what waits for a restart. */
	answer = lan_expect(l, "Reload", "", "");
	assert_int_equal(json_array_size(json_object_get(answer, "changes")), 1);
	json_decref(answer);

	lan_write(l->config, "[LAN]\nIPv4 = 10.0.9.0/24\n");
	answer = lan_expect(l, "Reload", "", "");
	assert_true(has_change(answer, "a.sock to db:5432 removed"));
	assert_true(has_change(answer, "db is no longer registered"));
	json_decref(answer);
	lan_check(l, "Resolve", "{\"guest\":\"db\"}", "NoGuest");
}

static void test_reload_leaves_what_verbs_made(void **state)
{
	struct lan *l = *state;
	char text[256];
	json_t *answer;

	snprintf(text, sizeof(text), "{\"listen\":\"%s/v.sock\",\"to\":\"web:80\"}", l->folder);
	lan_check(l, "AddForward", text, "");
	lan_check(l, "Register", "{\"name\":\"web\"}", "");
	answer = lan_expect(l, "Reload", "", "");
	assert_int_equal(json_array_size(json_object_get(answer, "changes")), 0);
	json_decref(answer);
	answer = lan_expect(l, "ListForwards", "", "");
	assert_int_equal(json_array_size(json_object_get(answer, "forwards")), 1);
	json_decref(answer);
	lan_check(l, "Resolve", "{\"guest\":\"web\"}", "");
}

static void test_reload_of_a_wrong_file_changes_nothing(void **state)
{
	struct lan *l = *state;
	json_t *answer;

	lan_write(l->config, "[LAN]\nHostAccess = none\nNonsense = 1\n");
	answer = lan_expect(l, "Reload", "", "Invalid");
	assert_non_null(strstr(json_string_value(json_object_get(answer, "message")), "test.lan:3"));
	json_decref(answer);
	answer = lan_expect(l, "Status", "", "");
	assert_string_equal(json_string_value(json_object_get(answer, "host_access")), "lan");
	json_decref(answer);
}

static void test_a_forward_that_cannot_be_had_keeps_the_lan_down(void **state)
{
	struct lan *l = *state;
	struct hush h;

	l->engine = engine_free(l->engine);
	lan_write(l->config, "[LAN]\nIPv4 = 10.0.9.0/24\n[Forward]\nListen = /nonexistent/x.sock\nTo = web:80\n");
	h = hush();
	assert_int_equal(lan_up(l, &l->engine), -EINVAL);
	assert_non_null(strstr(said(h), "/nonexistent/x.sock"));
	assert_int_not_equal(access(l->runtime, F_OK), 0);
}

/* --- down --- */

static void test_down_answers_when_all_is_gone(void **state)
{
	struct lan *l = *state;
	int fd = lan_connect_to(l, "control"), guest = lan_connect_to(l, "stream");
	char parameters[64], byte;
	json_t *answer, *pids;

	snprintf(parameters, sizeof(parameters), "{\"name\":\"web\",\"pid\":%d}", (int)getpid());
	lan_check(l, "Register", parameters, "");
	lan_check(l, "Register", "{\"name\":\"gone\",\"pid\":2147483646}", "");
	assert_true(guest_arp(l, guest, 0x99));
	lan_say(fd, "Down", "", false);
	assert_int_equal(loop_run(l->loop), 0);
	assert_int_not_equal(access(l->runtime, F_OK), 0);
	answer = lan_hear(l, fd);
	pids = json_object_get(json_object_get(answer, "parameters"), "guests");
	assert_int_equal(json_array_size(pids), 1);
	assert_int_equal(json_integer_value(json_array_get(pids, 0)), getpid());
	json_decref(answer);
	while (recv(guest, &byte, 1, 0) == 1)
		; /* what its router had to say */
	assert_int_equal(recv(guest, &byte, 1, 0), 0);
	close(fd);
	close(guest);
}

/* --- leases --- */

static void test_leases_that_cannot_be_saved(void **state)
{
	struct lan *l = *state;
	struct lease_store store;
	struct guests *guests;
	char folder[128];
	struct hush h;

	snprintf(folder, sizeof(folder), "%s/leases", l->folder);
	assert_int_equal(guests_new(&guests), 0);
	assert_int_equal(lease_store_init(&store, l->loop, guests, folder), 0);
	rmdir(folder);

	h = hush();
	lease_store_changed(&store);
	lease_store_changed(&store);
	assert_int_equal(loop_turn(l->loop, 3 * USEC_S), 0);
	assert_true(store.failed);
	assert_non_null(strstr(said(h), "cannot save the leases"));

	h = hush();
	lease_store_changed(&store);
	assert_int_equal(loop_turn(l->loop, 3 * USEC_S), 0);
	assert_string_equal(said(h), ""); /* it was said */

	assert_int_equal(mkdir(folder, 0700), 0);
	h = hush();
	lease_store_changed(&store);
	assert_int_equal(loop_turn(l->loop, 3 * USEC_S), 0);
	assert_false(store.failed);
	assert_non_null(strstr(said(h), "again"));
	assert_int_equal(access(store.path, F_OK), 0);
	lease_store_fini(&store);
	guests_free(guests);
}

static void test_routes_are_read(_unused_ void **state)
{
	struct net4 *nets = NULL;
	size_t count = 0;

	assert_int_equal(routes_list(&nets, &count), 0);
	for (size_t i = 0; i < count; i++) {
		assert_true(addr_is4(nets[i].net));
		assert_true(nets[i].bits >= 1 && nets[i].bits <= 32);
	}
	free(nets);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lan_setup, lan_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_everything_is_private_and_goes), TEST(test_second_daemon_is_told_who_has_it),
			TEST(test_stale_sockets_are_replaced),
		TEST(test_live_sockets_of_others_are_left), TEST(test_files_in_the_way_are_left), TEST(test_path_too_long),
			TEST(test_reload),
		TEST(test_reload_leaves_what_verbs_made), TEST(test_reload_of_a_wrong_file_changes_nothing),
		TEST(test_a_forward_that_cannot_be_had_keeps_the_lan_down), TEST(test_down_answers_when_all_is_gone),
		TEST(test_leases_that_cannot_be_saved), TEST(test_routes_are_read),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
