// SPDX-License-Identifier: MIT
/*
 * Attributes and the cleanup idiom.
 *
 * A function that makes something keeps it in a _cleanup_ variable until it is whole, then hands it over through an
 * out-parameter with steal(). So every early return frees what was made, and no function needs a "goto fail".
 */
#pragma once
#include <stddef.h>
#include <stdlib.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))
#define _wur_          __attribute__((warn_unused_result))

#define ARRAY_SIZE(a)      (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
/* Each use has names of its own, so that one may stand inside another. */
#define MIN(a, b)          PICK_(a, b, <, __COUNTER__)
#define MAX(a, b)          PICK_(a, b, >, __COUNTER__)
#define PICK_(a, b, op, n) PICK__(a, b, op, n)
#define PICK__(a, b, op, n)                                                                                             \
	({ __typeof__(a) _a##n = (a); __typeof__(b) _b##n = (b); _a##n op _b##n ? _a##n : _b##n; })

/** steal() - take what a variable owns and leave it NULL, so that its cleanup does nothing */
#define steal(p) ({ __typeof__(*(p)) _stolen = *(p); *(p) = NULL; _stolen; })

/* Cleanup for a pointer whose x_free() returns NULL: DEFINE_CLEANUP(port) gives port_freep(), for _cleanup_(port_freep). */
#define DEFINE_CLEANUP(name)                                                                                           \
	_unused_ static inline void name##_freep(struct name **p) { if (*p) name##_free(*p); }

_unused_ static inline void freep(void *p) { free(*(void **)p); }
