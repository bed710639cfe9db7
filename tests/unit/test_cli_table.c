// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "cli/list_text.h"
#include "cli/table.h"
#include <jansson.h>

static const char *human(uint64_t bytes)
{
	static char text[HUMAN_TEXT_SIZE];

	return human_bytes(bytes, text);
}

static void sizes_have_at_most_three_digits(void **state)
{
	(void)state;
	assert_string_equal(human(0), "0 B");
	assert_string_equal(human(999), "999 B");
	assert_string_equal(human(1000), "1.0 KiB");
	assert_string_equal(human(1536), "1.5 KiB");
	assert_string_equal(human(10 * 1024), "10 KiB");
	assert_string_equal(human(10180), "9.9 KiB");
	assert_string_equal(human(10230), "10 KiB");
	assert_string_equal(human(999 * 1024), "999 KiB");
	assert_string_equal(human(1023 * 1024), "1.0 MiB");
	assert_string_equal(human((uint64_t)5 << 30), "5.0 GiB");
	assert_string_equal(human(UINT64_MAX), "16 EiB");
}

static void columns_align(void **state)
{
	static const char *const headings[] = { "NAME", ">BYTES", "WHAT", NULL };
	static const char *const cells[] = { "web", "5", "short", "a-long-name", "1234567", "", NULL, "7", " ", " ", " ", "more\033" };
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(table_new(&t, headings), 0);
	assert_true(table_empty(t));
	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		assert_int_equal(cells[i] ? table_cell(t, "%s", cells[i]) : table_cell(t, NULL), 0);
	assert_false(table_empty(t));
	table_print(t, to);
	fclose(to);
	assert_string_equal(text,
		"NAME           BYTES  WHAT\n"
		"web                5  short\n"
		"a-long-name  1234567  -\n"
		"-                  7\n"
		"                      more?\n");
}

static void too_many_columns_are_refused(void **state)
{
	static const char *const many[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", NULL }, *const none[] = { NULL };
	struct table *t = NULL;

	(void)state;
	assert_int_equal(table_new(&t, many), -EINVAL);
	assert_int_equal(table_new(&t, none), -EINVAL);
	assert_null(t);
}

static char *show(int (*print)(const json_t *, FILE *), const char *json)
{
	json_t *list = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(list);
	assert_int_equal(print(list, to), 0);
	fclose(to);
	json_decref(list);
	return text;
}

static void guests_and_their_ports(void **state)
{
	_cleanup_(freep) char *text = show(list_print_guests,
		"{\"guests\": [{\"name\": \"web\", \"mac\": \"52:54:00:12:34:56\", \"state\": \"attached\", \"registered\": true, \"port\": 3,"
		"   \"addresses\": [\"10.0.2.15\", \"fd00::f\"]},"
		"  {\"name\": null, \"mac\": \"52:54:00:12:34:57\", \"state\": \"away\", \"registered\": false, \"addresses\": []}],"
		" \"ports\": [{\"id\": 3, \"kind\": \"stream\", \"bytes_from_guest\": 2048, \"rate_from_guest\": 10,"
		"   \"bytes_to_guest\": 5242880, \"rate_to_guest\": 0, \"drops\": []}]}");

	(void)state;
	assert_string_equal(text,
		"NAME  STATE     PORT      MAC                ADDRESS    FROM GUEST    RATE  TO GUEST   RATE\n"
		"web   attached  stream 3  52:54:00:12:34:56  10.0.2.15     2.0 KiB  10 B/s   5.0 MiB  0 B/s\n"
		"                                             fd00::f\n"
		"-     away      -         52:54:00:12:34:57  -                   -       -         -      -\n");
}

static void drops_and_their_reasons(void **state)
{
	_cleanup_(freep) char *none = show(list_print_drops, "{\"guests\": [], \"ports\": [{\"id\": 1, \"kind\": \"gateway\", \"drops\": []}]}");
	_cleanup_(freep) char *text = show(list_print_drops,
		"{\"guests\": [{\"name\": \"web\", \"port\": 2}], \"ports\": ["
		" {\"id\": 1, \"kind\": \"gateway\", \"drops\": [{\"reason\": \"ttl\", \"text\": \"its time to live ran out\", \"frames\": 1}]},"
		" {\"id\": 2, \"kind\": \"tap\", \"drops\": [{\"reason\": \"short\", \"text\": \"cut short\", \"frames\": 12}]}]}");

	(void)state;
	assert_string_equal(none, "nothing was dropped\n");
	assert_string_equal(text,
		"PORT       GUESTS  FRAMES  REASON  WHAT IT MEANS\n"
		"gateway 1  -            1  ttl     its time to live ran out\n"
		"tap 2      web         12  short   cut short\n");
}

/* An answer that is not as it should be is shown with gaps. */
static void a_strange_answer_does_no_harm(void **state)
{
	static const char *const strange[] = {
		"{}", "[]", "{\"guests\": 5, \"ports\": \"x\"}", "{\"guests\": [null, 7, {\"port\": 9, \"addresses\": [5]}], \"ports\": [null]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
		free(show(list_print_guests, strange[i]));
		free(show(list_print_drops, strange[i]));
		free(show(list_print_lan, strange[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_have_at_most_three_digits),
		cmocka_unit_test(columns_align),
		cmocka_unit_test(too_many_columns_are_refused),
		cmocka_unit_test(guests_and_their_ports),
		cmocka_unit_test(drops_and_their_reasons),
		cmocka_unit_test(a_strange_answer_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
