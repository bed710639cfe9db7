// SPDX-License-Identifier: MIT
/* hospes ssh-config: so that plain ssh finds guests by name */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/file_replace.h"
#include "cli/guest_ref.h"
#include "cli/lan_client.h"
#include "cli/ssh_paths.h"
#include "cli/ssh_text.h"
#include "lan/config.h"
#include "lan/paths.h"

/* The files, and the line that joins them. */
struct places {
	char *folder, *ours, *ssh_folder, *ssh_config, *line;
};

static void places_fini(struct places *p)
{
	free(p->folder);
	free(p->ours);
	free(p->ssh_folder);
	free(p->ssh_config);
	free(p->line);
}

static int places_find(struct places *p)
{
	_cleanup_(freep) char *quoted = NULL;
	const char *home = getenv("HOME");

	if (!home || home[0] != '/') {
		log_error("no home folder is known, so there is no ssh configuration; set HOME");
		return -ENOENT;
	}
	p->folder = paths_config();
	p->ours = p->folder ? paths_join(p->folder, "ssh_config") : NULL;
	p->ssh_folder = paths_join(home, ".ssh");
	p->ssh_config = paths_join(home, ".ssh/config");
	quoted = p->ours ? ssh_quote_include(p->ours) : NULL;
	if (!quoted || !p->ssh_folder || !p->ssh_config || asprintf(&p->line, "Include %s", quoted) < 0) {
		p->line = NULL;
		log_error("cannot name the file %s in ssh's configuration", p->ours ? p->ours : "ssh_config");
		return -EINVAL;
	}
	return 0;
}

static char *quoted_block(const struct ssh_paths *p, const char *pattern, const char *lan)
{
	_cleanup_(freep) char *program = ssh_quote_command(p->program), *known = ssh_quote_path(p->known_hosts);
	_cleanup_(freep) char *key = ssh_quote_path(p->key), *key_command = ssh_quote_command(p->key);

	/* The command stands in quotes of the configuration's own, where the shell's way to quote a quote does not survive. */
	if (!program || !known || !key || !key_command || strchr(p->key, '\''))
		return NULL;
	return ssh_config_block(&(struct ssh_block){
		.pattern = pattern, .program = program, .lan = lan, .known_hosts = known, .key = key, .key_command = key_command,
		.keys = (const char *const *)p->keys });
}

/* The domain of a LAN that has one of its own needs a block that names the LAN. Return: 0 or negative errno after a message. */
static int find_domain(const char *lan, char *pattern, size_t size, bool *own)
{
	_cleanup_(freep) char *path = lan_config_find(lan);
	struct lan_config *config;
	char error[512];
	int r = lan_config_load(&config, lan, path, error, sizeof(error));

	if (r < 0) {
		log_error("%s", error);
		return r;
	}
	*own = strcmp(config->domain, GUEST_DOMAIN);
	snprintf(pattern, size, "*.%s", config->domain);
	lan_config_free(config);
	return 0;
}

static char *make_block(const char *lan)
{
	_cleanup_ssh_paths_ struct ssh_paths paths = { 0 };
	char pattern[80], *block;
	bool own;

	if (ssh_paths_find(&paths, lan) < 0 || find_domain(lan, pattern, sizeof(pattern), &own) < 0)
		return NULL;
	block = quoted_block(&paths, pattern, own ? lan : NULL);
	if (!block)
		log_error("cannot write paths with quotes or backslashes into ssh's configuration: %s, %s",
			  paths.program, paths.known_hosts);
	return block;
}

static int say_failed(int r, const char *path)
{
	log_error("cannot write %s: %s; nothing was changed there", path, strerror(-r));
	return r;
}

static int install(const struct places *p, const char *block)
{
	_cleanup_(freep) char *old = NULL, *text = NULL, *ours = NULL;
	int r = paths_make(p->folder);

	if (r < 0)
		return say_failed(r, p->folder);
	if (asprintf(&ours, "# Made by: hospes ssh-config --install. Undo it with: hospes ssh-config --remove\n%s", block) < 0)
		return -ENOMEM;
	r = file_replace(p->ours, ours, 0600);
	if (r < 0)
		return say_failed(r, p->ours);
	if (mkdir(p->ssh_folder, 0700) < 0 && errno != EEXIST)
		return say_failed(-errno, p->ssh_folder);
	old = file_read_text(p->ssh_config);
	if (!old && errno != ENOENT)
		return say_failed(-errno, p->ssh_config);
	text = ssh_config_add(old, p->line);
	if (!text)
		return -ENOMEM;
	if (old && !strcmp(old, text)) {
		printf("%s includes %s already\n", p->ssh_config, p->ours);
		return 0;
	}
	r = file_replace(p->ssh_config, text, 0600);
	if (r < 0)
		return say_failed(r, p->ssh_config);
	printf("%s now includes %s: ssh NAME.hospes works\n", p->ssh_config, p->ours);
	return 0;
}

static int uninstall(const struct places *p)
{
	_cleanup_(freep) char *old = file_read_text(p->ssh_config), *text = NULL;
	bool gone = false;
	int r = 0;

	if (!old && errno != ENOENT)
		return say_failed(-errno, p->ssh_config);
	text = old ? ssh_config_remove(old, p->line, &gone) : NULL;
	if (old && !text)
		return -ENOMEM;
	if (gone)
		r = unlink(p->ssh_config) < 0 ? -errno : 0;
	else if (old && strcmp(old, text))
		r = file_replace(p->ssh_config, text, 0600);
	if (r < 0)
		return say_failed(r, p->ssh_config);
	if (unlink(p->ours) < 0 && errno != ENOENT)
		return say_failed(-errno, p->ours);
	rmdir(p->folder); /* ours if it is empty */
	printf("%s does not include %s any more\n", p->ssh_config, p->ours);
	return 0;
}

int cmd_ssh_config(int argc, char **argv)
{
	_cleanup_(places_fini) struct places places = { 0 };
	_cleanup_(freep) char *block = NULL;
	const char *lan = LAN_DEFAULT;
	bool add = false, remove = false;
	const struct args_option options[] = {
		ARGS_LAN(&lan), { "install", 0, .flag = &add }, { "remove", 0, .flag = &remove }, { 0 }
	};
	struct args args;

	if (args_parse(&args, argc, argv, options, ARGS_ANYWHERE) < 0 || lan_name_check(lan) < 0)
		return EXIT_USAGE;
	if (args.count || args.rest_count || (add && remove))
		return cli_wrong("ssh-config", add && remove ? "--install or --remove, not both" : "nothing but options is expected");
	if (places_find(&places) < 0)
		return EXIT_FAILURE;
	if (remove)
		return uninstall(&places) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	block = make_block(lan);
	if (!block)
		return EXIT_FAILURE;
	if (add)
		return install(&places, block) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	fputs(block, stdout);
	return EXIT_SUCCESS;
}
