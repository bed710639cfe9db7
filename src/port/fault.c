// SPDX-License-Identifier: MIT
#include "port/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

/* SplitMix64 (Steele, Lea and Flood, 2014): any seed will do. */
static uint64_t fault_random(struct fault *f)
{
	uint64_t z = f->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static bool fault_chance(struct fault *f, uint32_t chance)
{
	return chance && fault_random(f) % FAULT_ALL < chance;
}

static bool fault_hold(struct fault_held *held, const struct frame *frame)
{
	struct cursor c = frame_cursor(frame);
	uint8_t *data = malloc(frame->size ? frame->size : 1);

	if (!data)
		return false;
	cursor_copy(&c, data, frame->size);
	*held = (struct fault_held){ .data = data, .size = frame->size, .offload = frame->offload };
	return true;
}

/* The frame is taken out before it is passed on: passing it may bring the next frame here. */
static void fault_release(struct fault_held *held, void (*pass)(void *owner, const struct frame *frame), void *owner)
{
	_cleanup_(freep) uint8_t *data = steal(&held->data);
	struct iovec iov = { .iov_base = data, .iov_len = held->size };
	struct frame frame = { .offload = held->offload, .iov = &iov, .parts = 1, .size = held->size };

	pass(owner, &frame);
}

bool fault_apply(struct fault *f, enum fault_way way, const struct frame *frame,
		 void (*pass)(void *owner, const struct frame *frame), void *owner)
{
	struct fault_held *held = &f->held[way];

	if (fault_chance(f, f->lose))
		return false;
	if (!held->data && fault_chance(f, f->reorder) && fault_hold(held, frame))
		return true;
	pass(owner, frame);
	if (fault_chance(f, f->duplicate))
		pass(owner, frame);
	if (held->data)
		fault_release(held, pass, owner);
	return true;
}

void fault_fini(struct fault *f)
{
	for (size_t i = 0; i < FAULT_WAYS; i++) {
		free(f->held[i].data);
		f->held[i].data = NULL;
	}
}

/* Digits from *@at on, which then points behind them. Return: false if there are none, or the number does not fit. */
static bool fault_parse_number(const char **at, uint64_t *out)
{
	const char *start = *at;

	*out = 0;
	for (; **at >= '0' && **at <= '9'; (*at)++)
		if (__builtin_mul_overflow(*out, (uint64_t)10, out) || __builtin_add_overflow(*out, (uint64_t)(**at - '0'), out))
			return false;
	return *at != start;
}

/* "1%", "0.5%", "12.25%": in hundredths of a percent. */
static bool fault_parse_percent(const char **at, uint64_t *out)
{
	uint64_t whole, hundredths = 0;

	if (!fault_parse_number(at, &whole) || whole > 100)
		return false;
	if (**at == '.') {
		const char *start = ++*at;

		if (!fault_parse_number(at, &hundredths) || *at - start > 2)
			return false;
		if (*at - start == 1)
			hundredths *= 10;
	}
	*out = whole * 100 + hundredths;
	return *(*at)++ == '%' && *out <= FAULT_ALL;
}

enum fault_key { FAULT_LOSE, FAULT_DUPLICATE, FAULT_REORDER, FAULT_SEED, FAULT_KEYS };

static const struct {
	const char *name;
	bool (*parse)(const char **at, uint64_t *out);
	uint64_t otherwise;
} fault_keys[] = {
	[FAULT_LOSE] = { "lose=", fault_parse_percent, 0 },
	[FAULT_DUPLICATE] = { "duplicate=", fault_parse_percent, 0 },
	[FAULT_REORDER] = { "reorder=", fault_parse_percent, 0 },
	[FAULT_SEED] = { "seed=", fault_parse_number, 1 },
};
_Static_assert(ARRAY_SIZE(fault_keys) == FAULT_KEYS, "one row a key");

/* One "name=value" at *@at, which then points behind it. */
static bool fault_parse_pair(const char **at, uint64_t values[static FAULT_KEYS], bool seen[static FAULT_KEYS])
{
	for (size_t i = 0; i < FAULT_KEYS; i++) {
		size_t length = strlen(fault_keys[i].name);

		if (strncmp(*at, fault_keys[i].name, length))
			continue;
		if (seen[i])
			return false;
		seen[i] = true;
		*at += length;
		return fault_keys[i].parse(at, &values[i]);
	}
	return false;
}

int fault_parse(struct fault *out, const char *text)
{
	bool seen[FAULT_KEYS] = { false };
	uint64_t values[FAULT_KEYS];

	*out = (struct fault){ 0 };
	for (size_t i = 0; i < FAULT_KEYS; i++)
		values[i] = fault_keys[i].otherwise;
	for (const char *at = text;; at++) {
		if (!fault_parse_pair(&at, values, seen))
			return -EINVAL;
		if (!*at)
			break;
		if (*at != ',')
			return -EINVAL;
	}
	out->lose = (uint32_t)values[FAULT_LOSE];
	out->duplicate = (uint32_t)values[FAULT_DUPLICATE];
	out->reorder = (uint32_t)values[FAULT_REORDER];
	out->random = values[FAULT_SEED];
	return 0;
}
