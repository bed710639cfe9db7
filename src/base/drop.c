// SPDX-License-Identifier: MIT
#include "base/drop.h"

#include <stddef.h>
#include "base/attr.h"

static const char *const names[] = {
	[DROP_NONE] = "none",
#define X(e, name, text) [DROP_##e] = name,
	DROP_TABLE(X)
#undef X
};
_Static_assert(ARRAY_SIZE(names) == DROP_COUNT, "a name for every reason");

static const char *const texts[] = {
	[DROP_NONE] = "not dropped",
#define X(e, name, text) [DROP_##e] = text,
	DROP_TABLE(X)
#undef X
};
_Static_assert(ARRAY_SIZE(texts) == DROP_COUNT, "a sentence for every reason");

const char *drop_name(enum drop drop)
{
	return (size_t)drop < DROP_COUNT ? names[drop] : "unknown";
}

const char *drop_text(enum drop drop)
{
	return (size_t)drop < DROP_COUNT ? texts[drop] : "unknown reason";
}
