// SPDX-License-Identifier: MIT
/* What shows when frames are sent (--probe), or when a LAN's daemon hears those of others. */
#include "doctor/check.h"

#include <stdio.h>
#include <string.h>

void check_mac_filter(const struct facts *f, struct findings *out)
{
	const struct probe_facts *p = &f->probe;
	char mac[MAC_TEXT_SIZE], addr[ADDR_TEXT_SIZE];

	if (p->own != PROBE_ANSWERED || p->foreign != PROBE_NO_ANSWER)
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = "guests reach each other and the host, but nobody beyond the uplink",
		.cause = "the switch (or hypervisor, or access point) behind the uplink lets only the host's own MAC through",
		.where = say(out, "ARP requests for %s: answered to the host's own MAC, not to %s", addr_format(p->asked, addr),
			     mac_format(p->foreign_mac, mac)),
		.advice = "allow it there (port security; \"MAC address spoofing\" or \"forged transmits\" of a hypervisor); "
			"where you cannot, leave the uplink out and use NAT = yes",
	});
}

static bool is_own_server(const struct facts *f, addr_t server)
{
	const struct link *bridge = facts_bridge(f);

	if (check_is_user_lan(f))
		return addr_equal(server, f->lan.gateway4);
	for (size_t i = 0; bridge && i < f->net->address_count; i++)
		if (f->net->addresses[i].index == bridge->index && addr_equal(f->net->addresses[i].local, server))
			return true;
	return false;
}

/* Servers of DHCP: those that answered us, else those that the LAN's daemon has heard answer guests. */
struct servers { const struct answer_fact *list; size_t count; bool asked; };

static struct servers find_servers(const struct facts *f)
{
	if (f->probe.dhcp_asked)
		return (struct servers){ f->probe.dhcp, f->probe.dhcp_count, true };
	return (struct servers){ f->lan.servers, f->lan.server_count, false };
}

static const struct guest_fact *guest_with(const struct facts *f, struct mac mac)
{
	for (size_t i = 0; i < f->lan.guest_count; i++)
		if (mac_equal(f->lan.guests[i].mac, mac))
			return &f->lan.guests[i];
	return NULL;
}

/* A guest that served and has left serves nobody. On a user LAN, there is nobody but guests. */
static bool is_gone(const struct facts *f, const struct answer_fact *server)
{
	const struct guest_fact *g = guest_with(f, server->mac);

	return g ? !g->attached : check_is_user_lan(f) && !is_own_server(f, server->addr) && !f->probe.dhcp_asked;
}

static const char *list_servers(const struct facts *f, const struct servers *s, struct findings *out)
{
	const char *list = "";

	for (size_t i = 0; i < s->count; i++) {
		const struct guest_fact *g = guest_with(f, s->list[i].mac);
		char addr[ADDR_TEXT_SIZE], mac[MAC_TEXT_SIZE];

		if (is_gone(f, &s->list[i]))
			continue;
		list = say(out, "%s%s%s at %s", list, *list ? ", " : "", addr_format(s->list[i].addr, addr), mac_format(s->list[i].mac, mac));
		if (g && *g->name)
			list = say(out, "%s (guest %s)", list, g->name);
	}
	return list;
}

void check_dhcp_servers(const struct facts *f, struct findings *out)
{
	struct servers s = find_servers(f);
	bool serve = check_is_user_lan(f) || f->target.nat || f->target.isolated;
	size_t foreign = 0, there = 0;

	for (size_t i = 0; i < s.count; i++) {
		there += !is_gone(f, &s.list[i]);
		foreign += !is_gone(f, &s.list[i]) && !is_own_server(f, s.list[i].addr);
	}
	/* One is as it should be: ours where we serve, else the network's. */
	if (serve ? !foreign : there < 2)
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = "guests get now and then an address, router or name server that leads nowhere",
		.cause = say(out, "%s: %s", serve ? "another DHCP server answers on this LAN" :
			     "more than one DHCP server answers on this network", list_servers(f, &s, out)),
		.where = s.asked ? "offers to a DHCP request of our own (--probe)" :
			"answers that guests were given, as the LAN's daemon heard them (Status, dhcp_servers)",
		.advice = s.asked ? "turn off the one that does not belong there; hospes ls shows whose MAC it is, if it is a guest's" :
			"turn off the one that does not belong there, then ask anew: hospes doctor --probe",
	});
}
