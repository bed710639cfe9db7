// SPDX-License-Identifier: MIT
#include "lan/plan.h"

#include <strings.h>

#include "base/attr.h"

#define LINK_LOCAL6 ((addr_t){{ 0xfe, 0x80 }})

bool lan_plan_is_gateway(const struct lan_plan *p, addr_t a)
{
	return (p->ip4 && addr_equal(a, p->gateway4)) || (p->ip6 && (addr_equal(a, p->gateway6) || addr_equal(a, p->link_local6)));
}

bool lan_plan_is_dns(const struct lan_plan *p, addr_t a)
{
	return (p->ip4 && addr_equal(a, p->dns4)) || (p->ip6 && addr_equal(a, p->dns6));
}

bool lan_plan_is_local(const struct lan_plan *p, addr_t a)
{
	return (p->ip4 && addr_in_prefix(a, p->net4, p->bits4)) ||
	       (p->ip6 && (addr_in_prefix(a, p->net6, p->bits6) || addr_in_prefix(a, LINK_LOCAL6, 10)));
}

addr_t lan_plan_broadcast4(const struct lan_plan *p)
{
	return addr_of4(ip4(ip4_get(addr_get4(p->net4)) | (uint32_t)(0xffffffffull >> p->bits4)));
}

bool lan_plan_may_host4(const struct lan_plan *p, addr_t a)
{
	return p->ip4 && addr_in_prefix(a, p->net4, p->bits4) && !addr_equal(a, p->net4) && !addr_equal(a, lan_plan_broadcast4(p)) &&
	       !lan_plan_is_gateway(p, a) && !lan_plan_is_dns(p, a);
}

bool lan_plan_in_pool4(const struct lan_plan *p, addr_t a)
{
	uint32_t v;

	if (!lan_plan_may_host4(p, a))
		return false;
	v = ip4_get(addr_get4(a));
	return v >= ip4_get(addr_get4(p->pool4_first)) && v <= ip4_get(addr_get4(p->pool4_last));
}

/* One label of letters, digits and inner hyphens; @upper: capitals too. */
static bool label_valid(const char *s, size_t max, bool upper)
{
	size_t n = strnlen(s, max + 1);

	if (n < 1 || n > max || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && !(s[i] >= '0' && s[i] <= '9') && s[i] != '-' && !(upper && s[i] >= 'A' && s[i] <= 'Z'))
			return false;
	return true;
}

bool lan_name_valid(const char *name)
{
	return label_valid(name, LAN_NAME_SIZE - 1, false);
}

bool guest_name_valid(const char *name)
{
	return label_valid(name, 63, true);
}

bool guest_name_reserved(const char *name)
{
	static const char *const reserved[] = { "gateway", "host", "dns", "localhost" };

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (!strcasecmp(name, reserved[i]))
			return true;
	return false;
}

const char *host_access_name(enum host_access a)
{
	switch (a) {
	case HOST_ACCESS_LAN:
		return "lan";
	case HOST_ACCESS_FULL:
		return "full";
	case HOST_ACCESS_NONE:
		return "none";
	}
	return "?";
}
