// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "bridge/array.h"
#include "bridge/snapshot_private.h"

#define WIRELESS_NAME 0x8b01 /* SIOCGIWNAME of linux/wireless.h, which net/if.h does not go with */
#define RTEXT_FILTER_SKIP 8u /* RTEXT_FILTER_SKIP_STATS: counters are not asked for */

static uint32_t get_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

static uint16_t get_u16(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint16_t) ? mnl_attr_get_u16(a) : 0;
}

static uint8_t get_u8(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint8_t) ? mnl_attr_get_u8(a) : 0;
}

static void get_text(char *into, size_t size, const struct nlattr *a)
{
	snprintf(into, size, "%.*s", (int)mnl_attr_get_payload_len(a), (const char *)mnl_attr_get_payload(a));
}

static void get_mac(struct mac *m, const struct nlattr *a)
{
	if (mnl_attr_get_payload_len(a) == sizeof(*m))
		memcpy(m, mnl_attr_get_payload(a), sizeof(*m));
}

static void take_bridge(struct link *l, const struct nlattr *data)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_BR_STP_STATE:
			l->bridge.stp = get_u32(a);
			break;
		case IFLA_BR_FORWARD_DELAY:
			l->bridge.forward_delay = get_u32(a);
			break;
		case IFLA_BR_HELLO_TIME:
			l->bridge.hello = get_u32(a);
			break;
		case IFLA_BR_MAX_AGE:
			l->bridge.max_age = get_u32(a);
			break;
		case IFLA_BR_NF_CALL_IPTABLES:
			l->bridge.nf_call_ip = get_u8(a);
			break;
		case IFLA_BR_NF_CALL_IP6TABLES:
			l->bridge.nf_call_ip6 = get_u8(a);
			break;
		}
	}
}

static void take_tun(struct link *l, const struct nlattr *data)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_TUN_TYPE:
			l->tap.tap = get_u8(a) == IFF_TAP;
			break;
		case IFLA_TUN_PERSIST:
			l->tap.persist = get_u8(a);
			break;
		case IFLA_TUN_OWNER:
			l->tap.owner = get_u32(a);
			break;
		case IFLA_TUN_GROUP:
			l->tap.group = get_u32(a);
			break;
		}
	}
}

static void take_port(struct link *l, const struct nlattr *data)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data) {
		if (mnl_attr_get_type(a) == IFLA_BRPORT_STATE)
			l->port.state = get_u8(a);
		else if (mnl_attr_get_type(a) == IFLA_BRPORT_ISOLATED)
			l->port.isolated = get_u8(a);
	}
}

static void take_info(struct link *l, const struct nlattr *info)
{
	const struct nlattr *a, *data = NULL, *port = NULL, *id;
	char over[16] = "";

	mnl_attr_for_each_nested(a, info) {
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			get_text(l->kind, sizeof(l->kind), a);
		else if (mnl_attr_get_type(a) == IFLA_INFO_SLAVE_KIND)
			get_text(over, sizeof(over), a);
		else if (mnl_attr_get_type(a) == IFLA_INFO_DATA)
			data = a;
		else if (mnl_attr_get_type(a) == IFLA_INFO_SLAVE_DATA)
			port = a;
	}
	if (data && !strcmp(l->kind, "bridge"))
		take_bridge(l, data);
	if (data && !strcmp(l->kind, "tun"))
		take_tun(l, data);
	if (data && !strcmp(l->kind, "vlan"))
		mnl_attr_for_each_nested(id, data)
			if (mnl_attr_get_type(id) == IFLA_VLAN_ID)
				l->vlan_id = get_u16(id);
	if (port && !strcmp(over, "bridge"))
		take_port(l, port);
}

static void take_attribute(struct link *l, const struct nlattr *a)
{
	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		get_text(l->name, sizeof(l->name), a);
		break;
	case IFLA_ADDRESS:
		get_mac(&l->mac, a);
		break;
	case IFLA_PERM_ADDRESS:
		get_mac(&l->permanent_mac, a);
		break;
	case IFLA_MTU:
		l->mtu = get_u32(a);
		break;
	case IFLA_MASTER:
		l->master = get_u32(a);
		break;
	case IFLA_LINK:
		l->lower = get_u32(a);
		break;
	case IFLA_LINK_NETNSID:
		l->foreign_namespace = true;
		break;
	case IFLA_IFALIAS:
		get_text(l->alias, sizeof(l->alias), a);
		break;
	case IFLA_LINKINFO:
		take_info(l, a);
		break;
	}
}

static int take_link(const struct nlmsghdr *h, void *owner)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	struct snapshot *s = owner;
	struct link *l = SNAPSHOT_NEXT(s, links, link_count);
	const struct nlattr *a;

	if (!l) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	*l = (struct link){ .index = (unsigned int)m->ifi_index, .type = m->ifi_type, .up = m->ifi_flags & IFF_UP,
			    .lower_up = m->ifi_flags & 0x10000 /* IFF_LOWER_UP */, .promisc = m->ifi_flags & IFF_PROMISC,
			    .tap = { .owner = UINT32_MAX, .group = UINT32_MAX } };
	mnl_attr_for_each(a, h, sizeof(*m))
		take_attribute(l, a);
	/* A veth's IFLA_LINK is its peer; what it stands on is nothing. */
	if (!strcmp(l->kind, "veth") || l->lower == l->index || l->foreign_namespace)
		l->lower = 0;
	l->ours = !strncmp(l->alias, OURS_ALIAS, strlen(OURS_ALIAS));
	s->link_count++;
	return MNL_CB_OK;
}

/* sysfs shows the namespace that it was mounted in; the wireless extensions answer for this one. */
static bool is_wireless(const struct link *l, int socket)
{
	struct ifreq request = { 0 };
	char path[64], index[16] = "";
	FILE *f;

	strcpy(request.ifr_name, l->name);
	if (socket >= 0 && !ioctl(socket, WIRELESS_NAME, &request))
		return true;
	snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", l->name);
	f = fopen(path, "re");
	if (f) {
		if (!fgets(index, sizeof(index), f))
			index[0] = 0;
		fclose(f);
	}
	if ((unsigned int)strtoul(index, NULL, 10) != l->index)
		return false;
	snprintf(path, sizeof(path), "/sys/class/net/%s/phy80211", l->name);
	if (!access(path, F_OK))
		return true;
	snprintf(path, sizeof(path), "/sys/class/net/%s/wireless", l->name);
	return !access(path, F_OK);
}

static void name_owner(struct link *l)
{
	struct passwd entry, *found = NULL;
	char room[2048];

	if (l->tap.owner != UINT32_MAX && !getpwuid_r(l->tap.owner, &entry, room, sizeof(room), &found) && found &&
	    strlen(found->pw_name) < sizeof(l->tap.owner_name))
		strcpy(l->tap.owner_name, found->pw_name);
}

int snapshot_read_links(struct snapshot *s, struct nl *n)
{
	_cleanup_fd_ int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct { struct ifinfomsg m; struct nlattr mask; uint32_t skip; } request = {
		.mask = { .nla_len = MNL_ATTR_HDRLEN + sizeof(uint32_t), .nla_type = IFLA_EXT_MASK }, .skip = RTEXT_FILTER_SKIP,
	};
	int r = nl_dump(n, RTM_GETLINK, &request, sizeof(request), take_link, s);

	for (size_t i = 0; !r && i < s->link_count; i++) {
		s->links[i].wireless = is_wireless(&s->links[i], probe);
		name_owner(&s->links[i]);
	}
	return r;
}
