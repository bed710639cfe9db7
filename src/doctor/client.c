// SPDX-License-Identifier: MIT
#include "doctor/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NETWORKD_FOLDER "/etc/systemd/network"
#define NETWORKD_FILE   NETWORKD_FOLDER "/05-hospes-%s.network"

/* --- dhclient, udhcpc --- */

/* Words that keep a client in the foreground: who types the line wants the prompt back. */
static bool keeps_waiting(const char *word)
{
	static const char *const words[] = { "-f", "--foreground", "-d", "-B", "--nobackground" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

/* Would it give the lease back, were it asked to end? */
static bool releases(const struct dhcp_client *c)
{
	for (size_t i = 0; i < c->argc; i++)
		if (!strcmp(c->argv[i], "-R") || !strcmp(c->argv[i], "--release"))
			return !strcmp(c->command, "udhcpc");
	return false;
}

static const char *move_words(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to, const char *line)
{
	if (!to)
		return line;
	line = say(out, "%s%s%s", line, *line ? " && " : "", check_sudo(f));
	for (size_t i = 0; i < c->argc; i++)
		if (!keeps_waiting(c->argv[i]))
			line = say(out, "%s%s%s", line, i ? " " : "", findings_quote(out, strcmp(c->argv[i], c->link) ? c->argv[i] : to));
	return line;
}

/* Until it is told, it may have put the address back on the port. */
static const char *flush(const struct facts *f, struct findings *out, const struct dhcp_client *c)
{
	return say(out, "%sip -4 address flush dev %s", check_sudo(f), findings_quote(out, c->link));
}

/* --- dhcpcd --- */

/*
 * Asked to end, it says that it failed for as long as nobody has reaped it, and has ended all the same. One that is just at work may miss
 * the first time: it wants to be asked twice.
 */
static const char *end_dhcpcd(struct findings *out, const char *sudo, const char *words)
{
	return say(out, "{ %sdhcpcd%s || %sdhcpcd%s; }", sudo, words, sudo, words);
}

static const char *move_dhcpcd(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to, bool alive)
{
	const char *sudo = check_sudo(f), *space = *c->family ? " " : "", *line = "";

	if (alive)
		line = end_dhcpcd(out, sudo, say(out, "%s%s -x %s", space, c->family, findings_quote(out, c->link)));
	if (strcmp(c->link, f->target.bridge))
		line = say(out, "%s; %s", line, flush(f, out, c));
	return to ? say(out, "%s%s%sdhcpcd%s%s %s", line, *line ? "; " : "", sudo, space, c->family, findings_quote(out, to)) : line;
}

/* It takes its configuration as it starts. */
static const char *move_dhcpcd_all(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to, bool back)
{
	const char *sudo = check_sudo(f), *space = *c->family ? " " : "", *words;

	if (back)
		return NULL;
	words = say(out, "denyinterfaces %s", c->link);
	words = say(out, "printf '%%s\\n' %s", findings_quote(out, words));
	if (to)
		words = say(out, "%s %s", words, findings_quote(out, say(out, "interface %s", to)));
	return say(out, "%s | %stee -a /etc/dhcpcd.conf >/dev/null && %s; %s; %sdhcpcd%s%s", words, sudo,
		   end_dhcpcd(out, sudo, say(out, "%s%s -x", space, c->family)), flush(f, out, c), sudo, space, c->family);
}

/* --- systemd-networkd --- */

static const char *networkd_path(struct findings *out, const char *link)
{
	return findings_quote(out, say(out, NETWORKD_FILE, link));
}

static const char *networkd_back(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to)
{
	/* Files of another name are somebody else's. */
	if (access(say(out, NETWORKD_FILE, c->link), F_OK) < 0 || access(say(out, NETWORKD_FILE, to), F_OK) < 0)
		return NULL;
	return say(out, "%srm %s %s && %ssystemctl restart systemd-networkd", check_sudo(f), networkd_path(out, c->link),
		   networkd_path(out, to), check_sudo(f));
}

static const char *move_networkd(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to)
{
	const char *sudo = check_sudo(f), *line;

	line = say(out, "printf '%%s\\n' '[Match]' %s '[Link]' Unmanaged=yes | %stee %s >/dev/null",
		   findings_quote(out, say(out, "Name=%s", c->link)), sudo, networkd_path(out, c->link));
	if (to)
		line = say(out, "%s && printf '%%s\\n' '[Match]' %s '[Network]' DHCP=ipv4 '[DHCPv4]' %s | %stee %s >/dev/null", line,
			   findings_quote(out, say(out, "Name=%s", to)), c->identity, sudo, networkd_path(out, to));
	return say(out, "%s && %ssystemctl restart systemd-networkd", line, sudo);
}

/* --- NetworkManager --- */

/*
 * The one line here that no test has typed: NetworkManager wants D-Bus and udev, which a namespace has not. It is written from nmcli(1) and
 * nm-settings(5) of version 1.42.
 */
static const char *move_network_manager(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to, bool back)
{
	const char *sudo = check_sudo(f), *link = findings_quote(out, c->link), *line;
	const struct link *bridge = to ? facts_link(f, to) : NULL;
	char mac[MAC_TEXT_SIZE];

	if (back && !strcmp(to, c->link))
		return say(out, "%snmcli connection up %s", sudo, findings_quote(out, say(out, "hospes-%s", c->link)));
	if (back)
		return say(out, "%snmcli connection delete %s; %snmcli device set %s managed yes", sudo,
			   findings_quote(out, say(out, "hospes-%s", c->link)), sudo, findings_quote(out, to));
	line = say(out, "%snmcli device set %s managed no", sudo, link);
	if (!bridge)
		return line;
	to = findings_quote(out, to);
	return say(out, "%s && %snmcli device set %s managed yes && %snmcli connection add save no type bridge con-name hospes-%s ifname %s "
		   "bridge.stp %s bridge.mac-address %s ipv4.method auto ipv6.method ignore && %snmcli connection up hospes-%s", line, sudo, to,
		   sudo, to, to, bridge->bridge.stp ? "yes" : "no", mac_format(bridge->mac, mac), sudo, to);
}

/* --- all of them --- */

/* @back: from the bridge to the uplink */
static const char *move(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to, bool alive, bool back)
{
	const char *line = "";

	switch (c->kind) {
	case CLIENT_WORDS:
		if (alive)
			line = say(out, "%skill %s%d", check_sudo(f), releases(c) ? "-KILL " : "", c->pid);
		return move_words(f, out, c, to, back ? line : say(out, "%s && %s", line, flush(f, out, c)));
	case CLIENT_DHCPCD: return move_dhcpcd(f, out, c, to, alive);
	case CLIENT_DHCPCD_ALL: return move_dhcpcd_all(f, out, c, to, back);
	case CLIENT_NETWORKD: return back ? networkd_back(f, out, c, to) : move_networkd(f, out, c, to);
	case CLIENT_NETWORK_MANAGER: return move_network_manager(f, out, c, to, back);
	}
	return NULL;
}

const char *client_move(const struct facts *f, struct findings *out, const struct dhcp_client *c, const char *to, bool alive)
{
	return move(f, out, c, to, alive, !strcmp(c->link, f->target.bridge));
}

const char *client_advice(const struct dhcp_client *c, struct findings *out, const char *to)
{
	switch (c->kind) {
	case CLIENT_WORDS:
		return !c->ifupdown ? NULL :
			say(out, "ifup has started it, and does so at every boot: where the LAN is to come up by itself, give %s the method manual in "
			    "/etc/network/interfaces, and %s a stanza with the method dhcp", c->link, to ? to : "nothing");
	case CLIENT_DHCPCD:
		return NULL;
	case CLIENT_DHCPCD_ALL:
		return "this dhcpcd serves all links; its other links keep their leases";
	case CLIENT_NETWORKD:
		return "the files hold at the next boot, too; hospes down says how to take them away";
	case CLIENT_NETWORK_MANAGER:
		return "it holds until NetworkManager is started again";
	}
	return NULL;
}

static bool has_client(const struct facts *f, const char *link)
{
	for (size_t i = 0; i < f->client_count; i++)
		if (!strcmp(f->clients[i].link, link))
			return true;
	return false;
}

/* What finds a link by its name again, when it is made anew. */
static bool comes_back(const struct dhcp_client *c)
{
	return c->kind == CLIENT_NETWORKD || c->kind == CLIENT_DHCPCD_ALL;
}

static const char *left_advice(const struct dhcp_client *c, struct findings *out, const char *to)
{
	if (c->kind == CLIENT_DHCPCD_ALL)
		return say(out, "take the lines \"denyinterfaces %s\" and \"interface %s\" out of /etc/dhcpcd.conf, then type dhcpcd -x; dhcpcd", to,
			   c->link);
	if (c->kind == CLIENT_NETWORKD)
		return "where the files for systemd-networkd are your own, change them back, then type systemctl restart systemd-networkd";
	return NULL;
}

void clients_left(const struct facts *f, const char *to, struct findings *out)
{
	out->check = "port-dhcp";
	if (!*to || (strcmp(to, f->target.bridge) && has_client(f, to)))
		return;
	for (size_t i = 0; i < f->client_count; i++) {
		const struct dhcp_client *c = &f->clients[i];
		bool alive = !kill(c->pid, 0) || errno == EPERM, same = !strcmp(to, c->link);

		if (strcmp(c->link, f->target.bridge) || (same && comes_back(c)))
			continue;
		findings_add(out, (struct finding){
			.severity = SEVERITY_WARNING,
			.symptom = say(out, "the lease of %s runs out", to),
			.cause = say(out, "the DHCP client %s served %s, which %s", c->command, c->link, same ? "is another link now" : "is gone"),
			.where = say(out, "/proc/%d/cmdline, before", c->pid),
			.remedy = client_move(f, out, c, to, alive),
			.advice = left_advice(c, out, to),
		});
	}
}
