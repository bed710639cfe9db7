// SPDX-License-Identifier: MIT
#include "unit.h"

#include <stdio.h>

#include "wire/dns.h"

#define HEADER 12

/* A message of a header of zeroes and @size bytes; the name at @start. Return: whether it can be read. */
static bool read_name(const void *bytes, size_t size, size_t start, struct dns_name *name, size_t *left)
{
	uint8_t b[2000] = { 0 };
	struct iovec iov;
	struct cursor message = cursor_of(&iov, b, HEADER + size), c = message;

	memcpy(b + HEADER, bytes, size);
	cursor_skip(&c, start);
	*name = dns_name_parse(message, &c);
	*left = cursor_left(&c);
	return !cursor_failed(&c);
}

static void assert_name(const char *text, const struct dns_name *name)
{
	struct dns_name wanted;

	assert_true(dns_name_of_text(text, &wanted));
	assert_true(dns_name_equal(&wanted, name));
}

static void compressed(void **state)
{
	static const char b[] = "\3www\7example\3org\0" "\4mail\xc0\x10" "\xc0\x1d" "!";
	struct dns_name name;
	size_t left;

	(void)state;
	assert_true(read_name(b, sizeof(b) - 1, 12, &name, &left));
	assert_name("www.example.org", &name);
	assert_int_equal(left, 10);
	assert_true(read_name(b, sizeof(b) - 1, 29, &name, &left));
	assert_name("mail.example.org", &name);
	assert_int_equal(left, 3);
	assert_true(read_name(b, sizeof(b) - 1, 36, &name, &left));
	assert_name("MAIL.example.ORG.", &name);
	assert_int_equal(left, 1);
}

static void hostile(void **state)
{
	static const struct { const char *bytes; size_t size; bool good; } cases[] = {
		{ "\xc0\x0c", 2, false },        /* itself */
		{ "\xc0\x0e\0", 3, false },      /* ahead */
		{ "\1a\xc0\x0c", 4, false },     /* a loop with a label in it */
		{ "\1a\xc0\x0e", 4, false },     /* to the pointer itself */
		{ "\xff\xff", 2, false },
		{ "\xc0", 1, false },
		{ "\5abc", 4, false },
		{ "\1a", 2, false },
		{ "", 0, false },
		{ "\x40" "a\0", 3, false },      /* unknown label types */
		{ "\x80" "a\0", 3, false },
		{ "\1a\xc0\x08", 4, true },      /* back to a zero byte: the root */
	};
	uint8_t labels[300];
	struct dns_name name;
	size_t left;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(read_name(cases[i].bytes, cases[i].size, HEADER, &name, &left), cases[i].good);

	for (size_t i = 0; i < sizeof(labels); i += 2)
		labels[i] = 1, labels[i + 1] = 'a';
	labels[254] = 0;
	assert_true(read_name(labels, 255, HEADER, &name, &left));
	assert_int_equal(name.size, 255);
	labels[254] = 1;
	labels[256] = 0;
	assert_false(read_name(labels, 257, HEADER, &name, &left));
}

/* A chain of names, each a label and a pointer to the one before: good up to a bound. */
static void pointer_chain(void **state)
{
	uint8_t b[200];
	size_t size = 0, left;
	struct dns_name name;

	(void)state;
	for (int i = 0; i < 40; i++) {
		size_t start = HEADER + size;

		b[size++] = 1;
		b[size++] = 'a';
		b[size++] = 0xc0;
		b[size++] = (uint8_t)(i ? start - 4 : 0);
		assert_int_equal(read_name(b, size, start, &name, &left), i < 32);
		if (i < 32) {
			assert_int_equal(left, 0);
			assert_int_equal(name.size, 2 * (i + 1) + 1);
		}
	}
}

static void skipped(void **state)
{
	static const struct { const char *bytes; size_t size, left; bool good; } cases[] = {
		{ "\3www\0!", 6, 1, true }, { "\1a\xc0\x0c!", 5, 1, true }, { "\1a", 2, 0, false },
		{ "\x40" "a\0", 3, 0, false }, { "\xc0", 1, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct iovec iov;
		struct cursor c = cursor_of(&iov, cases[i].bytes, cases[i].size);

		dns_name_skip(&c);
		assert_int_equal(!cursor_failed(&c), cases[i].good);
		assert_int_equal(cursor_left(&c), cases[i].left);
	}
}

static void as_text(void **state)
{
	struct dns_name n;
	char label[66], name[300];

	(void)state;
	memset(label, 'a', sizeof(label));
	label[64] = 0;
	assert_false(dns_name_of_text(label, &n));
	label[63] = 0;
	assert_true(dns_name_of_text(label, &n));
	assert_int_equal(n.size, 65);
	snprintf(name, sizeof(name), "%s.%s.%s.%.61s", label, label, label, label);
	assert_true(dns_name_of_text(name, &n));
	assert_int_equal(n.size, 255);
	snprintf(name, sizeof(name), "%s.%s.%s.%.62s", label, label, label, label);
	assert_false(dns_name_of_text(name, &n));
	assert_false(dns_name_of_text("a..b", &n));
	assert_false(dns_name_of_text(".", &n));
	assert_true(dns_name_of_text("", &n));
	assert_int_equal(n.size, 1);
}

static void suffixes(void **state)
{
	static const struct { const char *name, *suffix; int at; } cases[] = {
		{ "web.hospes", "hospes", 4 }, { "hospes", "HOSPES", 0 }, { "a.b.Hospes", "hospes", 4 }, { "xhospes", "hospes", -1 },
		{ "hospes.org", "hospes", -1 }, { "", "hospes", -1 }, { "a.b", "a.b.c", -1 }, { "a.lan.example", "lan.example", 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dns_name name, suffix;

		assert_true(dns_name_of_text(cases[i].name, &name) && dns_name_of_text(cases[i].suffix, &suffix));
		assert_int_equal(dns_name_find_suffix(&name, &suffix), cases[i].at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compressed), cmocka_unit_test(hostile), cmocka_unit_test(pointer_chain), cmocka_unit_test(skipped),
		cmocka_unit_test(as_text), cmocka_unit_test(suffixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
