// SPDX-License-Identifier: MIT
#include "cli/image.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fd.h"
#include "base/log.h"
#include "cli/words.h"

#define MAGIC_MAX 8

/* packed: the program that unpacks it; no disk as it is */
static const struct { off_t at; unsigned char size; char magic[MAGIC_MAX]; const char *format, *packed; bool cdrom; } kinds[] = {
	{ 0, 4, "QFI\xfb", .format = "qcow2" },
	{ 0, 4, "KDMV", .format = "vmdk" },
	{ 0, 8, "vhdxfile", .format = "vhdx" },
	{ 0, 8, "conectix", .format = "vpc" },
	{ 64, 4, "\x7f\x10\xda\xbe", .format = "vdi" },
	{ 0, 6, "\xfd" "7zXZ\0", .packed = "unxz" },
	{ 0, 2, "\x1f\x8b", .packed = "gunzip" },
	{ 0, 4, "\x28\xb5\x2f\xfd", .packed = "unzstd" },
	{ 0, 3, "BZh", .packed = "bunzip2" },
	{ 0, 4, "PK\x03\x04", .packed = "unzip" },
	/* The volume descriptor of ECMA-119, in sector 16. Last: other kinds may hold one as their contents. */
	{ 32769, 5, "CD001", .format = "raw", .cdrom = true },
};

/* A line for a person to type. */
static void say_packed(const char *path, const char *program)
{
	_cleanup_words_ struct words words = { 0 };
	_cleanup_(freep) char *line = NULL;

	words_add(&words, "%s", program);
	words_add(&words, "%s%s", *path == '-' ? "./" : "", path);
	line = words_quote(&words);
	log_error("%s is packed; unpack it first, with: %s", path, line ? line : program);
}

static int open_image(const char *path, bool readonly)
{
	int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK), r = -errno;

	if (fd >= 0)
		return fd;
	if (r == -ENOENT)
		log_error("there is no image %s; hospes run mini needs none", path);
	else if (r == -EISDIR)
		log_error("%s is a folder; an image of a disk or a CD is expected", path);
	else if ((r == -EACCES || r == -EROFS || r == -EPERM) && !readonly && !access(path, R_OK))
		log_error("%s is not yours to write to; --snapshot starts it all the same, and what the guest writes is lost at its end", path);
	else if (r == -EACCES)
		log_error("%s is not yours to read: see ls -l %s, and the folders above it", path, path);
	else
		log_error("cannot open %s: %s", path, strerror(-r));
	return r;
}

static int check_file(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		log_error("%s is a folder; an image of a disk or a CD is expected", path);
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		log_error("%s is no file and no disk; an image of a disk or a CD is expected", path);
	else if (S_ISREG(st.st_mode) && st.st_size < 512)
		log_error("%s has %lld bytes, too few for an image; was it downloaded whole?", path, (long long)st.st_size);
	else
		return 0;
	return -EINVAL;
}

int image_look(struct image *out, const char *path, bool readonly)
{
	_cleanup_fd_ int fd = open_image(path, true), again = -1;
	char bytes[MAGIC_MAX];
	int r = fd < 0 ? fd : check_file(fd, path);

	if (r < 0)
		return r;
	*out = (struct image){ .format = "raw" };
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (pread(fd, bytes, kinds[i].size, kinds[i].at) != kinds[i].size || memcmp(bytes, kinds[i].magic, kinds[i].size))
			continue;
		if (kinds[i].packed) {
			say_packed(path, kinds[i].packed);
			return -EINVAL;
		}
		*out = (struct image){ .format = kinds[i].format, .cdrom = kinds[i].cdrom };
		break;
	}
	if (readonly || out->cdrom)
		return 0;
	again = open_image(path, false);
	return again < 0 ? again : 0;
}

void image_guest_name(const char *path, char into[static GUEST_NAME_SIZE])
{
	const char *slash = strrchr(path, '/'), *from = slash ? slash + 1 : path, *dot = strrchr(from, '.');
	size_t length = dot && dot > from ? (size_t)(dot - from) : strlen(from), used = 0;

	for (size_t i = 0; i < length && used < GUEST_NAME_SIZE - 1; i++) {
		unsigned char c = (unsigned char)from[i];

		if (c < 0x80 && isalnum(c))
			into[used++] = (char)tolower(c);
		else if (used && into[used - 1] != '-')
			into[used++] = '-';
	}
	while (used && into[used - 1] == '-')
		used--;
	into[used] = 0;
	if (!used || guest_name_reserved(into))
		strcpy(into, "guest");
}
