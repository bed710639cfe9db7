// SPDX-License-Identifier: MIT
/* What the doctor says: findings as text for a person, or as JSON. */
#pragma once
#include <stdio.h>
#include "doctor/facts.h"
#include "doctor/finding.h"

/** report_text() - the findings, what could not be looked at, and a last line that counts. What is not printable in it shows as "?". */
void report_text(const struct facts *f, const struct findings *found, FILE *to);
/** report_json() - the same as an object. Return: a new reference, or NULL when out of memory. */
json_t *report_json(const struct facts *f, const struct findings *found);
/** report_finding_json() - one of them, as in there. Return: a new reference, or NULL when out of memory. */
json_t *report_finding_json(const struct finding *one);
