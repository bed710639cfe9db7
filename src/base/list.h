// SPDX-License-Identifier: MIT
/* Intrusive doubly linked lists: a node is embedded in its owner, a head is a node too. A node in no list points to itself. */
#pragma once
#include <stdbool.h>
#include "base/attr.h"

struct list { struct list *next, *prev; };

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_append(struct list *head, struct list *n)
{
	n->prev = head->prev, n->next = head;
	head->prev->next = n, head->prev = n;
}
/** list_remove() - take a node out of its list, if it is in one; it can be removed again harmlessly */
static inline void list_remove(struct list *n)
{
	n->prev->next = n->next, n->next->prev = n->prev;
	list_init(n);
}
#define list_entry(n, type, member) container_of(n, type, member)
/* The body may remove the current node. */
#define list_for_each(n, head) for (struct list *n = (head)->next, *_next = n->next; n != (head); n = _next, _next = n->next)
