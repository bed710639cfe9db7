// SPDX-License-Identifier: MIT
/* Arrays that grow by one: their room doubles at powers of two, so it needs no place of its own. */
#pragma once
#include <stdlib.h>
#include <string.h>

/**
 * array_grow() - make room for one more, zeroed, behind @count of @size bytes each
 * Return: the array's new place, or NULL (the old one stays good)
 */
static inline void *array_grow(void *array, size_t count, size_t size)
{
	char *bigger = array;

	if (!(count & (count - 1)))
		bigger = reallocarray(array, count ? count * 2 : 1, size);
	if (bigger)
		memset(bigger + count * size, 0, size);
	return bigger;
}
