// SPDX-License-Identifier: MIT
#include "cli/bridged_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"

#define CONNECT_TIMEOUT (5 * USEC_S)

/* Return: a descriptor; -ENOENT if it does not run; or another negative errno after a message. */
static int connect_once(void)
{
	int fd = varlink_connect(BRIDGED_SOCKET, CONNECT_TIMEOUT);

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return -ENOENT;
	if (fd < 0)
		log_error("cannot connect to hospes-bridged at %s: %s", BRIDGED_SOCKET, strerror(-fd));
	return fd;
}

int bridged_connect(enum lan_start start)
{
	int fd = connect_once(), r;

	if (fd != -ENOENT || start == LAN_AS_IS)
		return fd;
	if (geteuid()) {
		log_error("the service of bridge LANs, hospes-bridged, does not run; root starts it: sudo hospes up LAN");
		return -ESRCH;
	}
	r = bridged_start();
	if (r < 0)
		return r;
	fd = connect_once();
	if (fd == -ENOENT) {
		log_error("hospes-bridged ended as soon as it was started; hospes-bridged --foreground shows why");
		return -ESRCH;
	}
	return fd;
}

static const char *text_not_allowed(const json_t *p, char *into, size_t size)
{
	const char *lan = lan_text(p, "lan"), *user = lan_text(p, "user"), *message = lan_text(p, "message");

	snprintf(into, size, "user %s may not use bridge LAN %s%s%s; root lets them: write \"Allow = %s\" into " BRIDGED_CONFIG "/%s.lan, "
		 "then: sudo hospes reload %s", user, lan, *message ? ": " : "", message, user, lan, lan);
	return into;
}

static const char *text_failed(const json_t *p, char *into, size_t size)
{
	const char *what = lan_text(p, "what"), *message = lan_text(p, "message"), *reason = lan_reason(p);

	snprintf(into, size, "%s%s%s%s%s%s", what, *what && *message ? ": " : "", message, *reason ? ": " : "", reason,
		 json_is_true(json_object_get(p, "rolled_back")) ? "; everything was put back as it was" : "");
	return into;
}

const char *bridged_error_text(const char *name, const json_t *p, char *into, size_t size)
{
	const char *lan = lan_text(p, "lan"), *message = lan_text(p, "message");

	if (!strcmp(name, "NoLan"))
		snprintf(into, size, "there is no bridge LAN %s: a file %s with \"Fabric = bridge\" makes one", lan, lan_text(p, "file"));
	else if (!strcmp(name, "NotAllowed"))
		return text_not_allowed(p, into, size);
	else if (!strcmp(name, "Refused") || !strcmp(name, "Busy"))
		snprintf(into, size, "LAN %s: %s", lan, message);
	else if (!strcmp(name, "Quota"))
		snprintf(into, size, "LAN %s: you have as many taps as one user may have, %d; hospes stop ends a guest",
			 lan, (int)lan_number(p, "limit"));
	else if (!strcmp(name, "Invalid"))
		snprintf(into, size, "%s: %s", lan_text(p, "what"), *message ? message : "it is not valid");
	else if (!strcmp(name, "Failed"))
		return text_failed(p, into, size);
	else if (strstr(name, "PermissionDenied"))
		snprintf(into, size, "hospes-bridged does not talk to this user");
	else if (strstr(name, "MethodNotFound") || strstr(name, "InterfaceNotFound") || strstr(name, "InvalidParameter"))
		snprintf(into, size, "hospes-bridged is of another version than this program (%s); start it anew", name);
	else
		snprintf(into, size, "hospes-bridged answered with the error %s", name);
	return into;
}

static int request(int fd, const char *method, json_t *parameters, int *reply_fd, json_t **reply, char *error)
{
	char full[80];
	int r;

	snprintf(full, sizeof(full), BRIDGED_INTERFACE "%s", method);
	r = varlink_call(fd, &(struct varlink_request){ .method = full, .parameters = parameters, .reply_fd = reply_fd }, reply, error);
	if (r < 0)
		log_error("hospes-bridged did not answer %s: %s", method, r != -ECONNRESET ? strerror(-r) :
			  "it went away; what it had begun stands in its journal, and hospes up or hospes down ends it well");
	if (r == VARLINK_ERROR && !strncmp(error, BRIDGED_INTERFACE, strlen(BRIDGED_INTERFACE)))
		memmove(error, error + strlen(BRIDGED_INTERFACE), strlen(error) - strlen(BRIDGED_INTERFACE) + 1);
	return r;
}

int bridged_try(int fd, const char *method, json_t *parameters, json_t **reply, char error[static VARLINK_ERROR_SIZE])
{
	return request(fd, method, parameters, NULL, reply, error);
}

static int request_or_say(int fd, const char *method, json_t *parameters, int *reply_fd, json_t **reply)
{
	_cleanup_json_ json_t *answer = NULL;
	char error[VARLINK_ERROR_SIZE], text[1024];
	int r = request(fd, method, parameters, reply_fd, &answer, error);

	if (r == VARLINK_ERROR) {
		log_error("%s", bridged_error_text(error, answer, text, sizeof(text)));
		return -EREMOTEIO;
	}
	if (!r && reply)
		*reply = steal(&answer);
	return r;
}

int bridged_call(int fd, const char *method, json_t *parameters, json_t **reply)
{
	return request_or_say(fd, method, parameters, NULL, reply);
}

static int attach(int fd, const char *lan, const char *name, const char *mac, bool say_busy, json_t **reply)
{
	_cleanup_json_ json_t *answer = NULL;
	json_t *parameters = json_pack("{s:s, s:s*, s:s*, s:b}", "lan", lan, "name", name, "mac", mac, "vnet", 1);
	char error[VARLINK_ERROR_SIZE], text[1024];
	int tap = -1, r = request(fd, "Attach", parameters, &tap, &answer, error);

	if (r == VARLINK_ERROR && !say_busy && !strcmp(error, "Busy"))
		return -EBUSY;
	if (r == VARLINK_ERROR)
		log_error("%s", bridged_error_text(error, answer, text, sizeof(text)));
	if (r)
		return r == VARLINK_ERROR ? -EREMOTEIO : r;
	if (tap < 0) {
		log_error("hospes-bridged answered Attach without a tap");
		return -EPROTO;
	}
	if (reply)
		*reply = steal(&answer);
	return tap;
}

int bridged_attach(int fd, const char *lan, const char *name, const char *mac, json_t **reply)
{
	return attach(fd, lan, name, mac, true, reply);
}

int bridged_attach_free(int fd, const char *lan, const char *name, const char *mac, json_t **reply)
{
	return attach(fd, lan, name, mac, false, reply);
}

static const json_t *find_lan(const json_t *status, const char *key, const char *value)
{
	json_t *lan;
	size_t i;

	json_array_foreach(json_object_get(status, "lans"), i, lan)
		if (!strcmp(lan_text(lan, key), value))
			return lan;
	return NULL;
}

const json_t *bridged_lan(const json_t *status, const char *lan)
{
	return find_lan(status, "name", lan);
}

const json_t *bridged_lan_of_bridge(const json_t *status, const char *bridge)
{
	return find_lan(status, "bridge", bridge);
}
