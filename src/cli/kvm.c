// SPDX-License-Identifier: MIT
#include "cli/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include "base/fd.h"
#include "base/log.h"
#include "cli/capture.h"
#include "cli/file_replace.h"
#include "cli/words.h"
#include "lan/paths.h"

#define PROBE_TIMEOUT_MS 2500
#define GOOD_STATUS      85          /* what kvm_probe.S writes to the debug exit port, times two and one */
#define SLOW_FOR         (60 * 60)   /* seconds: a machine that was only busy while the probe ran gets another try */
#define KEY_SIZE         256

#if defined(__x86_64__)

#define ROM_SIZE 65536

extern const char kvm_probe_image[];
extern const uint32_t kvm_probe_size;

/* The image as a firmware: the end of a file that has the size of a ROM. Return: a descriptor or negative errno. */
static int make_rom(void)
{
	_cleanup_fd_ int fd = memfd_create("hospes-probe", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, ROM_SIZE) < 0)
		return -errno;
	if (pwrite(fd, kvm_probe_image, kvm_probe_size, ROM_SIZE - kvm_probe_size) != (ssize_t)kvm_probe_size)
		return -EIO;
	return fd_steal(&fd);
}

/* Return: the exit status of QEMU, or negative errno. */
static int run_probe(const struct qemu_program *qemu)
{
	_cleanup_fd_ int rom = make_rom();
	_cleanup_words_ struct words w = { 0 };

	if (rom < 0)
		return rom;
	words_add(&w, "%s", qemu->path);
	words_add_pair(&w, "-machine", "pc");
	words_add_pair(&w, "-accel", "kvm");
	words_add_pair(&w, "-cpu", QEMU_CPU_KVM);
	words_add_pair(&w, "-m", "16");
	words_add_pair(&w, "-bios", "/dev/fd/%d", rom);
	words_add_pair(&w, "-device", "isa-debug-exit,iobase=0xf4,iosize=1");
	words_add_pair(&w, "-display", "none");
	words_add(&w, "-nodefaults");
	words_add(&w, "-no-user-config");
	words_add(&w, "-no-reboot");
	if (w.failed)
		return -ENOMEM;
	return capture_run(w.list, &(struct capture){ .keep = rom, .timeout_ms = PROBE_TIMEOUT_MS }, NULL, 0);
}

#else

/* Where there is no such image, KVM is what the processor has. */
static int run_probe(_unused_ const struct qemu_program *qemu)
{
	return GOOD_STATUS;
}

#endif

/* What an answer depends on: this boot of this machine, this QEMU. */
static bool make_key(const struct qemu_program *qemu, char key[static KEY_SIZE])
{
	_cleanup_fd_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char boot[64] = "";

	if (fd < 0 || read(fd, boot, sizeof(boot) - 1) <= 0)
		return false;
	boot[strcspn(boot, "\n")] = 0;
	return snprintf(key, KEY_SIZE, "%s %d.%d %s ", boot, qemu->major, qemu->minor, qemu->path) < KEY_SIZE;
}

static char *answer_path(void)
{
	_cleanup_(freep) char *cache = paths_cache();

	return cache && paths_make(cache) == 0 ? paths_join(cache, "kvm") : NULL;
}

/* The file holds the key and "yes", "no" or "slow". Return: false if it does not answer. */
static bool read_answer(const char *path, const char *key, bool *works)
{
	_cleanup_(freep) char *text = path ? file_read_text(path) : NULL;
	struct stat st;
	const char *answer;

	if (!text || strncmp(text, key, strlen(key)) || stat(path, &st) < 0)
		return false;
	answer = text + strlen(key);
	if (!strcmp(answer, "slow\n") && time(NULL) - st.st_mtime > SLOW_FOR)
		return false;
	*works = !strcmp(answer, "yes\n");
	return true;
}

static void keep_answer(const char *path, const char *key, const char *answer)
{
	_cleanup_(freep) char *text = NULL;

	/* Without it, the next guest is started a little later. */
	if (!path || asprintf(&text, "%s%s\n", key, answer) < 0 || file_replace(path, text, 0600) < 0)
		log_debug("cannot keep what the KVM probe found");
}

static bool probe(const struct qemu_program *qemu)
{
	_cleanup_(freep) char *path = answer_path();
	char key[KEY_SIZE];
	bool keyed = make_key(qemu, key), works;
	int status;

	if (keyed && read_answer(path, key, &works))
		return works;
	status = run_probe(qemu);
	works = status == GOOD_STATUS;
	log_debug("KVM probe: %d", status);
	if (!works)
		log_info("/dev/kvm opens, but a guest does not really run there (%s); guests run without it, slowly. "
			 "HOSPES_ACCEL=kvm uses it all the same",
			 status == -ETIMEDOUT ? "it takes far too long" : "it fails");
	if (keyed)
		keep_answer(path, key, works ? "yes" : status == -ETIMEDOUT ? "slow" : "no");
	return works;
}

int kvm_choose(const struct qemu_program *qemu, enum accel *out)
{
	const char *wanted = getenv("HOSPES_ACCEL");
	_cleanup_fd_ int fd = -1;

	if (wanted && *wanted) {
		if (strcmp(wanted, "kvm") && strcmp(wanted, "tcg")) {
			log_error("HOSPES_ACCEL is \"%s\": kvm or tcg is expected", wanted);
			return -EINVAL;
		}
		*out = strcmp(wanted, "kvm") ? ACCEL_TCG : ACCEL_KVM;
		return 0;
	}
	*out = ACCEL_TCG;
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		*out = probe(qemu) ? ACCEL_KVM : ACCEL_TCG;
	else if (errno == EACCES || errno == EPERM)
		log_info("no access to /dev/kvm, so the guest runs without it, slowly; for the next login: sudo adduser $USER kvm");
	return 0;
}
