// SPDX-License-Identifier: MIT
/*
 * The journal of a bridge LAN: what was done to the host, written before it is done, so that the way back is known whatever dies.
 *
 * A file of JSON lines, appended to and synced (fdatasync) before the kernel is asked:
 *
 *	{"journal": 1, "lan": "br0", "boot": "5f0e...", "netns": 4026531840}
 *	{"intend": 1, "step": {...}}      about to be taken
 *	{"done": 1}                       was taken            {"failed": 1}  was not
 *	{"undoing": 1}  {"undone": 1}     its way back
 *	{"mark": "trying"}                a word of the daemon's: the last one counts
 *
 * The kernel forgets its state at a reboot: a journal of another boot or namespace is stale and counts as empty. A line that a crash cut
 * short is left out; it can only be the last.
 */
#pragma once
#include "bridge/step.h"

struct journal;

/**
 * journal_open() - open or make the journal of a LAN, and read what is there
 * @out:  free with journal_free()
 * @path: the file; its folder exists. Made 0600, opened without following a link. A stale one is begun anew.
 * Return: 0 or negative errno; -EBADMSG if it is no journal (or its middle is damaged): nothing was changed.
 */
int journal_open(struct journal **out, const char *path, const char *lan);
struct journal *journal_free(struct journal *j);
DEFINE_CLEANUP(journal)

/**
 * journal_steps() - the steps that were, or may have been, taken and not undone, in order; state says which. The journal's own: good until
 * the next call.
 */
const struct steps *journal_steps(const struct journal *j);
/** journal_mark() - write a word of the daemon's ("trying", "up"); journal_marked() - the last one, "" if none */
int journal_mark(struct journal *j, const char *word);
const char *journal_marked(const struct journal *j);

/**
 * journal_intend() - write the steps down, give them numbers, sync. Steps with "undoes" are marked undoing instead. Return: 0 or negative
 * errno: do not take them.
 */
int journal_intend(struct journal *j, struct step *steps, size_t count);
/**
 * journal_result() - and how it ended: @error 0 (done, or undone) or the kernel's negative errno. Not synced: the steps say themselves what
 * they did.
 */
int journal_result(struct journal *j, struct step *step, int error);
/** journal_clear() - everything is back as it was: empty it */
int journal_clear(struct journal *j);
