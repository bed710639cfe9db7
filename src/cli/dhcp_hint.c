// SPDX-License-Identifier: MIT
#include "cli/dhcp_hint.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "doctor/client.h"
#include "doctor/gather.h"
#include "doctor/report.h"

void dhcp_hint_fini(struct dhcp_hint *h)
{
	findings_fini(&h->found);
	facts_fini(&h->facts);
	memset(h, 0, sizeof(*h));
}

static bool gather(struct dhcp_hint *h, const char *bridge)
{
	int r;

	dhcp_hint_fini(h);
	snprintf(h->facts.target.bridge, sizeof(h->facts.target.bridge), "%s", bridge);
	r = facts_gather_clients(&h->facts);
	if (r < 0)
		log_debug("cannot look for DHCP clients: %s", strerror(-r));
	return !r;
}

void dhcp_hint_up(struct dhcp_hint *h, const char *bridge)
{
	if (!gather(h, bridge))
		return;
	h->found.check = "port-dhcp";
	check_port_dhcp(&h->facts, &h->found);
}

void dhcp_hint_before_down(struct dhcp_hint *h, const char *bridge)
{
	gather(h, bridge);
}

void dhcp_hint_down(struct dhcp_hint *h, const char *to)
{
	if (h->facts.net)
		clients_left(&h->facts, to, &h->found);
}

void dhcp_hint_print(const struct dhcp_hint *h, FILE *to)
{
	for (size_t i = 0; i < h->found.count; i++) {
		const struct finding *one = &h->found.list[i];

		fprintf(to, "The address has moved with its lease and its MAC, but %s.\nTell it, or %s%s\n", one->cause, one->symptom,
			one->remedy ? "; type:" : ".");
		if (one->remedy)
			fprintf(to, "    %s\n", one->remedy);
		if (one->advice)
			fprintf(to, "(%s)\n", one->advice);
	}
}

char *dhcp_hint_names(const struct dhcp_hint *h)
{
	char *text = NULL;
	size_t size;
	FILE *out = h->found.count ? open_memstream(&text, &size) : NULL;
	const char *comma = "";

	for (size_t i = 0; out && i < h->facts.client_count; i++) {
		const struct dhcp_client *c = &h->facts.clients[i];

		if (!facts_is_port(&h->facts, facts_link(&h->facts, c->link)))
			continue;
		fprintf(out, "%s%s (process %d)", comma, c->command, c->pid);
		comma = ", ";
	}
	if (out)
		fclose(out);
	return text;
}

json_t *dhcp_hint_json(const struct dhcp_hint *h)
{
	json_t *list = json_array();

	for (size_t i = 0; i < h->found.count; i++)
		json_array_append_new(list, report_finding_json(&h->found.list[i]));
	return list;
}
