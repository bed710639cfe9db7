// SPDX-License-Identifier: MIT
/*
 * Up and down for real, in a network namespace: the host's addresses, routes, rules and sysctls are afterwards as they were, whatever step
 * it was stopped at.
 */
#include "netns.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "bridge/apply.h"

#define BRIDGED "[LAN]\nFabric = bridge\nUplink = uplink\n"

struct world {
	pid_t router;
	char folder[64], journal[96];
	struct lan_config *config;
};

static struct lan_config *parse(const char *text)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");
	struct lan_config *c = NULL;
	char error[512] = "";

	if (lan_config_parse(&c, "br0", f, "br0.lan", error, sizeof(error)))
		fail_msg("%s", error);
	fclose(f);
	return c;
}

static void enter(struct world *w, const char *config)
{
	strcpy(w->folder, "/tmp/hospes-apply-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->journal, sizeof(w->journal), "%s/journal", w->folder);
	w->router = netns_enter();
	w->config = parse(config);
	shell("echo 0 >/proc/sys/net/ipv6/conf/uplink/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/uplink/dad_transmits; "
	      "echo 0 >/proc/sys/net/ipv6/conf/default/dad_transmits");
}

static void leave(struct world *w)
{
	lan_config_free(w->config);
	unlink(w->journal);
	rmdir(w->folder);
	netns_leave(w->router);
}

/* A host that has a little. */
static void furnish_some(void)
{
	/* IPv6 anew, without duplicate address detection: nothing is to be waited for. */
	shell("for i in 1 0; do echo $i >/proc/sys/net/ipv6/conf/uplink/disable_ipv6; done; "
	      "ip -6 addr add 2001:db8:1::7/64 dev uplink nodad && "
	      "ip -6 route add default via 2001:db8:1::1");
	shell("ip addr add 198.51.100.8/24 dev uplink && "
	      "ip -6 addr add 2001:db8:7::5/64 dev uplink valid_lft 5000 preferred_lft 4000 nodad && "
	      "ip -6 addr add 2001:db8:8::5/64 dev uplink nodad && ip route add 203.0.113.0/24 via 198.51.100.1 src 198.51.100.8 && "
	      "ip -6 route add default via 2001:db8:1::1 dev uplink table 100 && ip rule add iif uplink lookup 100 priority 1000");
}

/* A host that has something of everything. */
static void furnish(void)
{
	shell("ip addr add 198.51.100.8/24 dev uplink && ip addr add 192.0.2.200/32 dev uplink label uplink:x && "
	      "ip addr add 10.9.0.1 peer 10.9.0.2/32 dev uplink && "
	      "ip addr add 10.8.0.5/24 brd 10.8.0.255 dev uplink valid_lft 5000 preferred_lft 4000 && "
	      "ip addr add 10.7.0.5/24 dev uplink noprefixroute metric 50");
	shell("ip -6 addr add 2001:db8:7::5/64 dev uplink valid_lft 5000 preferred_lft 4000 mngtmpaddr nodad && "
	      "ip -6 addr add 2001:db8:8::5/64 dev uplink noprefixroute");
	shell("ip route add default via 198.51.100.2 metric 200 && "
	      "ip route add 203.0.113.0/24 via 198.51.100.1 src 198.51.100.8 mtu 1400 && "
	      "ip route add 10.7.0.0/24 dev uplink proto kernel scope link src 10.7.0.5 metric 77 && "
	      "ip route add 10.20.0.0/16 via 192.0.2.77 dev uplink onlink && ip route add blackhole 10.66.0.0/16 && "
	      "ip route add default via 198.51.100.1 dev uplink table 100 && "
	      "ip route add 10.30.0.0/16 nexthop via 198.51.100.1 weight 2 nexthop via 198.51.100.3 weight 1");
	shell("ip -6 route add default via fe80::1 dev uplink metric 3000 pref high && "
	      "ip -6 route add 2001:db8:9::/48 via 2001:db8:1::9 && "
	      "ip -6 route add 2001:db8:aa::/48 via 2001:db8:1::9 dev uplink expires 3000 && "
	      "ip -6 route add 2001:db8:bb::/48 nexthop via 2001:db8:1::9 nexthop via 2001:db8:1::a && "
	      "ip -6 route add default via 2001:db8:1::1 dev uplink table 100");
	/* Alike in what most differ by: priority, table, link. What is told less closely stands first, or the kernel refuses it. */
	shell("ip -6 route add default from 2001:db8:7::/64 via fe80::1 dev uplink metric 3000 && "
	      "ip -6 route add default from 2001:db8:8::/64 via fe80::1 dev uplink metric 3000");
	shell("ip rule add iif uplink lookup 100 priority 1000 && ip rule add iif uplink to 10.51.0.0/16 lookup 100 priority 1000 && "
	      "ip rule add iif uplink fwmark 7 lookup 100 priority 1000 && ip rule add oif uplink lookup 100 priority 1003 && "
	      "ip rule add iif uplink ipproto tcp dport 25 lookup 100 priority 1000");
	shell("ip rule add from 198.51.100.8 lookup 100 priority 1001 && "
	      "ip -6 rule add oif uplink lookup 100 priority 1002");
	shell("echo 2 >/proc/sys/net/ipv4/conf/uplink/rp_filter && echo 2 >/proc/sys/net/ipv6/conf/uplink/accept_ra");
	/* Duplicate address detection ends after a second; but for one test nobody waits for it. */
	shell("for i in $(seq 50); do ip -6 addr show tentative | grep -q inet6 || break; sleep 0.1; done");
}

/* What ip and the kernel's own files say, but for the seconds of lives, which go on. malloc'd. */
static char *dump(void)
{
	_cleanup_(freep) char *line = NULL;
	char *text = NULL;
	size_t size, room = 0;
	FILE *to = open_memstream(&text, &size);
	FILE *from = popen("bash -c 'ip -o -d link show; ip -o addr show; ip -o route show table all; "
			   "ip -o -6 route show table all; ip rule; ip -6 rule; "
			   "nft list ruleset; cd /proc/sys/net; grep . ipv4/ip_forward ipv[46]/conf/{all,lo,uplink,default}/* "
			   "2>/dev/null | "
			   "grep -v stable_secret' | "
			   "sed -E -e 's/[0-9]+sec/SECONDS/g' -e 's/expires [0-9]+/expires SECONDS/' -e 's/^[0-9]+: *//'", "r");

	assert_non_null(from);
	while (getline(&line, &room, from) > 0)
		fputs(line, to);
	assert_int_equal(pclose(from), 0);
	fclose(to);
	return text;
}

static void assert_same(const char *before, const char *after, const char *what)
{
	if (!strcmp(before, after))
		return;
	FILE *a = fopen("/tmp/hospes-before", "w"), *b = fopen("/tmp/hospes-after", "w");

	fputs(before, a);
	fputs(after, b);
	fclose(a);
	fclose(b);
	(void)!system("diff /tmp/hospes-before /tmp/hospes-after >&2; rm /tmp/hospes-before /tmp/hospes-after");
	fail_msg("not as it was: %s", what);
}

/* The link-local address is made again, and asked about for a second. */
static void settle_down(void)
{
	shell("for i in $(seq 50); do ip -6 addr show tentative | grep -q inet6 || break; sleep 0.1; done");
}

struct stop { size_t at; };

static int stop_there(void *owner, const struct step *step, size_t number)
{
	(void)step;
	return ((struct stop *)owner)->at == number;
}

/* Up, with all that the service does. @stop: NULL, or after which step to die. Return: how many steps there were. */
static size_t up(struct world *w, struct stop *stop, int expected)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	_cleanup_(journal_freep) struct journal *j = NULL;
	struct apply a = { .undo = true, .single = stop, .after = stop ? stop_there : NULL, .owner = stop };
	struct apply_result result;
	struct steps steps = { 0 };
	char error[512] = "";
	size_t count;
	int r;

	assert_int_equal(snapshot_read(&now), 0);
	assert_int_equal(journal_open(&j, w->journal, "br0"), 0);
	a.journal = j;
	assert_int_equal(bridge_plan_mend(now, journal_steps(j)), 0);
	if (bridge_plan_up(&steps, w->config, now, error, sizeof(error)))
		fail_msg("%s", error);
	r = bridge_apply(&a, &steps, &result);
	if (r != expected)
		fail_msg("%d: %s", r, result.message);
	count = steps.count;
	steps_fini(&steps);
	return count;
}

static void down(struct world *w)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	_cleanup_(journal_freep) struct journal *j = NULL;
	struct apply a = { 0 };
	struct apply_result result;
	struct steps steps = { 0 };

	assert_int_equal(snapshot_read(&now), 0);
	assert_int_equal(journal_open(&j, w->journal, "br0"), 0);
	a.journal = j;
	assert_int_equal(bridge_plan_down(&steps, journal_steps(j), now), 0);
	if (bridge_apply(&a, &steps, &result))
		fail_msg("%s", result.message);
	assert_int_equal(journal_clear(j), 0);
	steps_fini(&steps);
}

static void assert_done(struct world *w)
{
	char error[512] = "";

	if (bridge_verify(w->config, error, sizeof(error)))
		fail_msg("%s", error);
	assert_int_equal(up(w, NULL, 0), 0);
}

static void assert_reaches(void)
{
	shell("ping -q -c 1 -W 3 203.0.113.9 >/dev/null && ping -q -c 1 -W 3 2001:db8:2::9 >/dev/null");
}

static void round_trip(const char *config, bool reaches, bool dad)
{
	_cleanup_(freep) char *before = NULL, *after = NULL;
	struct world w;

	enter(&w, config);
	shell("echo %d >/proc/sys/net/ipv6/conf/uplink/dad_transmits", dad);
	furnish();
	before = dump();
	up(&w, NULL, 0);
	assert_done(&w);
	if (reaches)
		assert_reaches();
	down(&w);
	settle_down();
	after = dump();
	assert_same(before, after, config);
	if (reaches)
		assert_reaches();
	leave(&w);
}

static void moves_and_comes_back(void **state)
{
	(void)state;
	round_trip(BRIDGED "STP = no\nForwardDelay = 9\nHello = 2\nMaxAge = 12\nMTU = 1400\n", true, true);
}

/* A DHCP client that was not told puts back what went up took from it: that has not failed, and the next time takes it off again. */
static void a_client_puts_it_back(void **state)
{
	char error[512] = "";
	struct world w;

	(void)state;
	enter(&w, BRIDGED);
	furnish_some();
	up(&w, NULL, 0);
	shell("ip addr add 198.51.100.8/24 dev uplink && ip route add 10.40.0.0/16 via 198.51.100.1 dev uplink");
	if (bridge_verify(w.config, error, sizeof(error)))
		fail_msg("%s", error);
	shell("ip link set br0 down");
	assert_int_equal(bridge_verify(w.config, error, sizeof(error)), -EUCLEAN);
	assert_non_null(strstr(error, "br0"));
	shell("ip link set br0 up");
	assert_true(up(&w, NULL, 0) > 0);
	assert_done(&w);
	leave(&w);
}

static void other_kinds_come_back(void **state)
{
	(void)state;
	round_trip(BRIDGED "IPv4 = 198.51.100.9/24\nGateway = 198.51.100.1\n", true, false);
	round_trip(BRIDGED "IPv4 = none\nIPv6 = none\n", false, false);
	round_trip("[LAN]\nFabric = bridge\nNAT = yes\n", true, false);
	round_trip("[LAN]\nFabric = bridge\nIPv4 = 10.55.0.1/24\nIPv6 = fd00:55::1/64\nTaps = tap0:root, tap1:nobody\nGuests = isolated\n",
		   true, false);
	round_trip("[LAN]\nFabric = bridge\nIsolated = yes\n", true, false);
}

#define SHOW                                                                                                                  \
	"show() { ip -o addr show dev $1 | grep -v fe80 | sed -E -e \"s/$1/DEV/g\" -e 's/[0-9]+sec/SECONDS/g' -e 's/^[0-9]+: *//'; " \
	"ip -4 route show table all dev $1 | sed \"s/$1/DEV/g\"; "                                                              \
	"ip -6 route show dev $1 | grep -v fe80: | sed -E \"s/expires [0-9]+//\"; "                                              \
	"ip rule | sed \"s/$1/DEV/g\"; ip -o link show $1 | grep -o 'ether [0-9a-f:]*'; }; "

/* What the host has on the bridge is what it had on the uplink, in ip's own words. */
static void same_on_the_bridge(void **state)
{
	struct world w;

	(void)state;
	enter(&w, BRIDGED);
	furnish();
	shell(SHOW "show uplink >%s/a", w.folder);
	up(&w, NULL, 0);
	shell(SHOW "cd %s && show br0 >b && diff a b >&2; r=$?; rm a b; exit $r", w.folder);
	shell("! ip addr show dev uplink | grep -w inet6 >&2 && ! ip addr show dev uplink | grep -w inet >&2 && "
	      "! ip route show table all dev uplink | grep . >&2");
	shell("test $(cat /proc/sys/net/ipv6/conf/br0/accept_ra) = 2 && test $(cat /proc/sys/net/ipv4/conf/br0/rp_filter) = 2");
	down(&w);
	leave(&w);
}

static size_t count_steps(const char *config)
{
	struct world w;
	size_t n;

	enter(&w, config);
	furnish_some();
	n = up(&w, NULL, 0);
	leave(&w);
	return n;
}

/* Stopped behind any step, before the journal has heard of its end: down mends it, and so does up. */
static void killed_anywhere(const char *config)
{
	size_t count = count_steps(config);

	assert_true(count > 5);
	for (size_t i = 0; i < 2 * count; i++) {
		_cleanup_(freep) char *before = NULL, *after = NULL;
		struct stop stop = { .at = i / 2 };
		struct world w;
		char what[64];

		enter(&w, config);
		furnish_some();
		before = dump();
		up(&w, &stop, -ECANCELED);
		if (i & 1) {
			up(&w, NULL, 0);
			assert_done(&w);
			shell("! ip addr show dev uplink 2>/dev/null | grep -w -e inet6 | grep 2001 | grep -q . || test %d = 1",
			      !w.config->bridge.uplink[0]);
		}
		down(&w);
		settle_down();
		after = dump();
		snprintf(what, sizeof(what), "killed after step %zu, then %s", i / 2, i & 1 ? "up and down" : "down");
		assert_same(before, after, what);
		leave(&w);
	}
}

static void killed_while_moving(void **state)
{
	(void)state;
	killed_anywhere(BRIDGED "Taps = tap0:root\n");
}

static void killed_with_nat(void **state)
{
	(void)state;
	killed_anywhere("[LAN]\nFabric = bridge\nNAT = yes\n");
}

/* A step that the kernel refuses: everything before it is undone, and the message says which and why. */
static void undoes_on_failure(void **state)
{
	_cleanup_(freep) char *before = NULL, *after = NULL;
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	_cleanup_(journal_freep) struct journal *j = NULL;
	struct step bad = { .kind = STEP_SYSCTL, .key = "net/ipv4/conf/br0/no_such_key", .value = "1", .old = "0" };
	struct apply a = { .undo = true };
	struct apply_result result;
	struct steps steps = { 0 };
	char error[512] = "";
	struct world w;

	(void)state;
	enter(&w, BRIDGED);
	furnish();
	before = dump();
	assert_int_equal(snapshot_read(&now), 0);
	assert_int_equal(journal_open(&j, w.journal, "br0"), 0);
	a.journal = j;
	assert_int_equal(bridge_plan_up(&steps, w.config, now, error, sizeof(error)), 0);
	assert_int_equal(steps_add(&steps, &bad), 0);
	assert_int_equal(bridge_apply(&a, &steps, &result), -ENOENT);
	assert_true(result.rolled_back);
	assert_int_equal(result.failed, steps.count - 1);
	assert_non_null(strstr(result.message, "no_such_key"));
	assert_int_equal(journal_steps(j)->count, 0);
	settle_down();
	after = dump();
	assert_same(before, after, "rolled back");
	steps_fini(&steps);
	leave(&w);
}

static int take(struct world *w, struct journal *j, bool down, struct apply_result *result)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	struct apply a = { .journal = j, .undo = !down };
	struct steps steps = { 0 };
	char error[512] = "";
	int r;

	assert_int_equal(snapshot_read(&now), 0);
	if (down)
		assert_int_equal(bridge_plan_down(&steps, journal_steps(j), now), 0);
	else
		assert_int_equal(bridge_plan_up(&steps, w->config, now, error, sizeof(error)), 0);
	r = bridge_apply(&a, &steps, result);
	steps_fini(&steps);
	return r;
}

/* So many in one message that the kernel's answers are more than a socket holds by default: all of them are heard. */
static void many_addresses(void **state)
{
	_cleanup_(freep) char *before = NULL, *after = NULL;
	_cleanup_(journal_freep) struct journal *j = NULL;
	struct apply_result result;
	struct world w;

	(void)state;
	enter(&w, BRIDGED);
	furnish_some();
	shell("for i in $(seq 300); do echo \"addr add 2001:db8:f::$i/128 dev uplink nodad\"; echo \"route add 10.77.$((i / 100)).$((i %% 100))/32 "
	      "via 198.51.100.1\"; done | ip -batch -");
	before = dump();
	assert_int_equal(journal_open(&j, w.journal, "br0"), 0);
	assert_int_equal(take(&w, j, false, &result), 0);
	shell("test $(ip -6 addr show dev br0 | grep -c 2001:db8:f:) = 300 && test $(ip route | grep -c 'dev br0') -gt 300");
	assert_int_equal(take(&w, j, true, &result), 0);
	settle_down();
	after = dump();
	assert_same(before, after, "many addresses");
	leave(&w);
}

/* The disk is full: nothing is begun that could not be written down, but what was begun goes back all the same. */
static void full_disk(void **state)
{
	static const size_t rooms[] = { 0, 1500, 1000000 };
	_cleanup_(freep) char *before = NULL;
	struct rlimit unlimited;
	struct world w;

	(void)state;
	enter(&w, BRIDGED);
	furnish_some();
	before = dump();
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		_cleanup_(journal_freep) struct journal *j = NULL;
		_cleanup_(freep) char *after = NULL;
		struct apply_result result;
		struct rlimit limit = unlimited;
		struct stat st;

		assert_int_equal(journal_open(&j, w.journal, "br0"), 0);
		assert_int_equal(stat(w.journal, &st), 0);
		limit.rlim_cur = (rlim_t)st.st_size + rooms[i];
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		if (take(&w, j, false, &result)) {
			assert_true(result.rolled_back);
			assert_int_not_equal(i, ARRAY_SIZE(rooms) - 1);
		} else {
			assert_int_equal(i, ARRAY_SIZE(rooms) - 1);
			assert_int_equal(stat(w.journal, &st), 0);
			limit.rlim_cur = (rlim_t)st.st_size;
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
			assert_int_equal(take(&w, j, true, &result), 0);
		}
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
		settle_down();
		after = dump();
		assert_same(before, after, "a full disk");
		assert_int_equal(journal_clear(j), 0);
	}
	leave(&w);
}

static void no_such_owner(void **state)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	struct apply a = { .undo = true };
	struct apply_result result;
	struct steps steps = { 0 };
	char error[512] = "";
	struct world w;

	(void)state;
	enter(&w, BRIDGED "Taps = tap0:nosuchuser-x\n");
	assert_int_equal(snapshot_read(&now), 0);
	assert_int_equal(bridge_plan_up(&steps, w.config, now, error, sizeof(error)), 0);
	assert_int_equal(bridge_apply(&a, &steps, &result), -ENOENT);
	assert_int_equal(result.taken, 0);
	assert_non_null(strstr(result.message, "no such user"));
	shell("! ip link show br0 2>/dev/null");
	steps_fini(&steps);
	leave(&w);
}

/* A line that was cut short is left out; a damaged middle and another LAN's journal are refused; another boot's is begun anew. */
static void journals(void **state)
{
	struct step s = { .kind = STEP_MTU, .link = "br0", .value = "1400", .old = "1500" };
	struct world w;
	struct journal *j = NULL;

	(void)state;
	enter(&w, BRIDGED);
	assert_int_equal(journal_open(&j, w.journal, "br0"), 0);
	assert_int_equal(journal_intend(j, &s, 1), 0);
	assert_int_equal(journal_mark(j, "trying"), 0);
	journal_free(j);
	shell("printf '{\"intend\": 2, \"st' >>%s", w.journal);
	assert_int_equal(journal_open(&j, w.journal, "br0"), 0);
	assert_int_equal(journal_steps(j)->count, 1);
	assert_int_equal(journal_steps(j)->step[0].state, STEP_INTENDED);
	assert_string_equal(journal_steps(j)->step[0].old, "1500");
	assert_string_equal(journal_marked(j), "trying");
	assert_int_equal(journal_result(j, &s, 0), 0);
	journal_free(j);
	assert_int_equal(journal_open(&j, w.journal, "br0"), 0);
	assert_int_equal(journal_steps(j)->step[0].state, STEP_DONE);
	journal_free(j);
	assert_int_equal(journal_open(&j, w.journal, "br1"), -EBADMSG);
	shell("cp %s %s.good && sed -i '2s/^/x/' %s", w.journal, w.journal, w.journal);
	assert_int_equal(journal_open(&j, w.journal, "br0"), -EBADMSG);
	shell("mv %s.good %s && sed -i '1s/\"boot\":\"[^\"]*\"/\"boot\":\"other\"/' %s", w.journal, w.journal, w.journal);
	assert_int_equal(journal_open(&j, w.journal, "br0"), 0);
	assert_int_equal(journal_steps(j)->count, 0);
	assert_string_equal(journal_marked(j), "");
	journal_free(j);
	shell("rm %s && ln -s /etc/passwd %s", w.journal, w.journal);
	assert_int_equal(journal_open(&j, w.journal, "br0"), -ELOOP);
	leave(&w);
}

/* What a snapshot of this namespace says is the same after a trip through JSON, and as JSON again. */
static void snapshots(void **state)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL, *again = NULL;
	struct world w;
	json_t *first, *second;
	char error[256] = "";

	(void)state;
	enter(&w, BRIDGED "Taps = tap0:root\n");
	furnish();
	up(&w, NULL, 0);
	shell("nft 'table inet x { comment \"of a test\"; }'");
	assert_int_equal(snapshot_read(&now), 0);
	first = snapshot_to_json(now);
	assert_int_equal(snapshot_from_json(&again, first, error, sizeof(error)), 0);
	second = snapshot_to_json(again);
	assert_true(json_equal(first, second));
	json_decref(first);
	json_decref(second);
	assert_true(snapshot_link_named(now, "br0")->ours && !snapshot_link_named(now, "uplink")->ours);
	assert_string_equal(snapshot_link_named(now, "tap0")->tap.owner_name, "root");
	assert_string_equal(snapshot_table(now, "inet", "x")->comment, "of a test");
	assert_int_equal(snapshot_link_named(now, "uplink")->master, snapshot_link_named(now, "br0")->index);
	assert_string_equal(snapshot_sysctl_of(now, 6, "uplink", "disable_ipv6"), "1");
	leave(&w);
}

/* A lease that was renewed on the bridge goes back with its new life; one that is gone does not come back. */
static void leases(void **state)
{
	struct world w;

	(void)state;
	enter(&w, BRIDGED);
	shell("ip addr add 10.8.0.5/24 dev uplink valid_lft 500 preferred_lft 400 && "
	      "ip addr add 10.7.0.5/24 dev uplink valid_lft 500 preferred_lft 400");
	up(&w, NULL, 0);
	shell("ip addr change 10.8.0.5/24 dev br0 valid_lft 90000 preferred_lft 80000 && ip addr del 10.7.0.5/24 dev br0");
	down(&w);
	shell("ip addr show dev uplink | grep -A1 10.8.0.5 | grep -q -e 'valid_lft [89]....sec preferred' && "
	      "! ip addr show | grep -q 10.7.0.5");
	leave(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_and_comes_back), cmocka_unit_test(a_client_puts_it_back), cmocka_unit_test(other_kinds_come_back), cmocka_unit_test(same_on_the_bridge),
		cmocka_unit_test(undoes_on_failure), cmocka_unit_test(many_addresses), cmocka_unit_test(full_disk),
		cmocka_unit_test(no_such_owner), cmocka_unit_test(journals),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(leases), cmocka_unit_test(killed_while_moving), cmocka_unit_test(killed_with_nat),
	};

	if (geteuid()) {
		print_message("only root may make taps and bridges: skipped\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
