// SPDX-License-Identifier: MIT
/* Who may attach guests: by ids, whatever names look like. */
#include "unit.h"

#include "bridge/allow.h"

/* Users alice 1000, bob 1001, "alice" with a longer name 1002; groups kvm 50 (bob is in it), staff 51. */
static bool user(const char *name, uid_t *uid)
{
	static const struct { const char *name; uid_t uid; } users[] = { { "alice", 1000 }, { "bob", 1001 }, { "alice-too", 1002 }, { "toor",
			0 } };

	for (size_t i = 0; i < ARRAY_SIZE(users); i++)
		if (!strcmp(users[i].name, name)) {
			*uid = users[i].uid;
			return true;
		}
	return false;
}

static bool group(const char *name, gid_t *gid)
{
	*gid = !strcmp(name, "kvm") ? 50 : 51;
	return !strcmp(name, "kvm") || !strcmp(name, "staff");
}

/* Says more than it has room for where a user has many. */
static size_t groups(uid_t uid, gid_t *into, size_t room)
{
	if (uid == 1001 && room)
		into[0] = 50;
	if (uid == 1003)
		for (size_t i = 0; i < room; i++)
			into[i] = 7000 + (gid_t)i;
	return uid == 1001 ? 1 : uid == 1003 ? room + 5 : 0;
}

static const struct allow_lookup lookup = { .user = user, .group = group, .groups = groups };

static bool allowed(uid_t uid, const char *name, bool is_group)
{
	struct bridge_config c = { .allow_count = 1 };

	strcpy(c.allow[0].name, name);
	c.allow[0].group = is_group;
	return allow_user(&c, uid, &lookup);
}

static void test_users(_unused_ void **state)
{
	assert_true(allowed(1000, "alice", false));
	assert_false(allowed(1001, "alice", false));
	/* A name that only begins like one that is allowed is another user's. */
	assert_false(allowed(1002, "alice", false));
	assert_false(allowed(1000, "alice-too", false));
	assert_false(allowed(1000, "nobody-by-that-name", false));
	assert_false(allowed(1000, "", false));
}

static void test_groups(_unused_ void **state)
{
	assert_true(allowed(1001, "kvm", true));
	assert_false(allowed(1000, "kvm", true));
	assert_false(allowed(1001, "staff", true));
	assert_false(allowed(1001, "missing", true));
	/* A group's name is no user's, and the other way round. */
	assert_false(allowed(1001, "kvm", false));
	assert_false(allowed(1000, "alice", true));
	assert_false(allowed(1003, "kvm", true));
}

static void test_root_and_nobody(_unused_ void **state)
{
	struct bridge_config none = { 0 };

	assert_true(allow_user(&none, 0, &lookup));
	assert_false(allow_user(&none, 1000, &lookup));
	/* Who is named beside root's other name does not become root. */
	assert_false(allowed(1000, "toor", false));
}

static void test_several(_unused_ void **state)
{
	struct bridge_config c = { .allow = { { "missing", false }, { "staff", true }, { "kvm", true }, { "alice", false } }, .allow_count = 4 };

	assert_true(allow_user(&c, 1000, &lookup));
	assert_true(allow_user(&c, 1001, &lookup));
	assert_false(allow_user(&c, 1002, &lookup));
	c.allow_count = 2;
	assert_false(allow_user(&c, 1000, &lookup));
}

static void test_system(_unused_ void **state)
{
	char name[USER_NAME_SIZE];
	gid_t all[4];
	uid_t uid = 1;

	assert_true(allow_system.user("root", &uid));
	assert_int_equal(uid, 0);
	assert_false(allow_system.user("no-user-has-such-a-name-as-this-one", &uid));
	assert_true(allow_system.groups(0, all, ARRAY_SIZE(all)) >= 1);
	assert_string_equal(allow_name(0, name), "root");
	assert_string_equal(allow_name(4000000000u, name), "user 4000000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_users), cmocka_unit_test(test_groups), cmocka_unit_test(test_root_and_nobody), cmocka_unit_test(test_several),
		cmocka_unit_test(test_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
