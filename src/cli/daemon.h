// SPDX-License-Identifier: MIT
/* Starting and outliving a LAN's daemon, hospesd. */
#pragma once

/**
 * daemon_start() - start the daemon of a LAN, and wait until it is ready
 *
 * Commands that start LANs at the same time wait for each other: when this one's turn comes, @lan may be up.
 * Return: 0; -EBADMSG if the configuration file is wrong; or another negative errno; a message has been given, by the daemon or by this.
 */
int daemon_start(const char *lan);

/** daemon_tidy() - after the last LAN has gone down: remove the folder of the LANs' runtime folders, if it is empty */
void daemon_tidy(const char *lan);
