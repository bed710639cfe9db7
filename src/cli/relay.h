// SPDX-License-Identifier: MIT
/* Standard input and output joined to a stream socket. */
#pragma once

/**
 * relay_run() - copy both ways until both have ended
 * @socket: a connected, non-blocking stream socket; stays the caller's
 * @in:     where the bytes for it come from; its end closes the socket's sending half
 * @out:    where its bytes go; closed at their end, so that a reader sees it
 *
 * Ends, too, when the socket is closed for both directions, and, where @in is a terminal, when the socket has no more to say.
 * Return: 0; -EPIPE if the reader of @out went; -ECONNRESET if the other side cut the connection; or another negative errno.
 */
int relay_run(int socket, int in, int out);
