// SPDX-License-Identifier: MIT
/* The control interface, against a whole LAN: what each method answers, and what it refuses. */
#include "lan_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "engine/control.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "(null)";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* A guest of the answer to List, by MAC; NULL if it is not there. Borrowed from @list. */
static json_t *listed(json_t *list, const char *mac)
{
	json_t *guest;
	size_t i;

	json_array_foreach(json_object_get(list, "guests"), i, guest)
		if (!strcmp(text_of(guest, "mac"), mac))
			return guest;
	return NULL;
}

static void test_status(void **state)
{
	json_t *s = lan_expect(*state, "Status", "", "");

	assert_string_equal(text_of(s, "lan"), "test");
	assert_string_equal(text_of(s, "fabric"), "user");
	assert_string_equal(text_of(s, "network4"), "10.0.9.0/24");
	assert_string_equal(text_of(s, "gateway4"), "10.0.9.2");
	assert_string_equal(text_of(s, "dns4"), "10.0.9.3");
	assert_string_equal(text_of(s, "host_access"), "lan");
	assert_int_equal(number_of(s, "pid"), getpid());
	assert_int_equal(number_of(s, "mtu"), 1500);
	assert_int_equal(number_of(json_object_get(s, "flows"), "tcp"), 0);
	assert_non_null(strstr(text_of(s, "network6"), "::/64"));
	json_decref(s);
}

/* The interface file is the contract: every method and error in it, and no other, is there. */
static void test_interface_is_served(void **state)
{
	static const char *const methods[] = { "Status", "List", "Register", "Unregister", "Resolve", "Connect", "AttachTap", "AddForward",
					       "RemoveForward", "ListForwards", "Reload", "Down" };
	static const char call[] = "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
				   "\"parameters\":{\"interface\":\"org.hospes.Lan\"}}";
	struct lan *l = *state;
	int fd = lan_connect_to(l, "control");
	const char *text;
	size_t count = 0;
	json_t *message;

	assert_int_equal(send(fd, call, sizeof(call), 0), sizeof(call));
	message = lan_hear(l, fd);
	text = text_of(json_object_get(message, "parameters"), "description");
	for (const char *at = text; (at = strstr(at, "\nmethod ")); at++)
		count++;
	assert_int_equal(count, ARRAY_SIZE(methods));
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		char line[64];

		snprintf(line, sizeof(line), "\nmethod %s(", methods[i]);
		assert_non_null(strstr(text, line));
		/* A parameter that none of them has is refused by each of them: it was found. */
		lan_check(l, methods[i], "{\"nonsense\":1}", "InvalidParameter");
	}
	lan_check(l, "Nonsense", "", "MethodNotFound");
	json_decref(message);
	close(fd);
}

/* --- registration --- */

static void test_register_gives_name_and_mac(void **state)
{
	struct lan *l = *state;
	json_t *first = lan_expect(l, "Register", "{\"name\":\"Web\"}", "");
	json_t *again = lan_expect(l, "Register", "{\"name\":\"web\"}", "");
	json_t *free_name = lan_expect(l, "Register", "", "");
	json_t *other = lan_expect(l, "Register", "{\"mac\":\"" GUEST_MAC "\"}", "");

	assert_string_equal(text_of(first, "name"), "web");
	assert_string_equal(text_of(first, "mac"), text_of(again, "mac"));
	assert_string_equal(text_of(free_name, "name"), "guest-1");
	assert_string_equal(text_of(other, "name"), "guest-2");
	assert_string_equal(text_of(other, "mac"), GUEST_MAC);
	json_decref(first);
	json_decref(again);
	json_decref(free_name);
	json_decref(other);
}

static void test_register_refuses(void **state)
{
	struct lan *l = *state;

	lan_check(l, "Register", "{\"name\":\"web\",\"mac\":\"" GUEST_MAC "\"}", "");
	lan_check(l, "Register", "{\"name\":\"web\",\"mac\":\"52:54:00:00:00:01\"}", "Exists");
	lan_check(l, "Register", "{\"name\":\"other\",\"mac\":\"" GUEST_MAC "\"}", "Exists");
	lan_check(l, "Register", "{\"name\":\"a b\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"-a\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"gateway\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"1234567890123456789012345678901234567890123456789012345678901234\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"a\",\"mac\":\"52:54\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"a\",\"mac\":\"01:00:5e:00:00:01\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"a\",\"mac\":\"00:00:00:00:00:00\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"a\",\"user\":\"-oProxyCommand=x\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"a\",\"user\":\"a b\"}", "Invalid");
	lan_check(l, "Register", "{\"name\":\"a\",\"pid\":0}", "InvalidParameter");
	lan_check(l, "Resolve", "{\"guest\":\"a\"}", "NoGuest");
}

static void test_register_of_a_guest_that_runs(void **state)
{
	struct lan *l = *state;
	char parameters[64];
	json_t *resolved;

	/* This process runs it; process 1 may not take it over; somebody without a process may ask for its MAC. */
	snprintf(parameters, sizeof(parameters), "{\"name\":\"web\",\"user\":\"dsl\",\"pid\":%d}", (int)getpid());
	lan_check(l, "Register", parameters, "");
	lan_check(l, "Register", parameters, "");
	lan_check(l, "Register", "{\"name\":\"web\",\"pid\":1}", "Exists");
	lan_check(l, "Register", "{\"name\":\"web\"}", "");
	resolved = lan_expect(l, "Resolve", "{\"guest\":\"web.hospes\"}", "");
	assert_string_equal(text_of(resolved, "user"), "dsl");
	assert_int_equal(number_of(resolved, "pid"), getpid());
	json_decref(resolved);
}

/* A guest whose process has ended makes room for the next, also before anybody has waited for that process. */
static void test_register_after_a_guest_has_ended(void **state)
{
	struct lan *l = *state;
	char parameters[64];
	siginfo_t info;
	pid_t child = fork();

	if (!child)
		pause();
	assert_true(child > 0);
	snprintf(parameters, sizeof(parameters), "{\"name\":\"web\",\"pid\":%d}", (int)child);
	lan_check(l, "Register", parameters, "");
	lan_check(l, "Register", "{\"name\":\"web\",\"pid\":1}", "Exists");
	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(kill(child, 0), 0); /* it is a zombie */
	lan_check(l, "Register", "{\"name\":\"web\",\"pid\":1}", "");
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_unregister(void **state)
{
	struct lan *l = *state;

	lan_check(l, "Unregister", "{\"name\":\"web\"}", "NoGuest");
	lan_check(l, "Register", "{\"name\":\"web\",\"mac\":\"" GUEST_MAC "\"}", "");
	lan_check(l, "Unregister", "{\"name\":\"WEB\"}", "");
	lan_check(l, "Resolve", "{\"guest\":\"web\"}", "NoGuest");
	lan_check(l, "Register", "{\"name\":\"web\",\"mac\":\"52:54:00:00:00:01\"}", "");
	lan_check(l, "Register", "{\"name\":\"other\",\"mac\":\"" GUEST_MAC "\"}", "");
}

/* --- guests that attach --- */

static void test_guest_attaches_and_leaves(void **state)
{
	struct lan *l = *state;
	int guest = lan_connect_to(l, "stream");
	json_t *list, *entry, *ports;

	assert_true(guest_arp(l, guest, 0x99));
	list = lan_expect(l, "List", "", "");
	entry = listed(list, GUEST_MAC);
	assert_string_equal(text_of(entry, "state"), "attached");
	ports = json_object_get(list, "ports");
	assert_int_equal(json_array_size(ports), 2);
	assert_string_equal(text_of(json_array_get(ports, 0), "kind"), "gateway");
	assert_string_equal(text_of(json_array_get(ports, 1), "kind"), "stream");
	assert_int_equal(number_of(json_array_get(ports, 1), "id"), number_of(entry, "port"));
	assert_int_equal(number_of(json_array_get(ports, 1), "pid"), getpid());
	assert_int_equal(number_of(json_array_get(ports, 1), "frames_from_guest"), 1);
	json_decref(list);

	lan_check(l, "Resolve", "{\"guest\":\"" GUEST_MAC "\"}", "");
	lan_check(l, "Resolve", "{\"guest\":\"10.0.9.50\"}", "");
	close(guest);
	lan_turns(l);
	list = lan_expect(l, "List", "", "");
	assert_null(listed(list, GUEST_MAC));
	assert_int_equal(json_array_size(json_object_get(list, "ports")), 1);
	json_decref(list);
}

static void test_registered_mac_stays_with_its_port(void **state)
{
	struct lan *l = *state;
	int first = lan_connect_to(l, "stream"), second = lan_connect_to(l, "stream");
	json_t *list, *drops;

	lan_check(l, "Register", "{\"name\":\"web\",\"mac\":\"" GUEST_MAC "\"}", "");
	assert_true(guest_arp(l, first, 0x99));
	assert_false(guest_arp(l, second, 0x99));
	list = lan_expect(l, "List", "", "");
	assert_int_equal(number_of(listed(list, GUEST_MAC), "port"), 2);
	drops = json_object_get(json_array_get(json_object_get(list, "ports"), 2), "drops");
	assert_int_equal(json_array_size(drops), 1);
	assert_string_equal(text_of(json_array_get(drops, 0), "reason"), "spoofed-mac");
	json_decref(list);

	/* Who starts another with the same name while it runs is told. */
	lan_check(l, "Register", "{\"name\":\"web\",\"pid\":1}", "Exists");
	close(first);
	lan_turns(l);
	assert_true(guest_arp(l, second, 0x99));
	list = lan_expect(l, "List", "", "");
	assert_int_equal(number_of(listed(list, GUEST_MAC), "port"), 3);
	json_decref(list);
	close(second);
}

/* --- connections to guests --- */

static void test_connect_refuses(void **state)
{
	struct lan *l = *state;
	int fd = lan_connect_to(l, "control");
	json_t *answer;

	lan_check(l, "Connect", "{\"guest\":\"web\",\"port\":22}", "InvalidParameter"); /* no upgrade */
	lan_check(l, "Connect", "{\"guest\":\"web\",\"port\":0}", "InvalidParameter");
	lan_check(l, "Connect", "{\"guest\":\"web\",\"port\":65536}", "InvalidParameter");
	lan_say(fd, "Connect", "{\"guest\":\"web\",\"port\":22}", true);
	answer = lan_hear(l, fd);
	assert_string_equal(text_of(answer, "error"), "org.hospes.Lan.NoGuest");
	json_decref(answer);
	lan_check(l, "Register", "{\"name\":\"web\"}", "");
	lan_say(fd, "Connect", "{\"guest\":\"web\",\"port\":22}", true);
	answer = lan_hear(l, fd);
	assert_string_equal(text_of(answer, "error"), "org.hospes.Lan.GuestAway");
	json_decref(answer);
	close(fd);
}

/* Begin a Connect to a guest that is attached; its SYN is in @syn. Return: the client's end. */
static int begin_connect(struct lan *l, int guest, uint8_t syn[static 2048])
{
	int fd = lan_connect_to(l, "control");

	assert_true(guest_arp(l, guest, 0x99));
	lan_say(fd, "Connect", "{\"guest\":\"10.0.9.50\",\"port\":22}", true);
	assert_true(guest_receive(l, guest, 0x0800, syn) >= 54);
	assert_int_equal(syn[34 + 13], TCP_SYN);
	assert_int_equal(syn[37], 22);
	return fd;
}

static void test_connect_refused_by_the_guest(void **state)
{
	struct lan *l = *state;
	int guest = lan_connect_to(l, "stream");
	uint8_t syn[2048];
	int fd = begin_connect(l, guest, syn);
	json_t *answer = lan_hear(l, fd);

	assert_null(answer); /* nothing is said before the guest has */
	guest_answer_syn(guest, syn, TCP_RST | TCP_ACK);
	answer = lan_hear(l, fd);
	assert_string_equal(text_of(answer, "error"), "org.hospes.Lan.Refused");
	assert_int_equal(number_of(json_object_get(answer, "parameters"), "port"), 22);
	json_decref(answer);
	/* The connection is still good for calls. */
	lan_say(fd, "Status", "", false);
	answer = lan_hear(l, fd);
	assert_null(json_object_get(answer, "error"));
	json_decref(answer);
	close(fd);
	close(guest);
}

static void test_connect_carries_bytes(void **state)
{
	struct lan *l = *state;
	int guest = lan_connect_to(l, "stream");
	uint8_t frame[2048];
	int fd = begin_connect(l, guest, frame);
	json_t *answer;
	size_t size;

	guest_answer_syn(guest, frame, TCP_SYN | TCP_ACK);
	answer = lan_hear(l, fd);
	assert_non_null(answer);
	assert_null(json_object_get(answer, "error"));
	json_decref(answer);
	assert_int_equal(send(fd, "hello", 5, 0), 5);
	do
		size = guest_receive(l, guest, 0x0800, frame);
	while (size && frame[17] == 20 + 20); /* acknowledgements */
	assert_int_equal(frame[17], 20 + 20 + 5);
	assert_memory_equal(frame + 54, "hello", 5);
	close(fd);
	close(guest);
}

static void test_connect_whose_client_goes(void **state)
{
	struct lan *l = *state;
	int guest = lan_connect_to(l, "stream");
	uint8_t frame[2048];
	int fd = begin_connect(l, guest, frame);

	close(fd);
	lan_turns(l);
	guest_answer_syn(guest, frame, TCP_SYN | TCP_ACK);
	lan_turns(l);
	lan_check(l, "Status", "", "");
	close(guest);
}

static void test_connect_while_the_lan_goes_down(void **state)
{
	struct lan *l = *state;
	int guest = lan_connect_to(l, "stream");
	uint8_t frame[2048];
	int fd = begin_connect(l, guest, frame);
	json_t *answer;

	engine_down(l->engine);
	answer = lan_hear(l, fd);
	assert_string_equal(text_of(answer, "error"), "org.hospes.Lan.GuestAway");
	json_decref(answer);
	close(fd);
	close(guest);
}

static void test_tap_needs_a_tap(void **state)
{
	static const char call[] = "{\"method\":\"org.hospes.Lan.AttachTap\",\"parameters\":{}}";
	struct lan *l = *state;
	int fd = lan_connect_to(l, "control");
	json_t *answer;

	lan_check(l, "AttachTap", "", "Invalid");
	assert_int_equal(fd_send_fd(fd, fd, call, sizeof(call)), 0);
	answer = lan_hear(l, fd);
	assert_string_equal(text_of(answer, "error"), "org.hospes.Lan.Invalid");
	json_decref(answer);
	answer = lan_expect(l, "List", "", "");
	assert_int_equal(json_array_size(json_object_get(answer, "ports")), 1);
	json_decref(answer);
	close(fd);
}

/* --- forwards --- */

static void test_forwards(void **state)
{
	struct lan *l = *state;
	char path[128], parameters[256];
	json_t *list;

	snprintf(path, sizeof(path), "%s/f.sock", l->folder);
	snprintf(parameters, sizeof(parameters), "{\"listen\":\"%s\",\"to\":\"web:80\"}", path);
	lan_check(l, "AddForward", parameters, "");
	assert_int_equal(access(path, F_OK), 0);
	lan_check(l, "AddForward", parameters, "Exists");
	lan_check(l, "AddForward", "{\"listen\":\"nonsense\",\"to\":\"web:80\"}", "Invalid");
	lan_check(l, "AddForward", "{\"listen\":\"0\",\"to\":\"web:80\"}", "Invalid");
	lan_check(l, "AddForward", "{\"listen\":\"/nonexistent/folder/x.sock\",\"to\":\"web:80\"}", "Failed");
	list = lan_expect(l, "ListForwards", "", "");
	assert_int_equal(json_array_size(json_object_get(list, "forwards")), 1);
	assert_string_equal(text_of(json_array_get(json_object_get(list, "forwards"), 0), "listen"), path);
	assert_string_equal(text_of(json_array_get(json_object_get(list, "forwards"), 0), "to"), "web:80");
	json_decref(list);
	snprintf(parameters, sizeof(parameters), "{\"listen\":\"%s\"}", path);
	lan_check(l, "RemoveForward", parameters, "");
	assert_int_not_equal(access(path, F_OK), 0);
	lan_check(l, "RemoveForward", parameters, "Invalid");
	lan_check(l, "RemoveForward", "{\"listen\":\"nonsense\"}", "Invalid");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lan_setup, lan_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status), TEST(test_interface_is_served), TEST(test_register_gives_name_and_mac), TEST(test_register_refuses),
		TEST(test_register_of_a_guest_that_runs), TEST(test_register_after_a_guest_has_ended), TEST(test_unregister),
		TEST(test_guest_attaches_and_leaves),
		TEST(test_registered_mac_stays_with_its_port), TEST(test_connect_refuses), TEST(test_connect_refused_by_the_guest),
		TEST(test_connect_carries_bytes), TEST(test_connect_whose_client_goes), TEST(test_connect_while_the_lan_goes_down),
		TEST(test_tap_needs_a_tap), TEST(test_forwards),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
