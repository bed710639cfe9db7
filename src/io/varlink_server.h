// SPDX-License-Identifier: MIT
/*
 * The answering side of Varlink (varlink.org), in the loop.
 *
 * Methods are a table: a name, the parameters it takes, a handler. What is missing, of a wrong type, out of range or unknown is answered
 * with org.varlink.service.InvalidParameter before a handler sees it. org.varlink.service itself (GetInfo, GetInterfaceDescription) is
 * answered here.
 *
 * A handler answers its call exactly once, at once or later: varlink_reply(), varlink_fail(), varlink_invalid() or varlink_upgrade(). Until
 * then no further call of that connection is looked at, and what was answered has to leave first, so that what is kept for a client stays
 * bounded. A call is gone once it was answered, or when its client goes: who answers later, or has made something that is to last as long
 * as the connection, hangs a struct varlink_hangup on it.
 *
 * Bounds: 64 connections, or as the service says; calls of 64 KiB; 4 descriptors that wait for their call; 16 calls of a connection a turn.
 * A client of another user (but root) is refused, unless the service has a rule of its own about users.
 *
 * A connection:
 *
 *	READING --a whole call--> BUSY --answered--> FLUSHING --all sent--> READING
 *	any --the client goes, answers garbage, or it was upgraded--> DOOMED, freed at the turn's end
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include "io/loop.h"

#define VARLINK_CONNECTIONS 64

enum varlink_type { VARLINK_STRING, VARLINK_INT, VARLINK_BOOL };

struct varlink_param {
	const char *name;
	enum varlink_type type;
	bool optional;                        /* may be missing or null */
	int64_t min, max;                     /* of an integer; for a string the longest, in max. Both zero: any. */
};

struct varlink_call;

struct varlink_method {
	const char *name;                     /* without the interface */
	const struct varlink_param *params;   /* up to one whose name is NULL; NULL: none */
	bool upgrades;                        /* must, and may, be called with "upgrade" */
	void (*handle)(void *owner, struct varlink_call *call, const json_t *parameters);
};

struct varlink_service {
	const char *vendor, *product, *version, *url;
	const char *interface;                /* "org.hospes.Lan" */
	const char *description;              /* the text of the interface file */
	const char *error_full;               /* whole name of the error for one connection too many, with its parameter "what" */
	const struct varlink_method *methods;
	size_t count;

	/*
	 * For a service of more than one user: may this one connect? NULL: the process's own user, and root. What such a service
	 * bounds, it bounds for each user but root too, so that no user keeps the others out.
	 */
	bool (*admits)(void *owner, uint32_t uid);
	size_t connections;                   /* in all; 0: VARLINK_CONNECTIONS. As many again are kept free for root. */
	size_t connections_of_user;           /* of one user that is not root; 0: no such bound */
};

struct varlink_hangup {
	struct list node;
	void (*gone)(struct varlink_hangup *h);
};

struct varlink_server;

/**
 * varlink_server_new() - serve an interface
 * @service: borrowed
 * @owner:   for its handlers
 * @fd:      a listening unix socket, owned by the server when this succeeds; -1: none, see varlink_server_adopt()
 * Return: 0 or negative errno.
 */
int varlink_server_new(struct varlink_server **out, struct loop *loop, const struct varlink_service *service, void *owner, int fd);
/** varlink_server_free() - closes all connections; what hangs on them is told */
struct varlink_server *varlink_server_free(struct varlink_server *s);
/** varlink_server_stop() - take no more connections and calls; what is under way may still be answered */
void varlink_server_stop(struct varlink_server *s);
/** varlink_server_adopt() - serve a connected socket, which is owned (and closed, if refused) by the server */
void varlink_server_adopt(struct varlink_server *s, int fd);

/** varlink_reply() - answer. @parameters: an object, owned by the call; NULL: an empty one. */
void varlink_reply(struct varlink_call *call, json_t *parameters);
/**
 * varlink_reply_fd() - answer, and hand over a descriptor (SCM_RIGHTS) with the answer's first byte
 * @fd: owned by the call, whatever becomes of it
 */
void varlink_reply_fd(struct varlink_call *call, json_t *parameters, int fd);
/** varlink_fail() - answer with an error. @error: its whole name. @parameters: as above */
void varlink_fail(struct varlink_call *call, const char *error, json_t *parameters);
/** varlink_invalid() - answer that a parameter is wrong */
void varlink_invalid(struct varlink_call *call, const char *parameter);
/**
 * varlink_upgrade() - answer a call with "upgrade", and let go of the connection: it belongs to whoever has duplicated
 * varlink_call_socket(), which is not shut down
 * Return: 0, or negative errno if the answer could not be sent: the client has gone.
 */
int varlink_upgrade(struct varlink_call *call, json_t *parameters);

/** varlink_call_socket() - the connection's descriptor, which stays the server's */
int varlink_call_socket(const struct varlink_call *call);
/**
 * varlink_call_take_fd() - a descriptor that came with the call. Return: the caller's from now on; -1 if there is none. Those not taken are
 * closed.
 */
int varlink_call_take_fd(struct varlink_call *call);
/** varlink_call_pid() - the process that called; 0 if not known */
int32_t varlink_call_pid(const struct varlink_call *call);
/** varlink_call_uid() - the user whose process connected (SO_PEERCRED); it cannot be changed afterwards */
uint32_t varlink_call_uid(const struct varlink_call *call);

/**
 * varlink_hang_on() - let @gone be called, once, when the call's connection has closed (not after an upgrade); @h is in no list any more
 * then
 */
void varlink_hang_on(struct varlink_call *call, struct varlink_hangup *h, void (*gone)(struct varlink_hangup *h));
/**
 * varlink_hang_off() - it need not be called any more. Harmless on one that was called; not on one that never hung: list_init() its node.
 */
void varlink_hang_off(struct varlink_hangup *h);
