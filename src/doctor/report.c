// SPDX-License-Identifier: MIT
#include "doctor/report.h"

#include <ctype.h>
#include <string.h>

/* Names of links and guests may hold anything. */
static void print_safe(const char *text, FILE *to)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, to);
}

static void print_line(const char *label, const char *text, FILE *to)
{
	fprintf(to, "  %-8s", label);
	print_safe(text, to);
	fputc('\n', to);
}

static void print_finding(const struct finding *one, FILE *to)
{
	fprintf(to, "%s: ", severity_name(one->severity));
	print_safe(one->symptom, to);
	fprintf(to, " [%s]\n", one->check);
	print_line("cause", one->cause, to);
	print_line("read at", one->where, to);
	if (one->remedy)
		print_line("type", one->remedy, to);
	if (one->advice)
		print_line(one->remedy ? "" : "do", one->advice, to);
	fputc('\n', to);
}

static void print_gap(const struct gap *gap, FILE *to)
{
	fputs("not looked at: ", to);
	print_safe(gap->what, to);
	fputs(" (", to);
	print_safe(gap->why, to);
	fputs(")\n", to);
}

static size_t count_of(const struct findings *found, enum severity severity)
{
	size_t count = 0;

	for (size_t i = 0; i < found->count; i++)
		count += found->list[i].severity == severity;
	return count;
}

static const char *target_text(const struct facts *f, char *into, size_t size)
{
	bool lan = *f->target.lan, bridge = *f->target.bridge;

	snprintf(into, size, "%s%s%s%s%s%s", lan ? "LAN " : "", f->target.lan, lan && bridge ? " (" : "", bridge ? "bridge " : "",
		 f->target.bridge, lan && bridge ? ")" : "");
	return into;
}

static const char *state_text(const struct facts *f)
{
	return f->lan.state == LAN_DOWN ? " (it is down)" : "";
}

void report_text(const struct facts *f, const struct findings *found, FILE *to)
{
	size_t errors = count_of(found, SEVERITY_ERROR), warnings = count_of(found, SEVERITY_WARNING);
	size_t notes = count_of(found, SEVERITY_NOTE);
	char target[64];

	for (size_t i = 0; i < found->count; i++)
		print_finding(&found->list[i], to);
	for (size_t i = 0; i < f->gap_count; i++)
		print_gap(&f->gaps[i], to);
	print_safe(target_text(f, target, sizeof(target)), to);
	if (!errors && !warnings)
		fprintf(to, "%s: nothing is wrong", state_text(f));
	else
		fprintf(to, "%s: %zu error%s, %zu warning%s", state_text(f), errors, errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
	if (notes)
		fprintf(to, ", %zu note%s", notes, notes == 1 ? "" : "s");
	fputc('\n', to);
}

/* JSON is UTF-8: a name that is not shows "?" for what it cannot say, or the whole finding would be missing. */
static json_t *text_or_null(const char *text)
{
	json_t *json = text ? json_string(text) : json_null();
	_cleanup_(freep) char *copy = json ? NULL : strdup(text);

	for (char *at = copy; at && *at; at++)
		if (*at & 0x80)
			*at = '?';
	return copy ? json_string(copy) : json;
}

json_t *report_finding_json(const struct finding *one)
{
	return json_pack("{ss ss so so so so so so}", "check", one->check, "severity", severity_name(one->severity),
			 "guest", text_or_null(one->guest), "symptom", text_or_null(one->symptom), "cause", text_or_null(one->cause),
			 "where", text_or_null(one->where), "remedy", text_or_null(one->remedy), "advice", text_or_null(one->advice));
}

json_t *report_json(const struct facts *f, const struct findings *found)
{
	json_t *findings = json_array(), *gaps = json_array();

	for (size_t i = 0; i < found->count; i++)
		json_array_append_new(findings, report_finding_json(&found->list[i]));
	for (size_t i = 0; i < f->gap_count; i++)
		json_array_append_new(gaps, json_pack("{so so}", "what", text_or_null(f->gaps[i].what),
							  "why", text_or_null(f->gaps[i].why)));
	return json_pack("{so so so so so}", "lan", text_or_null(*f->target.lan ? f->target.lan : NULL),
			 "bridge", text_or_null(*f->target.bridge ? f->target.bridge : NULL),
			 "guest", text_or_null(*f->target.guest ? f->target.guest : NULL), "findings", findings, "not_looked_at", gaps);
}
