// SPDX-License-Identifier: MIT
#include "cli/list_text.h"

#include <errno.h>
#include <string.h>
#include "cli/lan_client.h"
#include "cli/table.h"

#define BLANK " "   /* a cell that is meant to be empty */

/* The gateway of a user LAN is the host; that of a bridge LAN may be a router behind the uplink, and DNS that router's business. */
static void print_net(const json_t *status, const char *version, const char *net, const char *gateway, const char *dns, FILE *to)
{
	const char *who = strcmp(lan_text(status, "fabric"), "bridge") ? "host" : "gateway";

	fprintf(to, "%s %s", version, net);
	if (*lan_text(status, gateway))
		fprintf(to, ": %s %s", who, lan_text(status, gateway));
	if (*lan_text(status, dns))
		fprintf(to, ", DNS %s", lan_text(status, dns));
	fputc('\n', to);
}

int list_print_lan(const json_t *status, FILE *to)
{
	const char *net4 = lan_text(status, "network4"), *net6 = lan_text(status, "network6");
	const json_t *flows = json_object_get(status, "flows");
	const char *kind, *lead = "; flows:";
	json_t *count;

	fprintf(to, "LAN %s (%s), domain %s, MTU %lld", lan_text(status, "lan"), lan_text(status, "fabric"), lan_text(status, "domain"),
		(long long)lan_number(status, "mtu"));
	if (*lan_text(status, "host_access"))
		fprintf(to, ", host access %s", lan_text(status, "host_access"));
	fputc('\n', to);
	if (*net4)
		print_net(status, "IPv4", net4, "gateway4", "dns4", to);
	if (*net6)
		print_net(status, "IPv6", net6, "gateway6", "dns6", to);
	fprintf(to, "daemon %s, process %lld", lan_text(status, "version"), (long long)lan_number(status, "pid"));
	json_object_foreach((json_t *)flows, kind, count) {
		if (!json_integer_value(count))
			continue;
		fprintf(to, "%s %lld %s", lead, (long long)json_integer_value(count), kind);
		lead = ",";
	}
	fputs("\n\n", to);
	return 0;
}

static const json_t *find_port(const json_t *list, int64_t id)
{
	json_t *port;
	size_t i;

	json_array_foreach(json_object_get(list, "ports"), i, port)
		if (lan_number(port, "id") == id)
			return port;
	return NULL;
}

static int bytes_cell(struct table *t, const json_t *port, const char *key, const char *unit)
{
	char text[HUMAN_TEXT_SIZE];

	if (!port)
		return table_cell(t, NULL);
	return table_cell(t, "%s%s", human_bytes((uint64_t)lan_number(port, key), text), unit);
}

/* The lines of further addresses. */
static int more_addresses(struct table *t, const json_t *addresses)
{
	int r = 0;

	for (size_t i = 1; i < json_array_size(addresses); i++) {
		for (int c = 0; c < 4; c++)
			r |= table_cell(t, BLANK);
		r |= table_cell(t, "%s", json_string_value(json_array_get(addresses, i)));
		for (int c = 0; c < 4; c++)
			r |= table_cell(t, BLANK);
	}
	return r;
}

static int guest_row(struct table *t, const json_t *list, const json_t *guest)
{
	const json_t *addresses = json_object_get(guest, "addresses");
	const char *first = json_string_value(json_array_get(addresses, 0));
	bool attached = json_is_integer(json_object_get(guest, "port"));
	const json_t *port = attached ? find_port(list, lan_number(guest, "port")) : NULL;
	int r = 0;

	r |= table_cell(t, "%s", lan_text(guest, "name"));
	r |= table_cell(t, "%s", lan_text(guest, "state"));
	r |= port ? table_cell(t, "%s %lld", lan_text(port, "kind"), (long long)lan_number(port, "id")) : table_cell(t, NULL);
	r |= table_cell(t, "%s", lan_text(guest, "mac"));
	r |= table_cell(t, "%s", first ? first : "");
	r |= bytes_cell(t, port, "bytes_from_guest", "");
	r |= bytes_cell(t, port, "rate_from_guest", "/s");
	r |= bytes_cell(t, port, "bytes_to_guest", "");
	r |= bytes_cell(t, port, "rate_to_guest", "/s");
	return r | more_addresses(t, addresses);
}

int list_print_guests(const json_t *list, FILE *to)
{
	static const char *const headings[] = {
		"NAME", "STATE", "PORT", "MAC", "ADDRESS", ">FROM GUEST", ">RATE", ">TO GUEST", ">RATE", NULL
	};
	_cleanup_(table_freep) struct table *t = NULL;
	const json_t *guests = json_object_get(list, "guests");
	json_t *guest;
	size_t i;
	int r;

	if (!json_array_size(guests)) {
		fputs("no guests; hospes run IMAGE starts one\n", to);
		return 0;
	}
	r = table_new(&t, headings);
	if (r < 0)
		return r;
	json_array_foreach(guests, i, guest)
		if (guest_row(t, list, guest))
			return -ENOMEM;
	table_print(t, to);
	return 0;
}

/* Who is behind a port, for a person: the names of its guests. */
static void port_guests(const json_t *list, int64_t id, char *into, size_t size)
{
	json_t *guest;
	size_t i, used = 0;

	*into = 0;
	json_array_foreach(json_object_get(list, "guests"), i, guest) {
		const char *name = lan_text(guest, "name");

		if (!json_is_integer(json_object_get(guest, "port")) || lan_number(guest, "port") != id || used >= size)
			continue;
		used += (size_t)snprintf(into + used, size - used, "%s%s", used ? "," : "", *name ? name : lan_text(guest, "mac"));
	}
}

static int port_drops(struct table *t, const json_t *list, const json_t *port)
{
	char guests[256];
	json_t *drop;
	size_t i;
	int r = 0;

	port_guests(list, lan_number(port, "id"), guests, sizeof(guests));
	json_array_foreach(json_object_get(port, "drops"), i, drop) {
		r |= table_cell(t, "%s %lld", lan_text(port, "kind"), (long long)lan_number(port, "id"));
		r |= table_cell(t, "%s", guests);
		r |= table_cell(t, "%lld", (long long)lan_number(drop, "frames"));
		r |= table_cell(t, "%s", lan_text(drop, "reason"));
		r |= table_cell(t, "%s", lan_text(drop, "text"));
	}
	return r;
}

int list_print_drops(const json_t *list, FILE *to)
{
	static const char *const headings[] = { "PORT", "GUESTS", ">FRAMES", "REASON", "WHAT IT MEANS", NULL };
	_cleanup_(table_freep) struct table *t = NULL;
	json_t *port;
	size_t i;
	int r = table_new(&t, headings);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(list, "ports"), i, port)
		if (port_drops(t, list, port))
			return -ENOMEM;
	if (table_empty(t))
		fputs("nothing was dropped\n", to);
	else
		table_print(t, to);
	return 0;
}
