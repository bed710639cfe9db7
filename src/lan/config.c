// SPDX-License-Identifier: MIT
#include "lan/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lan/config_keys.h"
#include "lan/paths.h"

#define CONFIG_FILE_MAX (1 << 20) /* bytes; and a bound for guests and forwards, which take lines */
#define BLANKS " \t\r\n\v\f"

/*
 * libinih splits a line into key and value, but tells neither line numbers nor where a section begins. So the reader that it draws its
 * lines from counts them, watches for section headings, and takes comments and indentation away, which it would judge by its own rules.
 */
struct reading {
	struct config_draft draft;
	FILE *text;
	const char *label;
	unsigned int line, section_line;
	enum config_section section;
	uint32_t keys_seen;
	unsigned int lan_lines[CONFIG_KEY_MAX]; /* where each key of [LAN] stands; 0: nowhere */
	bool lan_seen;
	char *buffer; size_t room;    /* getline()'s */
	char *error; size_t error_size;
	int failed;                   /* negative errno, once */
};

static void _printf_(3, 4) refuse(struct reading *r, unsigned int line, const char *format, ...)
{
	char what[440];
	va_list args;

	if (r->failed)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(r->error, r->error_size, "%s:%u: %s", r->label, line, what);
	r->failed = -EINVAL;
}

/* One more at the end of an array whose room doubles at powers of two. Return: the new place, or NULL. */
static void *grow(struct reading *r, void *array, size_t count, size_t size)
{
	void *bigger = array;

	if (!(count & (count - 1)))
		bigger = reallocarray(array, count ? count * 2 : 1, size);
	if (!bigger) {
		snprintf(r->error, r->error_size, "%s: out of memory", r->label);
		r->failed = -ENOMEM;
	}
	return bigger;
}

static void finish_guest(struct reading *r)
{
	struct lan_config *c = r->draft.config;
	struct guest_config *g = &r->draft.guest, *bigger;

	g->line = r->section_line;
	if (!g->name[0]) {
		refuse(r, r->section_line, "[Guest] has no Name; expected \"Name = web\", say");
		return;
	}
	for (size_t n = 0; n < c->guest_count; n++) {
		const struct guest_config *i = &c->guests[n];

		if (!strcmp(i->name, g->name))
			refuse(r, g->line, "guest %s is at line %u already; expected a name of its own", g->name, i->line);
		else if (!mac_is_zero(g->mac) && mac_equal(i->mac, g->mac))
			refuse(r, g->line, "guest %s has the MAC of guest %s at line %u; expected one of its own", g->name, i->name,
			       i->line);
		else if (!addr_is_any(g->ip4) && addr_equal(i->ip4, g->ip4))
			refuse(r, g->line, "guest %s has the IPv4 address of guest %s at line %u; expected one of its own", g->name,
			       i->name, i->line);
		else if (g->tap[0] && !strcmp(i->tap, g->tap))
			refuse(r, g->line, "guest %s has the tap of guest %s at line %u; expected one of its own", g->name, i->name,
			       i->line);
	}
	bigger = r->failed ? NULL : grow(r, c->guests, c->guest_count, sizeof(*g));
	if (!bigger)
		return;
	c->guests = bigger;
	c->guests[c->guest_count++] = *g;
}

static void finish_forward(struct reading *r)
{
	struct lan_config *c = r->draft.config;
	struct forward_rule f, *bigger;
	char problem[320], other[FORWARD_TEXT_SIZE], to[FORWARD_TEXT_SIZE];

	if (!r->draft.listen[0] || !r->draft.to[0]) {
		refuse(r, r->section_line, "[Forward] has no %s; expected both Listen and To", r->draft.listen[0] ? "To" : "Listen");
		return;
	}
	if (forward_parse(&f, r->draft.listen, r->draft.to, problem, sizeof(problem))) {
		refuse(r, r->section_line, "[Forward] %s", problem);
		return;
	}
	for (size_t n = 0; n < c->forward_count; n++) {
		if (!forward_overlaps(&c->forwards[n], &f))
			continue;
		forward_format(&c->forwards[n], other, to);
		refuse(r, r->section_line, "[Forward] Listen = %s: overlaps the forward of %s; expected another port or address",
		       r->draft.listen, other);
	}
	bigger = r->failed ? NULL : grow(r, c->forwards, c->forward_count, sizeof(f));
	if (!bigger)
		return;
	c->forwards = bigger;
	c->forwards[c->forward_count++] = f;
}

static void finish_section(struct reading *r)
{
	if (r->failed)
		return;
	switch (r->section) {
	case SECTION_NONE:
	case SECTION_LAN:
		break;
	case SECTION_GUEST:
		finish_guest(r);
		break;
	case SECTION_FORWARD:
		finish_forward(r);
		break;
	}
}

/* @line: from the bracket on, without blanks or a comment at its end */
static void begin_section(struct reading *r, const char *line)
{
	size_t n = strlen(line);
	char name[32];

	finish_section(r);
	if (n < 3 || n - 2 >= sizeof(name) || line[n - 1] != ']') {
		refuse(r, r->line, "%.60s: expected [LAN], [Guest] or [Forward]", line);
		return;
	}
	memcpy(name, line + 1, n - 2);
	name[n - 2] = 0;
	r->section = config_section_find(name);
	if (r->section == SECTION_NONE)
		refuse(r, r->line, "%s is no section; expected [LAN], [Guest] or [Forward]", line);
	if (r->section == SECTION_LAN && r->lan_seen)
		refuse(r, r->line, "a second [LAN]; expected one");
	r->lan_seen |= r->section == SECTION_LAN;
	r->section_line = r->line;
	r->keys_seen = 0;
	r->draft.guest = (struct guest_config){ 0 };
	r->draft.listen[0] = r->draft.to[0] = 0;
}

/* Cut a comment (";" or "#" at the start or behind a blank) and blanks off both ends. Return: what is left, in place. */
static char *strip(char *line)
{
	size_t n;

	line += strspn(line, BLANKS);
	for (n = 0; line[n]; n++)
		if ((line[n] == ';' || line[n] == '#') && (!n || strchr(BLANKS, line[n - 1])))
			break;
	while (n && strchr(BLANKS, line[n - 1]))
		n--;
	line[n] = 0;
	return line;
}

/* For libinih: the next line, or NULL at the end and after the first mistake. */
static char *read_line(char *into, int size, void *owner)
{
	struct reading *r = owner;
	ssize_t n = r->failed ? -1 : getline(&r->buffer, &r->room, r->text);
	char *line;

	if (n < 0)
		return NULL;
	r->line++;
	if (memchr(r->buffer, 0, (size_t)n)) {
		refuse(r, r->line, "a NUL byte; expected text");
		return NULL;
	}
	line = r->buffer;
	if (r->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3))
		line += 3;
	line = strip(line);
	if (line[0] == '[')
		begin_section(r, line);
	if ((int)strlen(line) + 2 > size)
		refuse(r, r->line, "the line is too long; expected at most %d bytes", size - 2);
	if (r->failed)
		return NULL;
	snprintf(into, (size_t)size, "%s\n", line);
	return into;
}

/* For libinih: a key and its value. */
static int take_key(void *owner, const char *section_unused _unused_, const char *name, const char *value)
{
	struct reading *r = owner;
	int number = config_key_find(r->section, name);
	const struct config_key *key;
	char list[300];

	if (r->failed)
		return 0;
	if (r->section == SECTION_NONE)
		refuse(r, r->line, "%s stands before any section; expected [LAN], [Guest] or [Forward] first", name);
	else if (number < 0)
		refuse(r, r->line, "%s is no key of this section; expected one of %s", name,
		       config_key_list(r->section, list, sizeof(list)));
	else if (r->keys_seen & 1u << number)
		refuse(r, r->line, "%s is there twice; expected one", name);
	if (r->failed)
		return 0;
	r->keys_seen |= 1u << number;
	if (r->section == SECTION_LAN)
		r->lan_lines[number] = r->line;
	key = config_key(number);
	if (!key->set(&r->draft, value))
		refuse(r, r->line, "%s = %s: expected %s", key->name, value, key->expected);
	return !r->failed;
}

static int new_config(struct lan_config **out, const char *name, char *error, size_t error_size)
{
	struct lan_config *c;

	if (!lan_name_valid(name)) {
		snprintf(error, error_size,
			 "\"%.40s\" is no name for a LAN; expected 1 to 15 of a-z, 0-9 and \"-\", no \"-\" first or last", name);
		return -EINVAL;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		snprintf(error, error_size, "LAN %s: out of memory", name);
		return -ENOMEM;
	}
	*c = (struct lan_config){
		.fabric = FABRIC_USER, .domain = "hospes", .mtu = 1500, .lease_seconds = 86400, .keepalive_seconds = 7200,
		.poll = CONFIG_POLL_AUTO,
		.host_access = HOST_ACCESS_LAN,
		.flow_max = 65536,
	};
	strcpy(c->name, name);
	config_bridge_init(&c->bridge);
	*out = c;
	return 0;
}

struct lan_config *lan_config_free(struct lan_config *c)
{
	if (c) {
		free(c->guests);
		free(c->forwards);
	}
	free(c);
	return NULL;
}

/* The line of a key of [LAN]; the last line if it is not there. */
static unsigned int lan_line(const struct reading *r, const char *key)
{
	int number = key ? config_key_find(SECTION_LAN, key) : -1;

	return number >= 0 && r->lan_lines[number] ? r->lan_lines[number] : r->line;
}

/* A key of the other fabric; the first of them. */
static void refuse_words(struct reading *r)
{
	enum config_word wrong = r->draft.config->fabric == FABRIC_USER ? WORD_OF_BRIDGE : WORD_OF_USER;
	const struct config_key *first = NULL;

	for (int i = 0; i < CONFIG_KEY_MAX; i++)
		if (r->lan_lines[i] && config_key(i)->word == wrong && (!first || r->lan_lines[i] < lan_line(r, first->name)))
			first = config_key(i);
	if (first)
		refuse(r, lan_line(r, first->name), "%s is a word of %s LANs; take the line out, or say Fabric = %s", first->name,
		       wrong == WORD_OF_BRIDGE ? "bridge" : "user", wrong == WORD_OF_BRIDGE ? "bridge" : "user");
}

/* In a user LAN, addresses name networks. */
static void finish_user(struct reading *r)
{
	struct lan_config *c = r->draft.config;
	const struct bridge_config *b = &c->bridge;
	static const uint8_t host[8];
	char text[ADDR_TEXT_SIZE], bits[8] = "";

	for (size_t i = 0; i < c->guest_count; i++)
		if (c->guests[i].tap[0])
			refuse(r, c->guests[i].line, "guest %s: Tap is a word of bridge LANs; take the line out, or say Fabric = bridge",
			       c->guests[i].name);
	c->has_net4 = b->ip4 == BRIDGE_IP_STATIC;
	c->has_net6 = b->ip6 == BRIDGE_IP_STATIC;
	c->net4 = b->addr4, c->bits4 = b->bits4, c->net6 = b->addr6;
	if (c->has_net4)
		snprintf(bits, sizeof(bits), "/%u", c->bits4);
	if (b->ip4 == BRIDGE_IP_DHCP || (c->has_net4 && !lan_net_valid4(c->net4, c->bits4)))
		refuse(r, lan_line(r, "IPv4"), "IPv4 = %s%s: expected %s", c->has_net4 ? addr_format(c->net4, text) : "dhcp",
		       bits, config_key(config_key_find(SECTION_LAN, "IPv4"))->expected);
	else if (c->has_net6 && (b->bits6 != 64 || memcmp(&c->net6.b[8], host, sizeof(host))))
		refuse(r, lan_line(r, "IPv6"), "IPv6 = %s/%u: expected %s", addr_format(c->net6, text), b->bits6,
		       config_key(config_key_find(SECTION_LAN, "IPv6"))->expected);
	else if (c->no_ip4 && c->no_ip6)
		refuse(r, r->line, "IPv4 = none and IPv6 = none leave nothing to carry; expected one of the two");
}

static void finish_bridge(struct reading *r)
{
	const char *key = NULL, *wrong;
	char text[300];

	wrong = config_bridge_finish(r->draft.config, &key, text, sizeof(text));
	if (wrong)
		refuse(r, lan_line(r, key), "%s", wrong);
}

/* libinih's own findings, and what only the whole file shows. */
static void finish_file(struct reading *r, int line)
{
	if (line > 0 && (!r->failed || (unsigned int)line < r->line)) {
		r->failed = 0;
		refuse(r, (unsigned int)line, "neither a section nor a key; expected \"Key = value\"");
	}
	finish_section(r);
	if (!r->failed)
		refuse_words(r);
	if (!r->failed && r->draft.config->fabric == FABRIC_USER)
		finish_user(r);
	else if (!r->failed)
		finish_bridge(r);
	if (!r->failed && (line < 0 || ferror(r->text))) {
		snprintf(r->error, r->error_size, "%s: %s", r->label, line < 0 ? "out of memory" : "cannot be read to its end");
		r->failed = line < 0 ? -ENOMEM : -EIO;
	}
}

int lan_config_parse(struct lan_config **out, const char *name, FILE *text, const char *label, char *error, size_t error_size)
{
	_cleanup_(lan_config_freep) struct lan_config *c = NULL;
	struct reading reading = { .text = text, .label = label, .error = error, .error_size = error_size };
	int r = new_config(&c, name, error, error_size);

	if (r)
		return r;
	reading.draft.config = c;
	finish_file(&reading, ini_parse_stream(read_line, &reading, take_key, &reading));
	free(reading.buffer);
	if (reading.failed)
		return reading.failed;
	*out = steal(&c);
	return 0;
}

static void file_closep(FILE **f) { if (*f) fclose(*f); }

int lan_config_load(struct lan_config **out, const char *name, const char *path, char *error, size_t error_size)
{
	_cleanup_(file_closep) FILE *f = NULL;
	struct stat st;
	int r;

	if (!path)
		return new_config(out, name, error, error_size);
	f = fopen(path, "re");
	if (!f || fstat(fileno(f), &st) < 0) {
		r = -errno;
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
		return r;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > CONFIG_FILE_MAX) {
		snprintf(error, error_size, "%s: expected a file of text, of at most a mebibyte", path);
		return -EINVAL;
	}
	return lan_config_parse(out, name, f, path, error, error_size);
}

/* Is there "@folder/@name.lan"? Takes @folder. Return: malloc'd path, or NULL. */
static char *find_in(char *folder, const char *name)
{
	_cleanup_(freep) char *owned = folder;
	char *path;

	if (!owned || asprintf(&path, "%s/%s.lan", owned, name) < 0)
		return NULL;
	if (!access(path, F_OK))
		return path;
	free(path);
	return NULL;
}

char *lan_config_find(const char *name)
{
	char *path = lan_name_valid(name) ? find_in(paths_config(), name) : NULL;

	if (path || !lan_name_valid(name))
		return path;
	return find_in(strdup("/etc/hospes"), name);
}
