// SPDX-License-Identifier: MIT
/* The daemon's answers about a LAN as text for a person. */
#pragma once
#include <jansson.h>
#include <stdio.h>

/** list_print_lan() - what Status answers, in a few lines. Return: 0 or negative errno. Likewise the others. */
int list_print_lan(const json_t *status, FILE *to);
/** list_print_guests() - the guests that List answers, with the rates of the ports they are behind; a line more for each further address */
int list_print_guests(const json_t *list, FILE *to);
/** list_print_drops() - what the ports that List answers have dropped, and why */
int list_print_drops(const json_t *list, FILE *to);
