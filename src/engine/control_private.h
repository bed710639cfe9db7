// SPDX-License-Identifier: MIT
/* What the files of the control interface share; nobody else includes this. */
#pragma once
#include "control/lan_interface.h"
#include "engine/control.h"

/* A tap that AttachTap made: it lives as long as the connection it came by. */
struct tap_attachment {
	struct list node;
	struct control *control;
	struct varlink_hangup hangup;
	uint16_t port_id;
	struct mac mac;
	bool anonymous;           /* nobody chose its name: it leaves with its lease */
};

/* A Connect that waits for the guest's answer. */
struct connect_wait {
	struct list node;
	struct control *control;
	struct varlink_hangup hangup;
	struct varlink_call *call; /* NULL: the client has gone */
	char guest[256];           /* as the client named it */
	uint16_t port;
};

struct control {
	struct control_parts parts;
	struct varlink_server *server;
	struct list taps, connects;
};

/** control_changed() - a lease or name has changed */
void control_changed(struct control *c);

void control_list(void *owner, struct varlink_call *call, const json_t *parameters);
void control_resolve(void *owner, struct varlink_call *call, const json_t *parameters);
void control_register(void *owner, struct varlink_call *call, const json_t *parameters);
void control_unregister(void *owner, struct varlink_call *call, const json_t *parameters);
void control_connect(void *owner, struct varlink_call *call, const json_t *parameters);
void control_attach_tap(void *owner, struct varlink_call *call, const json_t *parameters);
void control_add_forward(void *owner, struct varlink_call *call, const json_t *parameters);
void control_remove_forward(void *owner, struct varlink_call *call, const json_t *parameters);
void control_list_forwards(void *owner, struct varlink_call *call, const json_t *parameters);

/** control_drop_taps() - for control_stop(): forget the taps, which their ports' owner frees */
void control_drop_taps(struct control *c);
/** control_drop_connects() - for control_stop(): answer those who wait */
void control_drop_connects(struct control *c);
/** control_free_connects() - when the gateway has gone and tells nobody any more */
void control_free_connects(struct control *c);
