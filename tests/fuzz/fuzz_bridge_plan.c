// SPDX-License-Identifier: MIT
/*
 * A host as JSON (the doctor's dumps, journals): refused, or one that a plan can be made for, whose steps can be printed, kept and undone.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "bridge/bridge.h"

static struct lan_config *config(void)
{
	static const char text[] = "[LAN]\nFabric = bridge\nUplink = eth0\nTaps = tap0:root\n";
	FILE *f = fmemopen((void *)text, sizeof(text) - 1, "r");
	struct lan_config *c = NULL;
	char error[512];

	MUST(f && !lan_config_parse(&c, "br0", f, "x", error, sizeof(error)));
	fclose(f);
	return c;
}

static void check_step(const struct step *s)
{
	char *text = step_format(s);
	json_t *json = step_to_json(s);
	struct step again;

	MUST(text && *text && json && !step_from_json(&again, json));
	step_fini(&again);
	json_decref(json);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, 0, NULL);
	struct steps steps = { 0 }, back = { 0 };
	struct snapshot *now = NULL;
	struct lan_config *c;
	char error[512] = "";

	if (!json)
		return 0;
	if (!snapshot_from_json(&now, json, error, 256)) {
		c = config();
		MUST(!bridge_plan_up(&steps, c, now, error, sizeof(error)) || error[0]);
		for (size_t i = 0; i < steps.count; i++)
			check_step(&steps.step[i]);
		MUST(!bridge_plan_down(&back, &steps, now) && !bridge_plan_mend(now, &steps));
		steps_fini(&back);
		steps_fini(&steps);
		lan_config_free(c);
		snapshot_free(now);
	}
	json_decref(json);
	return 0;
}
