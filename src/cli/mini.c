// SPDX-License-Identifier: MIT
#include "cli/mini.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "base/log.h"
#include "cli/capture.h"
#include "cli/cpio.h"
#include "cli/file_replace.h"
#include "lan/paths.h"

#define KEYS_MAX       (64 << 10)  /* bytes of authorized_keys */
#define KEY_FILE_MAX   4096
#define KEY_TIMEOUT_MS 20000

static void strip_newline(char *text)
{
	text[strcspn(text, "\n")] = 0;
}

char *mini_build(void)
{
	_cleanup_(freep) char *program = paths_own_program("mini-build"), *cache = paths_cache();
	_cleanup_(freep) char *folder = cache ? paths_join(cache, "mini") : NULL;
	char path[PATH_MAX] = "";
	int r;

	if (!program || !folder) {
		log_error("no home folder is known, so there is no place for the guest mini; set HOME");
		return NULL;
	}
	r = paths_make(folder);
	if (r < 0) {
		log_error("cannot make the folder %s for the guest mini: %s", folder, strerror(-r));
		return NULL;
	}
	r = capture_run((char *[]){ program, folder, NULL }, &(struct capture){ .messages = true }, path, sizeof(path));
	if (r < 0)
		log_error("cannot run mini-build, which makes the guest mini: %s; install it beside hospes", strerror(-r));
	else if (r > 1)
		log_error("mini-build did not make the guest mini: it ended with status %d", r);
	strip_newline(path);
	return r || !*path ? NULL : strdup(path);
}

/* --- keys --- */

/* One that waits while another of ours makes the same keys. */
static int lock_folder(const char *folder)
{
	_cleanup_fd_ int fd = -1;
	int r = paths_make(folder);

	if (r < 0) {
		log_error("cannot make the folder %s for keys: %s", folder, strerror(-r));
		return r;
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		log_error("cannot lock the folder %s: %s", folder, strerror(errno));
		return -errno;
	}
	return fd_steal(&fd);
}

/* A key is made under another name, so that one that is there is whole. @messages: the program says only what is wrong. */
static int make_key(const char *path, char *const *argv, const char *made, const char *package, bool messages)
{
	char output[KEY_FILE_MAX];
	int r;

	unlink(made);
	r = capture_run(argv, &(struct capture){ .timeout_ms = KEY_TIMEOUT_MS, .messages = messages }, output, sizeof(output));
	if (r == -ENOENT)
		log_error("the guest mini needs the program %s; install it with: apt install %s", argv[0], package);
	else if (r)
		log_error("cannot make a key with %s: %s", argv[0], r < 0 ? strerror(-r) : "it failed");
	if (r)
		return r < 0 ? r : -EIO;
	if (rename(made, path) < 0) {
		log_error("cannot write the key %s: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

/* Both halves or neither: a mini takes the public one, ssh offers the other. */
static int make_openssh_key(const char *path, const char *public)
{
	_cleanup_(freep) char *made = NULL, *made_public = NULL;
	int r;

	if (!access(path, R_OK) && !access(public, R_OK))
		return 0;
	if (asprintf(&made, "%s.new", path) < 0 || asprintf(&made_public, "%s.new.pub", path) < 0)
		return -ENOMEM;
	/* Until the other half is there, none of an older key is. */
	unlink(public);
	r = make_key(path, (char *[]){ "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hospes", "-f", made, NULL }, made,
		     "openssh-client", true);
	if (!r && rename(made_public, public) < 0) {
		r = -errno;
		log_error("cannot write the key %s: %s", public, strerror(-r));
	}
	return r;
}

static int make_dropbear_key(const char *path)
{
	_cleanup_(freep) char *made = NULL;

	if (!access(path, R_OK))
		return 0;
	if (asprintf(&made, "%s.new", path) < 0)
		return -ENOMEM;
	return make_key(path, (char *[]){ "dropbearkey", "-t", "ed25519", "-f", made, NULL }, made, "dropbear-bin", false);
}

/* The public half of a key that dropbear made, as authorized_keys has it. */
static int add_dropbear_public(FILE *to, const char *path)
{
	char output[KEY_FILE_MAX], *line;
	int r = capture_run((char *[]){ "dropbearkey", "-y", "-f", (char *)path, NULL }, &(struct capture){ .timeout_ms = KEY_TIMEOUT_MS }, output,
			    sizeof(output));

	line = r ? NULL : strstr(output, "ssh-ed25519 ");
	if (!line) {
		log_error("dropbearkey cannot read the key %s; remove it, and another one is made", path);
		return r < 0 ? r : -EINVAL;
	}
	strip_newline(line);
	fprintf(to, "%s\n", line);
	return 0;
}

static void add_public_file(FILE *to, const char *path)
{
	_cleanup_(freep) char *text = file_read_text(path);

	if (text && strlen(text) < KEY_FILE_MAX * 4)
		fprintf(to, "%s\n", text);
}

static bool is_public_key(const char *name)
{
	/* Certificates are signed for hosts that know who signs: not here. */
	return !fnmatch("*.pub", name, FNM_PERIOD) && fnmatch("*-cert.pub", name, 0);
}

static void dir_closep(DIR **dir) { if (*dir) closedir(*dir); }

/* All public keys of a folder; those that cannot be read are the user's business. */
static void add_public_files(FILE *to, const char *folder)
{
	_cleanup_(dir_closep) DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_(freep) char *path = is_public_key(entry->d_name) ? paths_join(folder, entry->d_name) : NULL;

		if (path)
			add_public_file(to, path);
	}
}

/* --- what is appended to the initrd --- */

static int add_file(FILE *archive, const char *as, const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char data[KEY_FILE_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data));

	if (n <= 0) {
		log_error("cannot read the key %s: %s", path, n < 0 ? strerror(errno) : "it is empty; remove it, and another one is made");
		return -EIO;
	}
	cpio_add(archive, as, S_IFREG | 0600, data, (size_t)n);
	return 0;
}

static int add_authorized(FILE *archive, const char *own_public, const char *guest_key)
{
	const char *home = getenv("HOME");
	_cleanup_(freep) char *text = NULL, *folder = home ? paths_join(home, ".ssh") : NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	int r;

	if (!to)
		return -ENOMEM;
	/* Ours first: what is too much is cut. */
	r = add_dropbear_public(to, guest_key);
	add_public_file(to, own_public);
	if (folder)
		add_public_files(to, folder);
	if (fclose(to) == EOF)
		return -ENOMEM;
	if (!r)
		cpio_add(archive, "root/.ssh/authorized_keys", S_IFREG | 0600, text, MIN(size, (size_t)KEYS_MAX));
	return r;
}

static int add_keys(FILE *archive, const char *lan, const char *name)
{
	_cleanup_(freep) char *state = paths_state(lan), *host_keys = state ? paths_join(state, "host-keys") : NULL;
	_cleanup_(freep) char *own_key = state ? paths_join(state, "id_ed25519") : NULL;
	_cleanup_(freep) char *own_public = state ? paths_join(state, "id_ed25519.pub") : NULL;
	_cleanup_(freep) char *guest_key = state ? paths_join(state, "guest-key") : NULL;
	_cleanup_(freep) char *host_key = host_keys ? paths_join(host_keys, name) : NULL;
	_cleanup_fd_ int lock = host_key && own_key && own_public && guest_key ? lock_folder(host_keys) : -ENOMEM;
	int r = lock < 0 ? lock : make_openssh_key(own_key, own_public);

	if (!r)
		r = make_dropbear_key(guest_key);
	if (!r)
		r = make_dropbear_key(host_key);
	if (!r)
		r = add_file(archive, "etc/dropbear/host_key", host_key);
	if (!r)
		r = add_file(archive, "root/.ssh/id_dropbear", guest_key);
	return r ? r : add_authorized(archive, own_public, guest_key);
}

/* Copy the initrd that was built; what follows begins at a multiple of four. */
static int copy_built(FILE *to, const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buffer[65536];
	size_t size = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
		size += fwrite(buffer, 1, (size_t)n, to);
	if (fd < 0 || n < 0) {
		log_error("cannot read %s: %s", path, strerror(errno));
		return -EIO;
	}
	while (size++ % 4)
		fputc(0, to);
	return 0;
}

static int make_initrd(int fd, const char *folder, const char *lan, const char *name)
{
	_cleanup_(freep) char *built = paths_join(folder, "initrd");
	int copy = dup(fd), r;
	FILE *to = copy < 0 ? NULL : fdopen(copy, "w");
	bool whole;

	if (!to || !built) {
		fd_close(to ? -1 : copy);
		if (to)
			fclose(to);
		return -ENOMEM;
	}
	r = copy_built(to, built);
	if (!r)
		r = add_keys(to, lan, name);
	whole = r || !cpio_end(to);
	if ((fclose(to) == EOF || !whole) && !r) {
		r = -EIO;
		log_error("cannot write the guest's initrd into memory: %s", strerror(errno));
	}
	return r;
}

int mini_prepare(struct mini *out, const char *folder, const char *lan, const char *name)
{
	struct mini m = { .fd = memfd_create("hospes-initrd", MFD_CLOEXEC) };
	int r = m.fd < 0 ? -errno : make_initrd(m.fd, folder, lan, name);

	if (m.fd < 0)
		log_error("cannot make a file in memory: %s", strerror(-r));
	if (!r) {
		m.kernel = paths_join(folder, "kernel");
		if (asprintf(&m.initrd, "/dev/fd/%d", m.fd) < 0)
			m.initrd = NULL;
		/* loglevel: only what is wrong; panic: a guest that cannot go on ends */
		if (asprintf(&m.append, "console=ttyS0 quiet panic=-1 hospes.name=%s", name) < 0)
			m.append = NULL;
		r = m.kernel && m.initrd && m.append ? 0 : -ENOMEM;
	}
	if (r < 0) {
		mini_fini(&m);
		if (r == -ENOMEM)
			log_error("out of memory");
		return r;
	}
	*out = m;
	return 0;
}

void mini_fini(struct mini *m)
{
	free(m->kernel);
	free(m->initrd);
	free(m->append);
	*m = (struct mini){ .fd = fd_close(m->fd) };
	m->fd = -1;
}
