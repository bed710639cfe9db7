// SPDX-License-Identifier: MIT
/* Images by their contents; names from files; archives for the guest; programs that are run for what they print. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fd.h"
#include "base/usec.h"
#include "cli/capture.h"
#include "cli/cpio.h"
#include "cli/image.h"

/* Write @data at @at into a file of @size bytes, and look at it. */
static int look(struct image *out, size_t size, off_t at, const char *data, size_t length)
{
	char path[] = "/tmp/hospes-image-XXXXXX";
	_cleanup_fd_ int fd = mkstemp(path);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (length)
		assert_int_equal(pwrite(fd, data, length, at), length);
	r = image_look(out, path, false);
	unlink(path);
	return r;
}

static void assert_kind(off_t at, const char *data, size_t length, const char *format, bool cdrom)
{
	struct image image = { 0 };

	assert_int_equal(look(&image, 100000, at, data, length), 0);
	assert_string_equal(image.format, format);
	assert_int_equal(image.cdrom, cdrom);
}

static void test_kinds(void **state)
{
	struct image image;

	(void)state;
	assert_kind(0, "", 0, "raw", false);
	assert_kind(0, "QFI\xfb\0\0\0\3", 8, "qcow2", false);
	assert_kind(0, "QFI\xfa\0\0\0\3", 8, "raw", false);
	assert_kind(0, "KDMV", 4, "vmdk", false);
	assert_kind(0, "vhdxfile", 8, "vhdx", false);
	assert_kind(64, "\x7f\x10\xda\xbe", 4, "vdi", false);
	assert_kind(32769, "CD001", 5, "raw", true);
	assert_kind(32768, "CD001", 5, "raw", false);
	assert_int_equal(look(&image, 100000, 0, "\x1f\x8b", 2), -EINVAL);
	assert_int_equal(look(&image, 100000, 0, "\xfd" "7zXZ\0", 6), -EINVAL);
	assert_int_equal(look(&image, 511, 0, "", 0), -EINVAL);
	assert_int_equal(look(&image, 512, 0, "", 0), 0);
	assert_int_equal(image_look(&image, "/nonexistent/image", false), -ENOENT);
	assert_int_equal(image_look(&image, "/", false), -EINVAL);
	assert_int_equal(image_look(&image, "/dev/null", false), -EINVAL);
}

static void assert_name(const char *path, const char *wanted)
{
	char name[GUEST_NAME_SIZE];

	image_guest_name(path, name);
	assert_string_equal(name, wanted);
	assert_true(guest_name_valid(name));
}

static void test_names(void **state)
{
	char path[200] = "/";

	(void)state;
	assert_name("web.qcow2", "web");
	assert_name("/images/Debian_12.5 (generic).qcow2", "debian-12-5-generic");
	assert_name("noext", "noext");
	assert_name(".hidden", "hidden");
	assert_name("---.img", "guest");
	assert_name("\xc3\xa4.img", "guest");
	assert_name("gateway.img", "guest");
	assert_name("localhost", "guest");
	memset(path + 1, 'x', 150);
	assert_name(path, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	path[63] = '-';
	assert_name(path, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

/* An archive that a cpio of another hand reads. */
static void test_cpio(void **state)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	cpio_add(to, "etc", S_IFDIR | 0755, "", 0);
	cpio_add(to, "etc/name", S_IFREG | 0600, "web\n", 4);
	cpio_add(to, "odd", S_IFREG | 0644, "12345", 5);
	assert_int_equal(cpio_end(to), 0);
	fclose(to);
	assert_int_equal(size % 4, 0);
	assert_memory_equal(text, "070701" "00000000" "000041ed", 22);
	/* header and name are padded together: 110 + 4 + 2; then 110 + 9 + 1, and the contents */
	assert_memory_equal(text + 116 + 14, "00008180", 8);
	assert_memory_equal(text + 116 + 54, "00000004", 8);
	assert_memory_equal(text + 116 + 94, "00000009", 8);
	assert_memory_equal(text + 116 + 110, "etc/name\0\0web\n", 14);
	assert_memory_equal(text + 116 + 124, "070701", 6);
	assert_memory_equal(text + size - 124 + 110, "TRAILER!!!\0\0\0\0", 14);
}

static int capture(const char *command, int timeout_ms, char *out, size_t size)
{
	return capture_run((char *[]){ "sh", "-c", (char *)command, NULL }, &(struct capture){ .timeout_ms = timeout_ms }, out, size);
}

static void test_capture(void **state)
{
	_cleanup_fd_ int keep = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char out[32], command[64];
	usec_t start = usec_now();

	(void)state;
	assert_int_equal(capture("echo hello; echo nowhere >&2", 0, out, sizeof(out)), 0);
	assert_string_equal(out, "hello\n");
	assert_int_equal(capture("exit 7", 10000, out, sizeof(out)), 7);
	assert_string_equal(out, "");
	assert_int_equal(capture("kill -9 $$", 10000, NULL, 0), 137);
	assert_int_equal(capture_run((char *[]){ "/nonexistent/program", NULL }, &(struct capture){ 0 }, out, sizeof(out)), -ENOENT);
	/* More than fits is read all the same, or the program would wait. */
	assert_int_equal(capture("head -c 300000 /dev/zero | tr '\\0' x", 10000, out, sizeof(out)), 0);
	assert_int_equal(strlen(out), sizeof(out) - 1);
	/* One that ends while a child of its own holds the pipe does not keep us. */
	assert_int_equal(capture("sleep 30 & echo done", 20000, out, sizeof(out)), 0);
	assert_string_equal(out, "done\n");
	assert_int_equal(capture("exec sleep 30", 200, out, sizeof(out)), -ETIMEDOUT);
	assert_true(usec_now() - start < 15 * USEC_S);
	snprintf(command, sizeof(command), "test -e /proc/self/fd/%d", keep);
	assert_int_equal(capture(command, 10000, NULL, 0), 1);
	assert_int_equal(capture_run((char *[]){ "sh", "-c", command, NULL }, &(struct capture){ .keep = keep }, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds), cmocka_unit_test(test_names), cmocka_unit_test(test_cpio), cmocka_unit_test(test_capture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
