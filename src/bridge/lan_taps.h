// SPDX-License-Identifier: MIT
/* The taps of a bridge LAN that is up: made, watched, taken away, found again by the next service. */
#pragma once
#include "bridge/lan_up.h"

struct lan_tap_wish {
	const char *name, *mac;   /* of the guest, as the caller wrote them; "": not said */
	bool vnet;
	uint32_t uid;
	int32_t pid;
};

enum lan_tap_refusal { TAP_GIVEN, TAP_INVALID, TAP_BUSY, TAP_QUOTA, TAP_FAILED };

/**
 * lan_tap_attach() - a tap for one attachment: enslaved, filtered, up
 * @fd:    the device's descriptor, the caller's from now on
 * @tap:   what was made, the LAN's
 * @guest: its guest
 * @error: why it was refused; 512 bytes
 */
enum lan_tap_refusal lan_tap_attach(struct lan_up *l, const struct lan_tap_wish *wish, int *fd, const struct lan_tap **tap,
		const struct guest **guest, char *error,
				    size_t error_size);

/** lan_tap_forget() - it has gone, or goes: its guest is not attached any more. Frees @t; rules and file are brought up to date soon. */
void lan_tap_forget(struct lan_up *l, struct lan_tap *t);
/** lan_tap_judge() - is it still as it was made? If not it is deleted, and forgotten. Return: false then. */
bool lan_tap_judge(struct lan_up *l, struct lan_tap *t);
/** lan_tap_delete_all() - those of attachments */
void lan_tap_delete_all(struct lan_up *l);

/** lan_tap_count() - of one user's attachments */
size_t lan_tap_count(const struct lan_up *l, uint32_t uid);
/** lan_tap_attached() - of attachments */
size_t lan_tap_attached(const struct lan_up *l);
/** lan_tap_add() - another one like @like, with a number of its own. Return: NULL when out of memory. */
struct lan_tap *lan_tap_add(struct lan_up *l, const struct lan_tap *like);
struct lan_tap *lan_tap_by_index(const struct lan_up *l, unsigned int index);
struct lan_tap *lan_tap_by_id(const struct lan_up *l, uint16_t id);

/** lan_taps_persistent() - take in the taps of the configuration that are there, bind them as it says, and refuse those that it has not */
void lan_taps_persistent(struct lan_up *l);
/** lan_taps_adopt() - a persistent tap of ours that a former service left in the bridge */
void lan_taps_adopt(struct lan_up *l, const struct link *link);
/** lan_taps_save() - write the file `taps`. Return: 0 or negative errno */
int lan_taps_save(const struct lan_up *l);
/** lan_taps_load() - find those again that the file names; one that is of ours and in no file is deleted */
void lan_taps_load(struct lan_up *l, const struct snapshot *now);
