// SPDX-License-Identifier: MIT
/* What tells this machine from others, for what is made from it: MACs of guests, local prefixes. */
#pragma once

#define MACHINE_ID_SIZE 128

/**
 * machine_id_read() - /etc/machine-id, or what stands in for it: the host's name on a machine with none, so that it still gets the same
 * addresses each time
 */
void machine_id_read(char into[static MACHINE_ID_SIZE]);
