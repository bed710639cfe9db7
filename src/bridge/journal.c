// SPDX-License-Identifier: MIT
#include "bridge/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"

#define JOURNAL_MAX (16 << 20)
#define WORD_SIZE 32

struct journal {
	int fd;
	char lan[64], boot[64], mark[WORD_SIZE];
	json_int_t netns;
	uint32_t last;          /* the highest number given */
	struct steps steps;     /* not undone, not failed */
	bool stale;             /* of another boot or namespace */
};

struct journal *journal_free(struct journal *j)
{
	fd_close(j->fd);
	steps_fini(&j->steps);
	free(j);
	return NULL;
}

static void read_here(struct journal *j)
{
	_cleanup_fd_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, j->boot, sizeof(j->boot) - 1);
	struct stat st;

	j->boot[n > 0 ? n : 0] = 0;
	j->boot[strcspn(j->boot, "\n")] = 0;
	j->netns = stat("/proc/self/ns/net", &st) < 0 ? 0 : (json_int_t)st.st_ino;
}

static struct step *find(struct journal *j, json_int_t number)
{
	for (size_t i = 0; i < j->steps.count; i++)
		if (j->steps.step[i].number == number)
			return &j->steps.step[i];
	return NULL;
}

static void forget(struct journal *j, json_int_t number)
{
	struct step *s = find(j, number);

	if (!s)
		return;
	step_fini(s);
	memmove(s, s + 1, (size_t)(j->steps.step + j->steps.count - (s + 1)) * sizeof(*s));
	j->steps.count--;
}

static int take_step(struct journal *j, const json_t *line, json_int_t number)
{
	struct step s;
	int r = step_from_json(&s, json_object_get(line, "step"));

	if (r)
		return r == -ENOMEM ? r : -EBADMSG;
	s.number = (uint32_t)number;
	s.state = STEP_INTENDED;
	j->last = s.number > j->last ? s.number : j->last;
	return steps_add(&j->steps, &s);
}

/* One line. Return: 0, -EBADMSG or -ENOMEM */
static int take_line(struct journal *j, const json_t *line)
{
	static const struct { const char *word; enum step_state state; } words[] = { { "done", STEP_DONE }, { "undoing", STEP_UNDOING } };
	const json_t *intend = json_object_get(line, "intend"), *mark = json_object_get(line, "mark");
	const json_t *over = json_object_get(line, "undone");

	if (json_is_integer(intend))
		return take_step(j, line, json_integer_value(intend));
	if (json_is_string(mark)) {
		snprintf(j->mark, sizeof(j->mark), "%s", json_string_value(mark));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const json_t *number = json_object_get(line, words[i].word);
		struct step *s = json_is_integer(number) ? find(j, json_integer_value(number)) : NULL;

		if (s)
			s->state = words[i].state;
		if (number)
			return 0;
	}
	if (!over)
		over = json_object_get(line, "failed");
	if (!json_is_integer(over))
		return -EBADMSG;
	forget(j, json_integer_value(over));
	return 0;
}

static int take_header(struct journal *j, const json_t *line)
{
	const char *boot = json_string_value(json_object_get(line, "boot")), *lan = json_string_value(json_object_get(line, "lan"));

	if (json_integer_value(json_object_get(line, "journal")) != 1 || !boot || !lan || strcmp(lan, j->lan))
		return -EBADMSG;
	j->stale = strcmp(boot, j->boot) || json_integer_value(json_object_get(line, "netns")) != j->netns;
	return 0;
}

static int take_text(struct journal *j, const char *text, size_t size)
{
	int r = 0;

	for (size_t at = 0, line = 0; !r && !j->stale && at < size; line++) {
		const char *end = memchr(text + at, '\n', size - at);
		json_t *json = end ? json_loadb(text + at, (size_t)(end - text) - at, 0, NULL) : NULL;

		/* Cut short by a crash: it was never acted on. So it is with the first line: there is nothing to remember yet. */
		if (!end) {
			j->stale = !line;
			return 0;
		}
		r = !json ? -EBADMSG : line ? take_line(j, json) : take_header(j, json);
		json_decref(json);
		at = (size_t)(end - text) + 1;
	}
	return r;
}

static int append(struct journal *j, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	off_t end = lseek(j->fd, 0, SEEK_END);
	int r = text ? 0 : -ENOMEM;
	size_t size = 0;

	json_decref(line);
	if (text) {
		size = strlen(text);
		text[size++] = '\n';
		errno = EIO;
		r = write(j->fd, text, size) == (ssize_t)size ? 0 : -errno;
		/* A full disk took a part of it: no line is better than half of one. */
		if (r && end >= 0 && ftruncate(j->fd, end) < 0)
			r = -EIO;
	}
	free(text);
	return r;
}

static int begin(struct journal *j)
{
	if (ftruncate(j->fd, 0) < 0)
		return -errno;
	j->mark[0] = 0;
	j->last = 0;
	steps_fini(&j->steps);
	return append(j, json_pack("{si ss ss sI}", "journal", 1, "lan", j->lan, "boot", j->boot, "netns", j->netns));
}

/* A line that was cut short must not run into the next. */
static int trim(struct journal *j, const char *text, size_t size)
{
	const char *last = memrchr(text, '\n', size);
	off_t whole = last ? last - text + 1 : 0;

	return (size_t)whole == size || !ftruncate(j->fd, whole) ? 0 : -errno;
}

static int load(struct journal *j)
{
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	ssize_t n;
	int r;

	if (fstat(j->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > JOURNAL_MAX)
		return -EBADMSG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = pread(j->fd, text, (size_t)st.st_size, 0);
	if (n < 0)
		return -errno;
	r = n ? take_text(j, text, (size_t)n) : 0;
	if (r)
		return r;
	return !n || j->stale ? begin(j) : trim(j, text, (size_t)n);
}

int journal_open(struct journal **out, const char *path, const char *lan)
{
	_cleanup_(journal_freep) struct journal *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	snprintf(j->lan, sizeof(j->lan), "%s", lan);
	read_here(j);
	j->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return -errno;
	r = load(j);
	if (!r)
		*out = steal(&j);
	return r;
}

const struct steps *journal_steps(const struct journal *j) { return &j->steps; }
const char *journal_marked(const struct journal *j) { return j->mark; }

static int sync_file(struct journal *j)
{
	return fdatasync(j->fd) < 0 ? -errno : 0;
}

int journal_mark(struct journal *j, const char *word)
{
	int r = append(j, json_pack("{ss}", "mark", word));

	if (r)
		return r;
	snprintf(j->mark, sizeof(j->mark), "%s", word);
	return sync_file(j);
}

/* Written, and remembered as a later reader would. */
static int intend(struct journal *j, struct step *s)
{
	struct step copy;
	json_t *json;
	int r;

	if (s->undoes) {
		struct step *of = find(j, s->undoes);

		if (of)
			of->state = STEP_UNDOING;
		return append(j, json_pack("{sI}", "undoing", (json_int_t)s->undoes));
	}
	s->number = ++j->last;
	s->state = STEP_INTENDED;
	json = step_to_json(s);
	if (!json)
		return -ENOMEM;
	r = append(j, json_pack("{sI so}", "intend", (json_int_t)s->number, "step", json));
	if (!r)
		r = step_copy(&copy, s);
	return r ? r : steps_add(&j->steps, &copy);
}

int journal_intend(struct journal *j, struct step *steps, size_t count)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = intend(j, &steps[i]);
	return r ? r : sync_file(j);
}

int journal_result(struct journal *j, struct step *step, int error)
{
	json_int_t number = step->undoes ? step->undoes : step->number;
	struct step *of = find(j, number);

	if (step->undoes && error)
		return 0;
	if (!step->undoes && !error) {
		step->state = STEP_DONE;
		if (of)
			of->state = STEP_DONE;
		return append(j, json_pack("{sI}", "done", number));
	}
	forget(j, number);
	return append(j, json_pack("{sI}", step->undoes ? "undone" : "failed", number));
}

int journal_clear(struct journal *j)
{
	int r = begin(j);

	return r ? r : sync_file(j);
}
