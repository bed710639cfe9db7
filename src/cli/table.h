// SPDX-License-Identifier: MIT
/* Text for a person to read: columns that align, sizes with a unit. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/attr.h"

#define TABLE_COLUMNS   10
#define HUMAN_TEXT_SIZE 16

struct table;

/**
 * table_new() - a table with a line of headings
 * @out:      made; free with table_free()
 * @headings: one a column, NULL at the end; one that starts with ">" is of a column that aligns right
 * Return: 0, -EINVAL (too many columns) or -ENOMEM.
 */
int table_new(struct table **out, const char *const *headings);
struct table *table_free(struct table *t);
DEFINE_CLEANUP(table)

/**
 * table_cell() - put the next cell, row by row
 * @format: NULL, or what makes an empty text: shows as "-". One of spaces only shows as nothing; bytes that are not printable as "?".
 * Return: 0 or -ENOMEM.
 */
int table_cell(struct table *t, const char *format, ...) _printf_(2, 3);

/** table_empty() - has it no cell? */
bool table_empty(const struct table *t);

/** table_print() - headings and rows, two spaces between the columns, none at a line's end */
void table_print(const struct table *t, FILE *to);

/** human_bytes() - "0 B", "999 B", "1.5 KiB", "23 MiB": at most three digits. Return: @into. */
const char *human_bytes(uint64_t bytes, char into[static HUMAN_TEXT_SIZE]);
