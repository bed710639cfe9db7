// SPDX-License-Identifier: MIT
/* What a DHCPv4 message may hold, and what is refused; what fits into a reply. */
#include "dhcp4_message.h"

#define WEB MAC(1)
#define DB  MAC(2)

static void names(void **state)
{
	struct world *w = *state;
	static const struct { const char *name, *fqdn, *becomes; } rows[] = {
		{ "web", NULL, "web" },
		{ "WEB", NULL, "" },                       /* another's by now */
		{ "db.example.org", NULL, "db" },
		{ "not_valid", NULL, "" },
		{ "-x", NULL, "" },
		{ "localhost", NULL, "" },
		{ "gateway", NULL, "" },
		{ "", NULL, "" },
		{ "short", "longer.example.org", "longer" },
		{ "fallback", ".", "fallback" },
		{ "0123456789012345678901234567890123456789012345678901234567890123456789", NULL, "" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip4 ip = lease(w, MAC(i));

		ask(w, (struct ask){ REQUEST, MAC(i), .ciaddr = ip, .name = rows[i].name, .fqdn = rows[i].fqdn });
		assert_int_equal(said(w), ACK);
		assert_string_equal(guests_find(w->guests, MAC(i))->name, rows[i].becomes);
	}
}

static void encoded_name(void **state)
{
	static const uint8_t fqdn[] = "\4\0\0\3web\7example\0", lying[] = "\4\0\0\77web";
	struct world *w = *state;
	struct ask a = { REQUEST, WEB, .ciaddr = IP(20) };
	struct bytes p = message(&a);

	p.size--;
	put_option(&p, 81, lying, sizeof(lying) - 1);
	assert_int_equal(play(w, WEB, IP(20), p.b, p.size), DROP_NONE);
	assert_string_equal(guests_find(w->guests, WEB)->name, "web");
	a.mac = DB;
	a.ciaddr = IP(21);
	p = message(&a);
	p.size--;
	put_option(&p, 81, fqdn, sizeof(fqdn) - 1);
	guests_remove(w->guests, guests_find(w->guests, WEB));
	assert_int_equal(play(w, DB, IP(21), p.b, p.size), DROP_NONE);
	assert_string_equal(guests_find(w->guests, DB)->name, "web");
}

static void only_what_is_asked_for(void **state)
{
	struct world *w = *state;

	ask(w, (struct ask){ DISCOVER, WEB, .parameters = "\1\3\6" });
	assert_option(w, 3, "\12\0\2\2", 4);
	assert_no_option(w, 26);
	assert_no_option(w, 119);
	assert_no_option(w, 12);
	ask(w, (struct ask){ DISCOVER, WEB, .parameters = "\1\3\6\x1a\x77" });
	assert_option(w, 26, "\5\xdc", 2);
}

static void replies_fit(void **state)
{
	struct world *w = *state;
	char name[64] = { 0 }, id[256] = { 0 };

	memset(name, 'n', 63);
	memset(id, 'i', 255);
	memset(w->plan.domain, 'd', 63);
	lease(w, WEB);
	/* An id that takes most of the 576 bytes: the rest that fits comes. */
	ask(w, (struct ask){ REQUEST, WEB, .ciaddr = IP(15), .name = name, .id = id });
	assert_int_equal(said(w), ACK);
	assert_true(w->reply.out.used <= 576 - 28);
	assert_option(w, 61, id, 255);
	assert_option(w, 3, "\12\0\2\2", 4);
	assert_no_option(w, 119);
	/* More room, more options; never more than the caller's room or the MTU. */
	ask(w, (struct ask){ REQUEST, WEB, .ciaddr = IP(15), .id = id, .max_size = 1500 });
	assert_option(w, 12, name, 63);
	assert_true(w->reply.out.used > 576 - 28);
	w->plan.mtu = 600;
	ask(w, (struct ask){ REQUEST, WEB, .ciaddr = IP(15), .id = id, .max_size = 65535 });
	assert_true(w->reply.out.used <= 600 - 28);
	/* Too small a maximum is not believed (RFC 2132 section 9.10). */
	ask(w, (struct ask){ REQUEST, WEB, .ciaddr = IP(15), .max_size = 20 });
	assert_int_equal(said(w), ACK);
}

static void split_and_overloaded_options(void **state)
{
	struct world *w = *state;
	struct ask a = { .mac = WEB };
	struct bytes p = { .size = 0 };
	const uint8_t type = DISCOVER;

	put_header(&p, &a);
	put_option(&p, 52, "\3", 1);
	put_option(&p, 12, "we", 2);
	put(&p, "\0\0\0", 3);
	put_option(&p, 12, "b", 1);
	put(&p, "\xff", 1);
	memcpy(p.b + 108, "\x35\1\3\x0c\1s\xff", 7);             /* in `file`: a REQUEST, and more of the name */
	memcpy(p.b + 44, "\x32\4\12\0\2\x21\x36\4\12\0\2\2\xff", 13); /* in `sname`: the address and the server */
	assert_int_equal(play(w, WEB, (struct ip4){ 0 }, p.b, p.size), DROP_NONE);
	assert_int_equal(said(w), ACK);
	assert_ip(yiaddr(w), IP(0x21));
	assert_string_equal(guests_find(w->guests, WEB)->name, "webs");
	/* Parts that make more than an option can hold. */
	p.size = 0;
	put_header(&p, &a);
	put_option(&p, 53, &type, 1);
	put_option(&p, 61, p.b, 200);
	assert_int_equal(play(w, WEB, (struct ip4){ 0 }, p.b, p.size), DROP_NONE);
	put_option(&p, 61, p.b, 56);
	assert_int_equal(play(w, WEB, (struct ip4){ 0 }, p.b, p.size), DROP_MALFORMED);
}

static void options_that_leave_their_field(void **state)
{
	struct world *w = *state;
	struct ask a = { .mac = WEB };
	struct bytes p = { .size = 0 };
	const uint8_t type = DISCOVER;

	put_header(&p, &a);
	put_option(&p, 53, &type, 1);
	put_option(&p, 52, "\1", 1);
	assert_int_equal(play(w, WEB, (struct ip4){ 0 }, p.b, p.size), DROP_NONE);
	p.b[108 + 128 - 1] = 12;
	memset(p.b + 108, 0, 127);
	assert_int_equal(play(w, WEB, (struct ip4){ 0 }, p.b, p.size), DROP_MALFORMED);
	/* A type of two bytes is none: BOOTP. */
	p.size = 0;
	put_header(&p, &a);
	put_option(&p, 53, &type, 1);
	put_option(&p, 53, &type, 1);
	assert_int_equal(play(w, WEB, (struct ip4){ 0 }, p.b, p.size), DROP_SERVICE_REFUSED);
}

static void refuses(void **state)
{
	static const struct { size_t at; uint8_t value; enum drop drop; } rows[] = {
		{ 0, 2, DROP_MALFORMED },    /* a reply */
		{ 1, 6, DROP_MALFORMED },    /* IEEE 802 */
		{ 2, 16, DROP_MALFORMED },
		{ 24, 10, DROP_SERVICE_REFUSED }, /* relayed */
		{ 33, 9, DROP_SPOOFED_MAC },
		{ 236, 0, DROP_MALFORMED },  /* the cookie */
		{ 242, OFFER, DROP_SERVICE_REFUSED },
		{ 242, ACK, DROP_SERVICE_REFUSED },
		{ 242, 0, DROP_SERVICE_REFUSED },
		{ 242, 200, DROP_SERVICE_REFUSED },
		{ 241, 200, DROP_MALFORMED },
	};
	struct world *w = *state;
	struct ask a = { DISCOVER, WEB };
	struct bytes good = message(&a), bad;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bad = good;
		bad.b[rows[i].at] = rows[i].value;
		assert_int_equal(play(w, WEB, (struct ip4){ 0 }, bad.b, bad.size), rows[i].drop);
		assert_int_equal(w->reply.out.used, 0);
	}
	/* Cut anywhere before the type is whole. */
	for (size_t n = 0; n < 243; n++)
		assert_int_equal(play(w, WEB, (struct ip4){ 0 }, good.b, n), n == 240 ? DROP_SERVICE_REFUSED : DROP_MALFORMED);
	assert_int_equal(play(w, WEB, (struct ip4){ 0 }, good.b, 243), DROP_NONE);
	w->plan.ip4 = false;
	assert_int_equal(ask(w, a), DROP_SERVICE_REFUSED);
	assert_int_equal(ask(w, (struct ask){ DISCOVER, {{ 1 }} }), DROP_SERVICE_REFUSED);
	w->plan.ip4 = true;
	assert_int_equal(ask(w, (struct ask){ DISCOVER, {{ 1 }} }), DROP_MAC_TABLE_FULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(names), T(encoded_name), T(only_what_is_asked_for), T(replies_fit), T(split_and_overloaded_options),
		T(options_that_leave_their_field), T(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
