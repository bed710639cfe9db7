// SPDX-License-Identifier: MIT
/* A DHCP client of the host on a port of the bridge: the lease belongs to the bridge now. */
#include "doctor/check.h"

#include <string.h>
#include "doctor/client.h"

static bool bridge_has_client(const struct facts *f)
{
	for (size_t i = 0; i < f->client_count; i++)
		if (!strcmp(f->clients[i].link, f->target.bridge))
			return true;
	return false;
}

/* A lease of the bridge's own has to be kept by somebody; an address that was written down, or none at all, has not. */
static bool bridge_is_static(const struct facts *f)
{
	const struct link *bridge = facts_bridge(f);
	bool found = false;

	for (size_t i = 0; i < f->net->address_count; i++) {
		const struct link_address *a = &f->net->addresses[i];

		if (a->index != bridge->index || !addr_is4(a->local))
			continue;
		if (a->valid != LIFE_FOREVER)
			return false;
		found = true;
	}
	return found;
}

void check_port_dhcp(const struct facts *f, struct findings *out)
{
	for (size_t i = 0; i < f->client_count; i++) {
		const struct dhcp_client *c = &f->clients[i];
		const char *to = f->target.bridge;

		if (!facts_is_port(f, facts_link(f, c->link)))
			continue;
		if (bridge_has_client(f) || bridge_is_static(f))
			to = NULL;
		findings_add(out, (struct finding){
			.severity = SEVERITY_ERROR,
			.symptom = say(out, "an address comes back to %s, or the lease of %s runs out", c->link, f->target.bridge),
			.cause = say(out, "a DHCP client (%s%s) still runs on %s, which is a port of the bridge %s", c->command,
				     c->ifupdown ? ", of ifupdown" : "", c->link, f->target.bridge),
			.where = say(out, "/proc/%d/cmdline", c->pid),
			.remedy = client_move(f, out, c, to, true),
			.advice = client_advice(c, out, to),
		});
	}
}
