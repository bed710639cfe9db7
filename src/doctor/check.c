// SPDX-License-Identifier: MIT
#include "doctor/check.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct check checks[] = {
	{ "daemon", CHECK_ALL, check_daemon },
	{ "no-bridge", CHECK_BRIDGE, check_no_bridge },
	{ "link-down", CHECK_BRIDGE, check_link_down },
	{ "forward-drop", CHECK_BRIDGE, check_forward_drop },
	{ "rp-filter", CHECK_BRIDGE, check_rp_filter },
	{ "ip-forward", CHECK_BRIDGE, check_ip_forward },
	{ "accept-ra", CHECK_BRIDGE, check_accept_ra },
	{ "port-address", CHECK_BRIDGE, check_port_address },
	{ "port-dhcp", CHECK_BRIDGE, check_port_dhcp },
	{ "stp", CHECK_BRIDGE, check_stp },
	{ "moving-mac", CHECK_BRIDGE, check_moving_mac },
	{ "mtu", CHECK_BRIDGE, check_mtu },
	{ "mac-filter", CHECK_BRIDGE, check_mac_filter },
	{ "overlap", CHECK_ALL, check_overlap },
	{ "guest", CHECK_ALL, check_guest_known },
	{ "duplicate-mac", CHECK_ALL, check_duplicate_mac },
	{ "duplicate-address", CHECK_ALL, check_duplicate_address },
	{ "no-lease", CHECK_ALL, check_no_lease },
	{ "forward-away", CHECK_ALL, check_forward_away },
	{ "dhcp-servers", CHECK_ALL, check_dhcp_servers },
	{ "drops", CHECK_ALL, check_drops },
	{ "tap-unattached", CHECK_BRIDGE, check_tap_unattached },
	{ "tap-mac", CHECK_BRIDGE, check_tap_mac },
	{ "tap-owner", CHECK_BRIDGE, check_tap_owner },
	{ "tap-alone", CHECK_BRIDGE, check_tap_alone },
	{ "resolver", CHECK_USER_LAN, check_resolver },
	{ "host-address", CHECK_USER_LAN, check_host_address },
	{ "ping-sockets", CHECK_USER_LAN, check_ping_sockets },
	{ "user-namespaces", CHECK_USER_LAN, check_user_namespaces },
	{ "tun-device", CHECK_ALL, check_tun_device },
	{ "kvm", CHECK_ALL, check_kvm },
	{ "vhost-net", CHECK_BRIDGE, check_vhost_net },
	{ "bridge-nf", CHECK_BRIDGE, check_bridge_nf },
};

const struct check *check_at(size_t index)
{
	return index < ARRAY_SIZE(checks) ? &checks[index] : NULL;
}

const struct check *check_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (!strcmp(checks[i].name, name))
			return &checks[i];
	return NULL;
}

/* Worse ones first, and those of one severity as they were found. */
static void sort(struct findings *f)
{
	for (size_t i = 1; i < f->count; i++) {
		struct finding one = f->list[i];
		size_t at = i;

		for (; at && f->list[at - 1].severity < one.severity; at--)
			f->list[at] = f->list[at - 1];
		f->list[at] = one;
	}
}

static void leave_others_out(struct findings *f, const char *guest)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->count; i++)
		if (!f->list[i].guest || !strcasecmp(f->list[i].guest, guest))
			f->list[kept++] = f->list[i];
	f->count = kept;
}

void checks_run(const struct facts *f, struct findings *out)
{
	enum check_for kind = check_is_user_lan(f) ? CHECK_USER_LAN : CHECK_BRIDGE;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (!(checks[i].applies & kind))
			continue;
		out->check = checks[i].name;
		checks[i].run(f, out);
	}
	if (*f->target.guest)
		leave_others_out(out, f->target.guest);
	sort(out);
}
