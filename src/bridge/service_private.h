// SPDX-License-Identifier: MIT
/* What service.c (the interface) and service_lan*.c (what it does to a LAN) share. Nobody else includes this. */
#pragma once
#include <jansson.h>
#include "bridge/apply.h"
#include "bridge/lan_up.h"
#include "bridge/nflog.h"
#include "bridge/packet_pool.h"
#include "bridge/service.h"
#include "bridge/taplink.h"
#include "bridge/trial.h"
#include "io/varlink_server.h"

#define BRIDGED_INTERFACE "org.hospes.Bridged"
#define SERVICE_ERROR     1024

/* Marks in a LAN's journal, beside "trying UNTIL": what the service that finds it is to make of it. */
#define MARK_UP      "up"      /* serve it */
#define MARK_WORKING "working" /* on its way up: whoever wanted that is asked what is to become of it */
#define MARK_BACK    "back"    /* on its way down, or up on trial: it goes back to what was before */

enum lan_state { LAN_DOWN, LAN_UP, LAN_TRYING, LAN_BROKEN };

/* A LAN that is not simply down. */
struct service_lan {
	struct list node;
	struct service *service;
	char name[LAN_NAME_SIZE];
	enum lan_state state;
	char *runtime, *state_folder, *journal;   /* paths */
	struct lan_up *up;                        /* NULL: down, or broken beyond serving it */
	struct trial trial;
	int trial_socket;                         /* of the pool; -1: none */
	struct timer expiry;                      /* of the trial; the loop's clock stands still while the machine sleeps, so the mark counts */
	int64_t until;                            /* CLOCK_BOOTTIME, seconds */
	/* An Up with "confirm" that waits for the gateway's first answer: as long as there is a wanted configuration */
	struct varlink_call *waiting;             /* NULL: whoever called has gone, and it goes on all the same */
	struct varlink_hangup hangup;
	struct lan_config *wanted;
	int64_t wanted_seconds;
};

struct service {
	struct service_params p;
	struct varlink_server *server;
	int lock, listening;
	struct list lans;
	struct mnl_socket *route;
	struct taplink_monitor monitor;
	struct nflog nflog;
	struct packet_pool sockets;
};

/* org.hospes.Bridged; its handlers' owner is the struct service */
extern const struct varlink_service service_interface;

/* How an operation ended, for its answer. */
struct outcome {
	struct steps steps;
	size_t done;                              /* of them */
	json_t *changes;                          /* what else was changed, in words; NULL: nothing was tried */
	const char *error;                        /* of the interface; NULL: it went well */
	int code;                                 /* errno of Failed */
	bool rolled_back;
	char message[SERVICE_ERROR];
};
void outcome_fini(struct outcome *o);

/** service_lan_find() - one that is known; NULL */
struct service_lan *service_lan_find(struct service *s, const char *name);
/** service_lan_get() - known, or made known. Return: NULL when out of memory */
struct service_lan *service_lan_get(struct service *s, const char *name);
/** service_lan_settle() - forget it again if it is simply down */
void service_lan_settle(struct service_lan *l);
struct service_lan *service_lan_free(struct service_lan *l);
const char *service_lan_state(const struct service_lan *l);
/** service_lan_left() - seconds until the trial's end; -1 if there is none */
int64_t service_lan_left(const struct service_lan *l);

/** service_lan_plan() - what Up or Down would do, without doing it */
void service_lan_plan(struct service_lan *l, bool down, struct outcome *o);
/** service_lan_up() - @config is owned; @trial: seconds, 0: for good; @answered: the gateway answered before */
void service_lan_up(struct service_lan *l, struct lan_config *config, int64_t trial, bool answered, struct outcome *o);
void service_lan_down(struct service_lan *l, struct outcome *o);
/** service_lan_hand_over() - before its way back: what another LAN needs of the host too goes over to that one's journal */
void service_lan_hand_over(struct service_lan *l, struct journal *j);
/** service_lan_confirm() - Return: 0 or negative errno */
int service_lan_confirm(struct service_lan *l);
/** service_lan_recover() - what the journal says that a former service left */
void service_lan_recover(struct service_lan *l);
/** service_lan_way() - whom to ask whether the network still works: the uplink's gateway, by the uplink or by the bridge that it is in */
int service_lan_way(const struct lan_config *config, struct trial_way *way);
/** service_lan_take_socket() - for the trial's questions, if there is anybody to ask. Return: false if there is none left */
bool service_lan_take_socket(struct service_lan *l, const struct trial_way *way);
/** service_lan_asked() - the gateway did answer, or not: an Up that waited for it goes on. @owner: the struct service_lan */
void service_lan_asked(void *owner, bool yes);
/** service_lan_reload() - for struct lan_up_params */
int service_lan_reload(void *owner, struct lan_up *up, json_t *changes, char *error);
/** service_lan_params() - what its lan_up borrows */
struct lan_up_params service_lan_params(struct service_lan *l);
/** service_lan_begin_trial() - from now on for so many seconds; @answered: the gateway did before */
void service_lan_begin_trial(struct service_lan *l, const struct lan_config *config, int64_t seconds, bool answered);
/** service_lan_stop() - the service ends: what is on trial goes back */
void service_lan_stop(struct service_lan *l);
/** service_lan_end_trial() - stop clock and questions */
void service_lan_end_trial(struct service_lan *l);
