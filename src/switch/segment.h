// SPDX-License-Identifier: MIT
/*
 * What a port's missing offloads leave to do in software: cutting a large TCP segment or UDP datagram run to size, completing checksums.
 */
#pragma once
#include "port/port.h"

/** segment_needed() - does @frame need an offload that @to does not take? */
bool segment_needed(const struct port *to, const struct frame *frame);

/**
 * segment_send() - do in software what @to lacks and send the pieces, in batches of PORT_BATCH
 * @frame: its payload is not copied: the pieces' iovecs point into it, behind headers that are built on the stack. Its headers are parsed
 *         anew; what does not parse as what its offload header says is counted as DROP_MALFORMED at @from.
 *
 * TCP: sequence numbers advance, FIN and PSH only on the last piece, CWR only on the first (RFC 3168); IPv4 identification counts up.
 */
void segment_send(struct port *from, struct port *to, const struct frame *frame);
