// SPDX-License-Identifier: MIT
/* What only shows when frames are sent (--probe). */
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

static const char *list_servers(const struct probe_facts *p, struct findings *out)
{
	const char *list = "";

	for (size_t i = 0; i < p->dhcp_count; i++) {
		char addr[ADDR_TEXT_SIZE], mac[MAC_TEXT_SIZE];

		list = say(out, "%s%s%s at %s", list, i ? ", " : "", addr_format(p->dhcp[i].addr, addr), mac_format(p->dhcp[i].mac, mac));
	}
	return list;
}

void check_dhcp_servers(const struct facts *f, struct findings *out)
{
	const struct probe_facts *p = &f->probe;
	bool serve = check_is_user_lan(f) || f->target.nat || f->target.isolated;
	size_t foreign = 0;

	for (size_t i = 0; i < p->dhcp_count; i++)
		foreign += !is_own_server(f, p->dhcp[i].addr);
	/* One is as it should be: ours where we serve, else the network's. */
	if (serve ? !foreign : p->dhcp_count < 2)
		return;
	findings_add(out, (struct finding){
		.severity = SEVERITY_ERROR,
		.symptom = "guests get now and then an address, router or name server that leads nowhere",
		.cause = say(out, "%s: %s", serve ? "another DHCP server answers on this LAN" :
			     "more than one DHCP server answers on this network", list_servers(p, out)),
		.where = "offers to a DHCP request of our own (--probe)",
		.advice = "turn off the one that does not belong there; hospes ls shows whose MAC it is, if it is a guest's",
	});
}
