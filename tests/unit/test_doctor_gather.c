// SPDX-License-Identifier: MIT
/* What the doctor reads out of others' words: QEMU's arguments, the daemon's answers, frames; and what it writes for a shell. */
#include "unit.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "doctor/finding.h"
#include "doctor/gather.h"
#include "doctor/probe.h"
#include "doctor/report.h"

static struct facts read_words(char *const *words, size_t count)
{
	struct facts f = { 0 };

	snprintf(f.lan.control, sizeof(f.lan.control), "/run/user/7/hospes/default/control");
	*facts_add(&f, holders, holder_count) = (struct tap_holder){ .pid = 7, .program = "qemu", .tap = "tap5" };
	gather_nics(&f, 7, words, count);
	assert_false(f.failed);
	return f;
}

static void assert_nic(const struct nic_fact *n, const char *mac, const char *link, bool on_lan)
{
	char text[MAC_TEXT_SIZE];

	assert_int_equal(n->pid, 7);
	assert_string_equal(mac_format(n->mac, text), mac);
	assert_string_equal(n->link, link);
	assert_int_equal(n->on_lan, on_lan);
}

static void cards_of_a_qemu(void **state)
{
	static char *const words[] = {
		"qemu-system-x86_64", "-m", "1G", "-netdev", "tap,id=a,ifname=tap0,script=no", "-device", "virtio-net-pci,mac=52:54:00:00:00:01,netdev=a",
		"-netdev", "stream,id=b,addr.type=unix,addr.path=/run/user/7/hospes/default/stream", "-device", "e1000,netdev=b",
		"-device", "virtio-blk-pci,drive=x", "-nic", "tap,fd=9,mac=52:54:00:00:00:03", "-device", ("{\"driver\":\"virtio-net-pci\",\"netdev\":\"c\","
		"\"mac\":\"52:54:00:00:00:04\"}"), "-netdev", "{\"type\":\"tap\",\"ifname\":\"tap9\",\"id\":\"c\"}", "-nic", "none", "-netdev",
	};
	struct facts f = read_words(words, ARRAY_SIZE(words));

	(void)state;
	assert_int_equal(f.nic_count, 4);
	assert_nic(&f.nics[0], "52:54:00:00:00:01", "tap0", false);
	assert_nic(&f.nics[1], "52:54:00:12:34:56", "", true);
	assert_true(f.nics[1].by_default);
	assert_nic(&f.nics[2], "52:54:00:00:00:03", "tap5", false);
	assert_nic(&f.nics[3], "52:54:00:00:00:04", "tap9", false);
	facts_fini(&f);
}

static void cards_of_an_old_qemu(void **state)
{
	static char *const words[] = { "qemu", "--net", "nic,macaddr=52:54:00:00:00:05", "-net", "tap,ifname=tap1,script=no", "-net", "nic" };
	struct facts f = read_words(words, ARRAY_SIZE(words));

	(void)state;
	assert_int_equal(f.nic_count, 2);
	assert_nic(&f.nics[0], "52:54:00:00:00:05", "tap1", false);
	assert_nic(&f.nics[1], "52:54:00:12:34:56", "tap1", false);
	facts_fini(&f);
}

static void the_daemons_answers(void **state)
{
	json_t *list = json_loads("{\"guests\":[{\"name\":\"web\",\"mac\":\"52:54:00:00:00:01\",\"state\":\"attached\",\"port\":3,\"lease\":\"10.0.2.15\","
		"\"addresses\":[\"10.0.2.15\",\"nonsense\",7,\"fd00::1\"]},{\"name\":null,\"mac\":\"bogus\",\"state\":\"away\",\"port\":null}, 5],"
		"\"ports\":[{\"id\":3,\"kind\":\"stream\",\"frames_to_guest\":1000,\"drops\":[{\"reason\":\"port-full\",\"frames\":20}]}]}", 0, NULL);
	json_t *forwards = json_loads("{\"forwards\":[{\"listen\":\"127.0.0.1:8080/tcp\",\"to\":\"web:80\"},{\"to\":\"[fd00::1]:22\"},{\"to\":9}]}", 0, NULL);
	struct facts f = { 0 };

	(void)state;
	gather_lan_list(&f, list);
	gather_lan_forwards(&f, forwards);
	assert_int_equal(f.lan.guest_count, 3);
	assert_string_equal(f.lan.guests[0].name, "web");
	assert_true(f.lan.guests[0].attached && f.lan.guests[0].leased);
	assert_int_equal(f.lan.guests[0].count, 2);
	assert_false(f.lan.guests[1].attached);
	assert_int_equal(f.lan.guests[1].port, -1);
	assert_int_equal(f.lan.drop_count, 1);
	assert_string_equal(f.lan.drops[0].guest, "web");
	assert_int_equal(f.lan.drops[0].sent, 1000);
	assert_int_equal(f.lan.forward_count, 3);
	assert_string_equal(f.lan.forwards[0].guest, "web");
	assert_string_equal(f.lan.forwards[1].guest, "fd00::1");
	assert_string_equal(f.lan.forwards[2].guest, "");
	facts_fini(&f);
	gather_lan_list(&f, NULL);
	json_decref(list);
	json_decref(forwards);
}

/* A guest without a name is known by its MAC, however it is asked for. */
static void a_guest_without_a_name(void **state)
{
	static const char *const written[] = { "10.0.2.16", "52:54:00:00:00:0A" };
	json_t *list = json_loads("{\"guests\":[{\"name\":\"web\",\"mac\":\"52:54:00:00:00:01\",\"state\":\"attached\",\"port\":3,"
		"\"addresses\":[\"10.0.2.15\"]},{\"name\":null,\"mac\":\"52:54:00:00:00:0a\",\"state\":\"attached\",\"port\":4,"
		"\"addresses\":[\"10.0.2.16\"]}],\"ports\":[{\"id\":4,\"kind\":\"stream\",\"drops\":[{\"reason\":\"port-full\",\"frames\":20}]}]}", 0, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
		struct facts f = { 0 };

		strcpy(f.target.guest, written[i]);
		gather_lan_list(&f, list);
		gather_lan_guest(&f);
		assert_string_equal(f.target.guest, "52:54:00:00:00:0a");
		assert_string_equal(f.lan.drops[0].guest, "52:54:00:00:00:0a");
		facts_fini(&f);
	}
	json_decref(list);
}

/* --- DHCP clients --- */

static struct facts with_link(const char *name)
{
	struct facts f = { .net = calloc(1, sizeof(struct snapshot)) };

	f.net->links = calloc(1, sizeof(struct link));
	f.net->link_count = 1;
	snprintf(f.net->links[0].name, sizeof(f.net->links[0].name), "%s", name);
	return f;
}

static size_t count_clients(uid_t uid, char *const *words, size_t count)
{
	struct facts f = with_link("eth0");
	size_t found;

	gather_client(&f, 7, uid, "some", words, count);
	found = f.client_count;
	facts_fini(&f);
	return found;
}

static void clients_by_their_words(void **state)
{
	static char *const dhclient[] = { "/sbin/dhclient", "-4", "eth0" }, *const busybox[] = { "busybox", "udhcpc", "-i", "eth0" };
	static char *const sudo[] = { "sudo", "dhclient", "eth0" }, *const elsewhere[] = { "dhclient", "eth1" };

	(void)state;
	assert_int_equal(count_clients(0, dhclient, ARRAY_SIZE(dhclient)), 1);
	assert_int_equal(count_clients(0, busybox, ARRAY_SIZE(busybox)), 1);
	assert_int_equal(count_clients(0, sudo, ARRAY_SIZE(sudo)), 0);
	assert_int_equal(count_clients(0, elsewhere, ARRAY_SIZE(elsewhere)), 0);
	assert_int_equal(count_clients(0, NULL, 0), 0);
	/* The words of others are not for root to type. */
	assert_int_equal(count_clients(1000, dhclient, ARRAY_SIZE(dhclient)), 0);
	assert_int_equal(count_clients(33, dhclient, ARRAY_SIZE(dhclient)), 0);
}

/* A process that says of itself that it is a DHCP client of lo. Return: is it taken for one? */
static bool is_taken_for_client(uid_t uid)
{
	struct facts f = { 0 };
	bool found = false;
	char byte;
	int go[2];
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (!pid) {
		if (!geteuid() && setresuid(uid, uid, uid) < 0)
			_exit(1);
		dup2(go[1], STDOUT_FILENO);
		execl("/bin/sh", "/nowhere/dhclient", "-c", "echo; kill -STOP $$", "lo", NULL);
		_exit(1);
	}
	assert_int_equal(read(go[0], &byte, 1), 1);
	assert_int_equal(facts_gather_clients(&f), 0);
	for (size_t i = 0; i < f.client_count; i++)
		found |= f.clients[i].pid == pid;
	facts_fini(&f);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(go[0]);
	close(go[1]);
	return found;
}

static void clients_of_root_alone(void **state)
{
	(void)state;
	assert_false(is_taken_for_client(65534));
	if (!geteuid())
		assert_true(is_taken_for_client(0));
}

/* --- frames --- */

static const struct mac own = {{ 0x52, 0x54, 0, 1, 2, 3 }}, other = {{ 2, 0, 0, 0, 0, 9 }};

static void arp_answers(void **state)
{
	uint8_t frame[PROBE_FRAME_MAX];
	struct answer_fact who;
	struct mac to;
	addr_t asked;
	size_t size;

	(void)state;
	assert_true(addr_parse("192.168.1.1", &asked));
	size = probe_arp(frame, own, addr_of4(ip4(0)), asked);
	assert_int_equal(size, 60);
	assert_false(probe_read_arp(frame, size, &who, &to));
	/* Turned into its answer: opcode, sender, target. */
	frame[21] = 2;
	memcpy(frame + 22, &other, 6);
	memcpy(frame + 28, "\xc0\xa8\x01\x01", 4);
	memcpy(frame + 32, &own, 6);
	assert_true(probe_read_arp(frame, size, &who, &to));
	assert_true(addr_equal(who.addr, asked) && mac_equal(who.mac, other) && mac_equal(to, own));
	for (size_t cut = 0; cut < 42; cut++)
		assert_false(probe_read_arp(frame, cut, &who, &to));
}

/* An offer as a server would make it of the request: it answers with its options behind the header. */
static size_t make_offer(uint8_t *frame, const uint8_t *options, size_t size)
{
	size_t made = probe_discover(frame, own, 0x01020304);
	uint8_t *udp = frame + 34, *message = udp + 8;

	memcpy(frame + 6, &other, 6);
	udp[1] = 67, udp[3] = 68;
	message[0] = 2;
	memset(message + 240, 0, 60);
	memcpy(message + 240, options, size);
	return made;
}

static void offers(void **state)
{
	static const uint8_t good[] = { 53, 1, 2, 0, 54, 4, 192, 168, 1, 1, 255 }, wrong_type[] = { 53, 1, 5, 54, 4, 192, 168, 1, 1, 255 };
	static const uint8_t nameless[] = { 53, 1, 2, 255 }, over[] = { 53, 1, 2, 54, 250, 1 };
	uint8_t frame[PROBE_FRAME_MAX];
	struct answer_fact server;
	char text[ADDR_TEXT_SIZE];
	size_t size;

	(void)state;
	size = make_offer(frame, good, sizeof(good));
	assert_true(probe_read_offer(frame, size, 0x01020304, &server));
	assert_string_equal(addr_format(server.addr, text), "192.168.1.1");
	assert_true(mac_equal(server.mac, other));
	assert_false(probe_read_offer(frame, size, 5, &server));
	for (size_t cut = 0; cut < size; cut++)
		assert_false(probe_read_offer(frame, cut, 0x01020304, &server));
	size = make_offer(frame, wrong_type, sizeof(wrong_type));
	assert_false(probe_read_offer(frame, size, 0x01020304, &server));
	size = make_offer(frame, nameless, sizeof(nameless));
	assert_false(probe_read_offer(frame, size, 0x01020304, &server));
	size = make_offer(frame, over, sizeof(over));
	assert_false(probe_read_offer(frame, size, 0x01020304, &server));
}

/* --- what is written --- */

static void words_for_a_shell(void **state)
{
	_cleanup_findings_ struct findings f = { 0 };

	(void)state;
	assert_string_equal(findings_quote(&f, "br0"), "br0");
	assert_string_equal(findings_quote(&f, "eth0.100@x"), "eth0.100@x");
	assert_string_equal(findings_quote(&f, "$(reboot)"), "'$(reboot)'");
	assert_string_equal(findings_quote(&f, "it's"), "'it'\\''s'");
	assert_string_equal(findings_quote(&f, "a b;c"), "'a b;c'");
	assert_string_equal(findings_quote(&f, ""), "''");
	assert_string_equal(findings_quote(&f, "''''"), "''\\'''\\'''\\'''\\'''");
}

static void a_report(void **state)
{
	_cleanup_findings_ struct findings found = { .check = "some" };
	struct facts f = { .target = { .lan = "lab" } };
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	json_t *json;

	(void)state;
	findings_add(&found, (struct finding){ .severity = SEVERITY_ERROR, .symptom = "s\033[31m", .cause = "c", .where = "w", .remedy = "r", .advice = "a" });
	findings_add(&found, (struct finding){ .severity = SEVERITY_NOTE, .symptom = "n", .cause = "c", .where = "w", .advice = "d" });
	facts_gap(&f, "a thing", "%s", "closed");
	report_text(&f, &found, to);
	fclose(to);
	assert_string_equal(text, "error: s?[31m [some]\n  cause   c\n  read at w\n  type    r\n          a\n\nnote: n [some]\n  cause   c\n  read at w\n"
			    "  do      d\n\nnot looked at: a thing (closed)\nLAN lab: 1 error, 0 warnings, 1 note\n");
	json = report_json(&f, &found);
	assert_int_equal(json_array_size(json_object_get(json, "findings")), 2);
	assert_true(json_is_null(json_object_get(json, "bridge")));
	assert_true(json_is_null(json_object_get(json_array_get(json_object_get(json, "findings"), 1), "remedy")));
	assert_int_equal(findings_worst(&found), SEVERITY_ERROR);
	json_decref(json);
	facts_fini(&f);
}

/* Names of links, paths and words of processes are bytes. */
static void a_report_of_odd_names(void **state)
{
	_cleanup_findings_ struct findings found = { .check = "some" };
	struct facts f = { .target = { .bridge = "br\xff" } };
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	json_t *json, *one;

	(void)state;
	findings_add(&found, (struct finding){ .severity = SEVERITY_ERROR, .symptom = "s\xff", .cause = "\xc3\xa4", .where = "w", .remedy = "r\xff" });
	facts_gap(&f, "a\033[31m", "%s", "b\xff");
	report_text(&f, &found, to);
	fclose(to);
	assert_null(strchr(text, 033));
	json = report_json(&f, &found);
	assert_string_equal(json_string_value(json_object_get(json, "bridge")), "br?");
	one = json_array_get(json_object_get(json, "findings"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "symptom")), "s?");
	assert_string_equal(json_string_value(json_object_get(one, "cause")), "\xc3\xa4");
	assert_string_equal(json_string_value(json_object_get(one, "remedy")), "r?");
	one = json_array_get(json_object_get(json, "not_looked_at"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "why")), "b?");
	json_decref(json);
	facts_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cards_of_a_qemu),
		cmocka_unit_test(cards_of_an_old_qemu),
		cmocka_unit_test(the_daemons_answers),
		cmocka_unit_test(a_guest_without_a_name),
		cmocka_unit_test(clients_by_their_words),
		cmocka_unit_test(clients_of_root_alone),
		cmocka_unit_test(arp_answers),
		cmocka_unit_test(offers),
		cmocka_unit_test(words_for_a_shell),
		cmocka_unit_test(a_report),
		cmocka_unit_test(a_report_of_odd_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
