// SPDX-License-Identifier: MIT
#include "cli/lan_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cli/bridged_client.h"
#include "cli/daemon.h"
#include "cli/fabric.h"
#include "lan/paths.h"
#include "lan/plan.h"

#define INTERFACE       "org.hospes.Lan."
#define CONNECT_TIMEOUT (5 * USEC_S)

int lan_name_check(const char *lan)
{
	if (lan_name_valid(lan))
		return 0;
	log_error("\"%s\" is no name of a LAN: 1 to 15 of a-z, 0-9 and \"-\", not first or last a \"-\"", lan);
	return -EINVAL;
}

/*
 * A bridge LAN's control socket is root's, and open to all whom the LAN lets. Return: a descriptor; -ENOENT if there is none
 * that is meant for us; or another negative errno after a message.
 */
static int connect_system(const char *lan)
{
	char control[sizeof(BRIDGED_FOLDER) + LAN_NAME_SIZE + 16];
	enum fabric fabric;
	int fd;

	snprintf(control, sizeof(control), BRIDGED_FOLDER "/%s/control", lan);
	fd = geteuid() && !fabric_is_own(lan) ? varlink_connect(control, CONNECT_TIMEOUT) : -ENOENT;
	if (fd >= 0 || fd == -ENOENT || fd == -ECONNREFUSED)
		return fd < 0 ? -ENOENT : fd;
	/* Root may have a user LAN of its own by that name, which is nobody else's. */
	if (fabric_of(lan, &fabric) < 0 || fabric == FABRIC_USER)
		return -ENOENT;
	if (fd == -EACCES)
		log_error("bridge LAN %s is not open to you; root lets you in: write your name behind \"Allow =\" in "
			  BRIDGED_CONFIG "/%s.lan, then: sudo hospes reload %s", lan, lan, lan);
	else
		log_error("cannot connect to LAN %s at %s: %s", lan, control, strerror(-fd));
	return fd;
}

/* Return: a descriptor; -ENOENT if the LAN is down; or another negative errno after a message. */
static int connect_once(const char *lan)
{
	_cleanup_(freep) char *runtime = paths_runtime(lan);
	_cleanup_(freep) char *control = runtime ? paths_join(runtime, "control") : NULL;
	int fd;

	if (!control) {
		log_error("cannot find LAN %s: no home folder is known; set HOME or XDG_RUNTIME_DIR", lan);
		return -ENODEV;
	}
	fd = varlink_connect(control, CONNECT_TIMEOUT);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return connect_system(lan);
	if (fd < 0)
		log_error("cannot connect to LAN %s at %s: %s", lan, control, strerror(-fd));
	return fd;
}

int lan_connect(const char *lan, enum lan_start start)
{
	enum fabric fabric;
	int fd, r = lan_name_check(lan);

	if (r < 0)
		return r;
	fd = connect_once(lan);
	if (fd != -ENOENT || start == LAN_AS_IS)
		return fd;
	r = fabric_of(lan, &fabric);
	if (r < 0)
		return r;
	if (fabric == FABRIC_BRIDGE) {
		fabric_say_down(lan);
		return -EHOSTDOWN;
	}
	r = daemon_start(lan);
	if (r < 0)
		return r;
	fd = connect_once(lan);
	if (fd == -ENOENT)
		log_error("LAN %s went down as soon as it was up; hospes up %s shows why", lan, lan);
	return fd;
}

const char *lan_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

int64_t lan_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

const char *lan_reason(const json_t *p)
{
	int number = (int)lan_number(p, "errno");

	return number && !strstr(lan_text(p, "message"), strerror(number)) ? strerror(number) : "";
}

static const char *text_failed(const json_t *p, char *into, size_t size)
{
	const char *message = lan_text(p, "message"), *reason = lan_reason(p);

	snprintf(into, size, "%s%s%s%s%s", lan_text(p, "what"), *message ? ": " : "", message, *reason ? ": " : "", reason);
	return into;
}

const char *lan_error_text(const char *name, const json_t *p, char *into, size_t size)
{
	const char *guest = lan_text(p, "guest"), *what = lan_text(p, "what"), *message = lan_text(p, "message");

	if (!strcmp(name, "NoGuest"))
		snprintf(into, size, "there is no guest \"%s\" on this LAN; hospes ls shows who is there, "
			 "hospes run --name %s IMAGE starts one",
			 guest, guest);
	else if (!strcmp(name, "GuestAway"))
		snprintf(into, size, "guest %s does not answer: it is not running, or has no address yet; hospes ls shows its state",
			 guest);
	else if (!strcmp(name, "Refused"))
		snprintf(into, size, "guest %s refuses port %d: nothing listens there, inside the guest",
			 guest, (int)lan_number(p, "port"));
	else if (!strcmp(name, "Exists") || !strcmp(name, "Invalid"))
		snprintf(into, size, "%s: %s", what,
			 *message ? message : !strcmp(name, "Exists") ? "it is there already" : "it is not valid");
	else if (!strcmp(name, "Full"))
		snprintf(into, size, "there is no room for %s: the LAN carries as many as it can", what);
	else if (!strcmp(name, "Failed"))
		return text_failed(p, into, size);
	else if (strstr(name, "PermissionDenied"))
		snprintf(into, size, "this LAN is not open to you; it belongs to another user, or, if it is a bridge LAN, root lets you in "
			 "by the key Allow of its file");
	else if (!strncmp(name, BRIDGED_INTERFACE, strlen(BRIDGED_INTERFACE)))
		return bridged_error_text(name + strlen(BRIDGED_INTERFACE), p, into, size);
	else if (strstr(name, "MethodNotFound") || strstr(name, "InterfaceNotFound") || strstr(name, "InvalidParameter"))
		snprintf(into, size, "the LAN's daemon is of another version than this program (%s); hospes restart replaces it", name);
	else
		snprintf(into, size, "the LAN's daemon answered with the error %s", name);
	return into;
}

static int request(int fd, const struct varlink_request *call, json_t **reply, char *error)
{
	_cleanup_json_ json_t *answer = NULL;
	int r = varlink_call(fd, call, &answer, error);

	if (r < 0) {
		log_error("the LAN's daemon did not answer %s: %s", call->method,
			  r == -ECONNRESET ? "it went away; hospes up starts it anew" : strerror(-r));
		return r;
	}
	if (!strncmp(error, INTERFACE, strlen(INTERFACE)))
		memmove(error, error + strlen(INTERFACE), VARLINK_ERROR_SIZE - strlen(INTERFACE));
	if (reply)
		*reply = steal(&answer);
	return r;
}

static int request_or_say(int fd, struct varlink_request *call, const char *method, json_t **reply)
{
	_cleanup_json_ json_t *answer = NULL;
	char full[80], error[VARLINK_ERROR_SIZE], text[512];
	int r;

	snprintf(full, sizeof(full), INTERFACE "%s", method);
	call->method = full;
	r = request(fd, call, &answer, error);
	if (r == VARLINK_ERROR) {
		log_error("%s", lan_error_text(error, answer, text, sizeof(text)));
		return -EREMOTEIO;
	}
	if (!r && reply)
		*reply = steal(&answer);
	return r;
}

int lan_call(int fd, const char *method, json_t *parameters, json_t **reply)
{
	return request_or_say(fd, &(struct varlink_request){ .parameters = parameters }, method, reply);
}

int lan_call_fd(int fd, const char *method, json_t *parameters, int attach, json_t **reply)
{
	return request_or_say(fd, &(struct varlink_request){ .parameters = parameters, .fd = attach }, method, reply);
}

int lan_call_upgrade(int fd, const char *method, json_t *parameters)
{
	return request_or_say(fd, &(struct varlink_request){ .parameters = parameters, .upgrade = true }, method, NULL);
}

int lan_try(int fd, const char *method, json_t *parameters, json_t **reply, char error[static VARLINK_ERROR_SIZE])
{
	char full[80];

	snprintf(full, sizeof(full), INTERFACE "%s", method);
	return request(fd, &(struct varlink_request){ .method = full, .parameters = parameters }, reply, error);
}
