// SPDX-License-Identifier: MIT
/* What the doctor reads of others: frames that answer its probes, the words of processes, rules and answers in JSON. */
#include "fuzz.h"

#include "doctor/firewall.h"
#include "doctor/gather.h"
#include "doctor/probe.h"

#define WORDS 64

static void read_frame(const void *data, size_t size)
{
	struct answer_fact who;
	struct mac to;

	probe_read_arp(data, size, &who, &to);
	probe_read_offer(data, size, 0, &who);
}

static void read_words(char *text, size_t size)
{
	char *words[WORDS];
	struct facts f = { .lan = { .control = "/run/hospes/control" } };
	size_t count = 0;

	for (size_t at = 0; at < size && count < WORDS; at += strlen(text + at) + 1)
		words[count++] = text + at;
	gather_nics(&f, 1, words, count);
	MUST(f.nic_count <= count);
	facts_fini(&f);
}

static void read_json(const char *text, size_t size)
{
	struct firewall_packet packet = { .family = "ip", .in = "br0", .out = "br0", .state = "new" };
	json_t *json = json_loadb(text, size, 0, NULL);
	struct firewall_verdict v;
	struct facts f = { 0 };

	firewall_judge(json, &packet, &v);
	firewall_has_masquerade(json);
	MUST(!v.dropped || firewall_has_hook(json, "forward"));
	gather_lan_list(&f, json);
	gather_lan_forwards(&f, json);
	facts_fini(&f);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (!size)
		return 0;
	/* With a NUL behind it, as /proc gives words. */
	copy = malloc(size);
	MUST(copy);
	memcpy(copy, data + 1, size - 1);
	copy[size - 1] = 0;
	switch (data[0] % 3) {
	case 0: read_frame(data + 1, size - 1); break;
	case 1: read_words(copy, size - 1); break;
	case 2: read_json(copy, size - 1); break;
	}
	free(copy);
	return 0;
}
