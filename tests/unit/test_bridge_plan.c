// SPDX-License-Identifier: MIT
/*
 * The planner on goldens: hosts and configurations in bridge/NAME.json, with the steps (or the refusal) that must come of them.
 *
 *	title    what is special about it            config   the text of the LAN's file, line by line; lan: its name (br0)
 *	host     a snapshot                          steps    the plan for up, as commands          error   or a part of the refusal
 *	journal  steps that a crash left behind,
 with "state"                                        down    the plan for down from that journal
 *
 * With HOSPES_GOLDEN_WRITE=1 the plans are written into the files instead, to be read and judged by a person.
 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "bridge/bridge.h"

#define GOLDENS TESTS_DIR "/bridge"

static struct lan_config *parse(const json_t *golden, char *error, size_t size)
{
	const char *lan = json_string_value(json_object_get(golden, "lan"));
	struct lan_config *c = NULL;
	const json_t *line;
	size_t n;
	char *text;
	FILE *f = open_memstream(&text, &n);
	int r;

	json_array_foreach(json_object_get(golden, "config"), n, line)
		fprintf(f, "%s\n", json_string_value(line));
	fclose(f);
	f = fmemopen(text, strlen(text), "r");
	r = lan_config_parse(&c, lan ? lan : "br0", f, "x.lan", error, size);
	fclose(f);
	free(text);
	return r ? NULL : c;
}

/* A step survives JSON, and its way back undone is itself. */
static void check_step(const struct step *s)
{
	_cleanup_(freep) char *text = step_format(s), *text_again = NULL, *text_back = NULL;
	struct step again, back, forth;
	json_t *json = step_to_json(s);

	assert_int_equal(step_from_json(&again, json), 0);
	text_again = step_format(&again);
	assert_string_equal(text, text_again);
	assert_int_equal(step_inverse(&back, s), 0);
	assert_int_equal(step_inverse(&forth, &back), 0);
	text_back = step_format(&forth);
	assert_string_equal(text, text_back);
	step_fini(&again);
	step_fini(&back);
	step_fini(&forth);
	json_decref(json);
}

static json_t *texts_of(const struct steps *steps)
{
	json_t *list = json_array();

	for (size_t i = 0; i < steps->count; i++) {
		_cleanup_(freep) char *text = step_format(&steps->step[i]);

		check_step(&steps->step[i]);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static void load_journal(struct steps *journal, const json_t *golden)
{
	const json_t *i;
	size_t n;

	json_array_foreach(json_object_get(golden, "journal"), n, i) {
		const char *state = json_string_value(json_object_get(i, "state"));
		struct step s;

		if (step_from_json(&s, i))
			fail_msg("journal, entry %zu", n);
		s.number = (uint32_t)n + 1;
		s.state = state && !strcmp(state, "intended") ? STEP_INTENDED : STEP_DONE;
		assert_int_equal(steps_add(journal, &s), 0);
	}
}

/* Compare, or write. Takes @is. */
static bool settle(json_t *golden, const char *key, json_t *is, bool write)
{
	bool same = json_equal(is, json_object_get(golden, key));

	if (!same && !write)
		print_error("%s of \"%s\" is\n%s\n", key, json_string_value(json_object_get(golden, "title")), json_dumps(is,
															  JSON_INDENT(1)));
	if (write)
		json_object_set(golden, key, is);
	json_decref(is);
	return same || write;
}

static bool check(json_t *golden, bool write)
{
	_cleanup_(snapshot_freep) struct snapshot *now = NULL;
	_cleanup_(lan_config_freep) struct lan_config *c = NULL;
	const char *wanted = json_string_value(json_object_get(golden, "error"));
	struct steps steps = { 0 }, journal = { 0 };
	char error[512] = "";
	bool good = true;

	if (snapshot_from_json(&now, json_object_get(golden, "host"), error, sizeof(error)))
		fail_msg("%s", error);
	load_journal(&journal, golden);
	if (json_object_get(golden, "down")) {
		assert_int_equal(bridge_plan_down(&steps, &journal, now), 0);
		good &= settle(golden, "down", texts_of(&steps), write);
		steps_fini(&steps);
	}
	assert_int_equal(bridge_plan_mend(now, &journal), 0);
	steps_fini(&journal);
	c = parse(golden, error, sizeof(error));
	if (c && !bridge_plan_up(&steps, c, now, error, sizeof(error))) {
		if (wanted)
			print_error("not refused: %s\n", wanted);
		good &= !wanted && settle(golden, "steps", texts_of(&steps), write);
		steps_fini(&steps);
		return good;
	}
	if (!wanted || !strstr(error, wanted))
		print_error("refused: %s\n", error);
	return good && wanted && strstr(error, wanted) && !json_object_get(golden, "steps");
}

static void goldens(void **state)
{
	bool write = getenv("HOSPES_GOLDEN_WRITE"), good = true;
	struct dirent **names;
	int n = scandir(GOLDENS, &names, NULL, alphasort), seen = 0;

	(void)state;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		char path[512];
		json_error_t where;
		json_t *golden;

		snprintf(path, sizeof(path), "%s/%s", GOLDENS, names[i]->d_name);
		free(names[i]);
		if (!strstr(path, ".json"))
			continue;
		golden = json_load_file(path, 0, &where);
		if (!golden)
			fail_msg("%s:%d: %s", path, where.line, where.text);
		if (!check(golden, write)) {
			print_error("%s\n", path);
			good = false;
		}
		if (write)
			assert_int_equal(json_dump_file(golden, path, JSON_INDENT(1) | JSON_ENSURE_ASCII), 0);
		json_decref(golden);
		seen++;
	}
	free(names);
	assert_true(seen >= 30);
	assert_true(good);
}

/* What a journal or a golden may say that is no step, and no host. */
static void mistakes(void **state)
{
	static const char *const steps[] = {
		"{}", "[]", "{\"kind\": \"nothing\"}", "{\"kind\": \"mtu\"}",
		"{\"kind\": \"mtu\", \"link\": \"a-name-too-long-for-a-link\"}",
		"{\"kind\": \"mtu\", \"link\": 5}", "{\"kind\": \"address-add\", \"link\": \"br0\"}",
		"{\"kind\": \"address-add\", \"link\": \"br0\", \"address\": {\"address\": \"10.0.0.1/33\"}}",
		"{\"kind\": \"address-add\", \"link\": \"br0\", \"address\": {\"address\": \"10.0.0.1/24\", \"flags\": [\"no\"]}}",
		"{\"kind\": \"route-add\", \"link\": \"br0\"}",
		"{\"kind\": \"route-add\", \"link\": \"br0\", \"route\": {\"raw\": \"02\"}}",
		"{\"kind\": \"route-add\", \"link\": \"br0\", \"route\": {\"raw\": \"xx\"}}",
		"{\"kind\": \"rule-add\", \"rule\": {\"raw\": \"0\"}}",
		"{\"kind\": \"sysctl\", \"key\": \"kernel/core_pattern\", \"value\": \"x\"}",
		"{\"kind\": \"sysctl\", \"key\": \"net/../kernel/core_pattern\", \"value\": \"x\"}",
		"{\"kind\": \"nft-add\", \"key\": \"inet x\"}",
	};
	static const char *const hosts[] = {
		"{\"links\": [{}]}", "{\"links\": [{\"name\": \"a\", \"mac\": \"x\"}]}",
		"{\"links\": [{\"name\": \"a\", \"master\": \"b\"}]}",
		"{\"addresses\": [{\"dev\": \"a\", \"address\": \"10.0.0.1/8\"}]}", "{\"addresses\": [5]}",
		"{\"routes\": [{\"to\": \"x\"}]}", "{\"routes\": [{\"to\": \"default\", \"dev\": \"a\"}]}",
		"{\"routes\": [{\"to\": \"default\", \"table\": \"x\"}]}", "{\"rules\": [{\"from\": \"x\"}]}", "{\"sysctls\": {\"a\": 1}}",
		"{\"tables\": [{}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		json_t *json = json_loads(steps[i], 0, NULL);
		struct step s;

		assert_non_null(json);
		if (step_from_json(&s, json) != -EINVAL)
			fail_msg("%s", steps[i]);
		json_decref(json);
	}
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		json_t *json = json_loads(hosts[i], 0, NULL);
		struct snapshot *s;
		char error[256] = "";

		assert_non_null(json);
		if (snapshot_from_json(&s, json, error, sizeof(error)) != -EINVAL || !error[0])
			fail_msg("%s", hosts[i]);
		json_decref(json);
	}
}

/* Two dots in a link's name lead nowhere. */
static void dotted_link(void **state)
{
	json_t *json = json_pack("{ss ss ss}", "kind", "sysctl", "key", "net/ipv4/conf/eth0..1/forwarding", "value", "1");
	struct step s;

	(void)state;
	assert_int_equal(step_from_json(&s, json), 0);
	step_fini(&s);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(goldens), cmocka_unit_test(mistakes), cmocka_unit_test(dotted_link) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
