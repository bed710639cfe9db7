// SPDX-License-Identifier: MIT
/*
 * The checks: a table of pure functions from facts to findings. Nothing is asked of the kernel here, and nothing changed.
 *
 * A check looks at one thing that goes wrong. It finds nothing where its facts are missing: that they are is said by the facts' gaps.
 */
#pragma once
#include "doctor/facts.h"
#include "doctor/finding.h"

enum check_for { CHECK_USER_LAN = 1, CHECK_BRIDGE = 2, CHECK_ALL = 3 };

struct check {
	const char *name;
	enum check_for applies;
	void (*run)(const struct facts *f, struct findings *out);
};

/** check_at() - all of them, from 0. Return: NULL at the end. */
const struct check *check_at(size_t index);
/** check_find() - by its name, or NULL */
const struct check *check_find(const char *name);
/**
 * checks_run() - all that apply to the target
 * @out: filled in, the worst first; with a guest as the target, without what concerns other guests alone. Free with findings_fini().
 */
void checks_run(const struct facts *f, struct findings *out);

/** check_sudo() - what a remedy that only root may type begins with: "sudo ", or "" where root asks */
static inline const char *check_sudo(const struct facts *f) { return f->root ? "" : "sudo "; }

/** check_is_user_lan() - is it a user LAN? A bridge has a name. */
static inline bool check_is_user_lan(const struct facts *f) { return !*f->target.bridge; }

/* Each in the file of its subject: check_filter.c, check_ip.c, check_bridge.c, check_tap.c, check_lan.c, check_host.c, check_probe.c,
 * check_client.c. */
void check_forward_drop(const struct facts *f, struct findings *out);
void check_bridge_nf(const struct facts *f, struct findings *out);
void check_rp_filter(const struct facts *f, struct findings *out);
void check_ip_forward(const struct facts *f, struct findings *out);
void check_accept_ra(const struct facts *f, struct findings *out);
void check_overlap(const struct facts *f, struct findings *out);
void check_no_bridge(const struct facts *f, struct findings *out);
void check_link_down(const struct facts *f, struct findings *out);
void check_stp(const struct facts *f, struct findings *out);
void check_port_address(const struct facts *f, struct findings *out);
void check_port_dhcp(const struct facts *f, struct findings *out);
void check_moving_mac(const struct facts *f, struct findings *out);
void check_mtu(const struct facts *f, struct findings *out);
void check_tap_alone(const struct facts *f, struct findings *out);
void check_tap_unattached(const struct facts *f, struct findings *out);
void check_tap_owner(const struct facts *f, struct findings *out);
void check_tap_mac(const struct facts *f, struct findings *out);
void check_duplicate_mac(const struct facts *f, struct findings *out);
void check_duplicate_address(const struct facts *f, struct findings *out);
void check_daemon(const struct facts *f, struct findings *out);
void check_guest_known(const struct facts *f, struct findings *out);
void check_no_lease(const struct facts *f, struct findings *out);
void check_forward_away(const struct facts *f, struct findings *out);
void check_drops(const struct facts *f, struct findings *out);
void check_host_address(const struct facts *f, struct findings *out);
void check_tun_device(const struct facts *f, struct findings *out);
void check_kvm(const struct facts *f, struct findings *out);
void check_vhost_net(const struct facts *f, struct findings *out);
void check_ping_sockets(const struct facts *f, struct findings *out);
void check_user_namespaces(const struct facts *f, struct findings *out);
void check_resolver(const struct facts *f, struct findings *out);
void check_mac_filter(const struct facts *f, struct findings *out);
void check_dhcp_servers(const struct facts *f, struct findings *out);
