// SPDX-License-Identifier: MIT
#include "io/varlink_dispatch.h"

#include <string.h>

#define SERVICE "org.varlink.service"

static const char service_description[] =
	"# Every Varlink service has this interface\n"
	"interface org.varlink.service\n"
	"\n"
	"method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n"
	"error PermissionDenied ()\n"
	"error ExpectedMore ()\n";

static bool value_fits(const struct varlink_param *p, const json_t *value)
{
	bool bounded = p->min || p->max;

	switch (p->type) {
	case VARLINK_STRING:
		return json_is_string(value) && (!bounded || (int64_t)json_string_length(value) <= p->max);
	case VARLINK_INT:
		return json_is_integer(value) && (!bounded || (json_integer_value(value) >= p->min && json_integer_value(value) <= p->max));
	case VARLINK_BOOL:
		return json_is_boolean(value);
	}
	return false;
}

static bool is_known(const struct varlink_param *params, const char *name)
{
	for (; params && params->name; params++)
		if (!strcmp(params->name, name))
			return true;
	return false;
}

/* Return: the first parameter that is not as the table says; NULL if all are. */
static const char *wrong_parameter(const struct varlink_param *params, json_t *given)
{
	const char *name;
	json_t *value;

	for (const struct varlink_param *p = params; p && p->name; p++) {
		value = json_object_get(given, p->name);
		if (!value || json_is_null(value) ? !p->optional : !value_fits(p, value))
			return p->name;
	}
	json_object_foreach(given, name, value)
		if (!is_known(params, name))
			return name;
	return NULL;
}

static void get_info(const struct varlink_service *s, struct varlink_call *call)
{
	varlink_reply(call, json_pack("{ss ss ss ss s[ss]}", "vendor", s->vendor, "product", s->product, "version", s->version, "url",
		s->url,
				      "interfaces", SERVICE, s->interface));
}

static void get_interface_description(const struct varlink_service *s, struct varlink_call *call, const char *interface)
{
	if (!strcmp(interface, s->interface))
		varlink_reply(call, json_pack("{ss}", "description", s->description));
	else if (!strcmp(interface, SERVICE))
		varlink_reply(call, json_pack("{ss}", "description", service_description));
	else
		varlink_fail(call, SERVICE ".InterfaceNotFound", json_pack("{ss}", "interface", interface));
}

static void not_found(struct varlink_call *call, const char *method)
{
	varlink_fail(call, SERVICE ".MethodNotFound", json_pack("{ss}", "method", method));
}

static void dispatch_service(const struct varlink_service *s, struct varlink_call *call, const char *method, json_t *parameters)
{
	static const struct varlink_param none[] = { { 0 } };
	static const struct varlink_param interface[] = { { .name = "interface", .type = VARLINK_STRING }, { 0 } };
	bool describe = !strcmp(method, SERVICE ".GetInterfaceDescription");
	const char *wrong = wrong_parameter(describe ? interface : none, parameters);

	if (!describe && strcmp(method, SERVICE ".GetInfo"))
		not_found(call, method);
	else if (wrong)
		varlink_invalid(call, wrong);
	else if (describe)
		get_interface_description(s, call, json_string_value(json_object_get(parameters, "interface")));
	else
		get_info(s, call);
}

static const struct varlink_method *find_method(const struct varlink_service *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (!strcmp(s->methods[i].name, name))
			return &s->methods[i];
	return NULL;
}

/* Length of the interface's name in "org.hospes.Lan.Status"; 0 if there is no dot. */
static size_t interface_size(const char *method)
{
	const char *dot = strrchr(method, '.');

	return dot ? (size_t)(dot - method) : 0;
}

static bool is_interface(const char *method, const char *interface)
{
	size_t size = interface_size(method);

	return size == strlen(interface) && !memcmp(method, interface, size);
}

void varlink_dispatch(const struct varlink_service *service, void *owner, struct varlink_call *call, const char *method, json_t *parameters,
		      bool upgrade)
{
	const struct varlink_method *m;
	const char *wrong;

	if (is_interface(method, SERVICE)) {
		dispatch_service(service, call, method, parameters);
		return;
	}
	if (!is_interface(method, service->interface)) {
		varlink_fail(call, SERVICE ".InterfaceNotFound",
			     json_pack("{ss%}", "interface", method, interface_size(method)));
		return;
	}
	m = find_method(service, method + interface_size(method) + 1);
	if (!m) {
		not_found(call, method);
		return;
	}
	wrong = wrong_parameter(m->params, parameters);
	if (!wrong && upgrade != m->upgrades)
		wrong = "upgrade";
	if (wrong)
		varlink_invalid(call, wrong);
	else
		m->handle(owner, call, parameters);
}
