// SPDX-License-Identifier: MIT
/* Guests' memory: regions mapped, looked up and taken away under us; and the dirty log, which is memory of the same kind. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fd.h"
#include "port/vhost/guard.h"
#include "port/vhost/log.h"
#include "port/vhost/memory.h"

#define SIZE 0x10000

static int file_of(size_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0 && !ftruncate(fd, (off_t)size));
	return fd;
}

static void regions_are_looked_up(void **state)
{
	const struct vhost_region_message low = { 0x1000, 0x3000, 0x700000001000, 0x800 }, high = { 0x4000, 0x1000, 0x600000000000, 0x8000 };
	_cleanup_fd_ int fd = file_of(SIZE);
	struct vhost_memory m = { .count = 0 };
	uint8_t byte;
	uint64_t guest;

	(void)state;
	assert_int_equal(vhost_memory_add(&m, &low, fd), 0);
	assert_int_equal(vhost_memory_add(&m, &high, fd), 0);
	for (uint64_t at = 0xff0; at < 0x5010; at++) {
		uint32_t size = 0x2000;
		uint8_t *here = vhost_memory_at(&m, at, &size);
		uint64_t end = at < 0x4000 ? 0x4000 : 0x5000;

		if (at < 0x1000 || at >= 0x5000) {
			assert_null(here);
			continue;
		}
		assert_int_equal(size, MIN(end - at, (uint64_t)0x2000));
		assert_true(vhost_memory_guest_of(&m, here, &guest));
		assert_int_equal(guest, at);
		/* The very byte of the file */
		*here = (uint8_t)(at * 7);
		assert_int_equal(pread(fd, &byte, 1, (off_t)(at < 0x4000 ? at - 0x1000 + 0x800 : at - 0x4000 + 0x8000)), 1);
		assert_int_equal(byte, (uint8_t)(at * 7));
	}
	assert_false(vhost_memory_guest_of(&m, &byte, &guest));
	assert_non_null(vhost_memory_at_user(&m, 0x700000001000, 0x3000));
	assert_null(vhost_memory_at_user(&m, 0x700000001000, 0x3001));
	assert_null(vhost_memory_at_user(&m, 0x700000000fff, 1));
	assert_null(vhost_memory_at_user(&m, 0x700000003fff, 2));
	assert_null(vhost_memory_at_user(&m, 0x600000000ff0, UINT64_MAX));
	assert_non_null(vhost_memory_at_user(&m, 0x600000000fff, 1));
	vhost_memory_clear(&m);
	assert_null(vhost_memory_at(&m, 0x1000, &(uint32_t){ 1 }));
}

static void wrong_regions(void **state)
{
	static const struct vhost_region_message wrong[] = {
		{ 0, 0, 0, 0 },                                    /* empty */
		{ 0, SIZE + 1, 0, 0 }, { 0, SIZE, 0, 1 }, { 0, 1, 0, SIZE },  /* behind the file's end */
		{ 0, SIZE, 0, UINT64_MAX }, { 0, UINT64_MAX, 0, 1 },
		{ UINT64_MAX - 10, 0x1000, 0, 0 }, { 0, 0x1000, UINT64_MAX - 10, 0 },
		{ 0x7fff, 2, 0, 0 }, { 0x8000, 1, 0, 0 }, { 0x8fff, 0x1000, 0, 0 }, { 0x7000, 0x3000, 0, 0 }, /* over another */
	};
	const struct vhost_region_message there = { 0x8000, 0x1000, 0x10000, 0 };
	_cleanup_fd_ int fd = file_of(SIZE), folder = open("/", O_RDONLY | O_CLOEXEC), read_only = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct vhost_memory m = { .count = 0 };

	(void)state;
	assert_int_equal(vhost_memory_add(&m, &there, fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(vhost_memory_add(&m, &wrong[i], fd), -EINVAL);
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0, 0x1000, 0, 0 }, folder), -EINVAL);
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0, 0x1000, 0, 0 }, read_only), -EACCES);
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0, 0x1000, 0, 0 }, -1), -EBADF);
	assert_int_equal(m.count, 1);
	/* Beside it is fine, and the front end's addresses may be the same: two views of one memory. */
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0x7000, 0x1000, 0x10000, 0 }, fd), 0);
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0x9000, 0x1000, 0x10000, 0 }, fd), 0);
	vhost_memory_clear(&m);
}

static void no_more_than_the_address_space_bears(void **state)
{
	_cleanup_fd_ int fd = file_of(VHOST_MEMORY_MAX * 2);
	const uint64_t half = VHOST_MEMORY_MAX / 2;
	struct vhost_memory m = { .count = 0 };

	(void)state;
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0, VHOST_MEMORY_MAX + 1, 0, 0 }, fd), -EINVAL);
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0, half, 0, 0 }, fd), 0);
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ half, half + 1, half, 0 }, fd), -EINVAL);
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ half, half, half, 0 }, fd), 0);
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 2 * half, 1, 0, 0 }, fd), -EINVAL);
	vhost_memory_clear(&m);
}

static struct vhost_region_message slot(uint64_t i)
{
	return (struct vhost_region_message){ i * 0x2000, 0x1000, 0x10000 + i * 0x1000, i % 16 * 0x1000 };
}

static void slots_come_and_go(void **state)
{
	_cleanup_fd_ int fd = file_of(SIZE);
	struct vhost_memory m = { .count = 0 };
	struct vhost_region_message r;
	uint32_t size = 1;

	(void)state;
	for (uint64_t i = 0; i < VHOST_MEMORY_SLOTS; i++)
		assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ slot(i).guest_address, 0x1000, slot(i).user_address,
			slot(i).mmap_offset }, fd), 0);
	r = slot(VHOST_MEMORY_SLOTS);
	assert_int_equal(vhost_memory_add(&m, &r, fd), -ENOSPC);
	r = slot(5);
	assert_true(vhost_memory_has(&m, &r));
	r.user_address++;
	assert_false(vhost_memory_has(&m, &r));
	assert_int_equal(vhost_memory_remove(&m, &r), -EINVAL);
	r = slot(5);
	r.size--;
	assert_int_equal(vhost_memory_remove(&m, &r), -EINVAL);
	assert_non_null(vhost_memory_at(&m, (VHOST_MEMORY_SLOTS - 1) * 0x2000, &size));
	r = slot(5);
	r.mmap_offset = 77; /* is none of it */
	assert_int_equal(vhost_memory_remove(&m, &r), 0);
	assert_int_equal(vhost_memory_remove(&m, &r), -ENOENT);
	for (uint64_t i = 0; i < VHOST_MEMORY_SLOTS; i++)
		assert_true(!vhost_memory_at(&m, i * 0x2000, &size) == (i == 5));
	r = slot(5);
	assert_int_equal(vhost_memory_add(&m, &r, fd), 0);
	assert_non_null(vhost_memory_at(&m, 5 * 0x2000, &size));
	vhost_memory_clear(&m);
}

/* Its mappings are whole huge pages, or munmap() refuses; and where the host has none left, a touch is like that of a page taken away. */
static void huge_pages(void **state)
{
	const uint64_t huge = 2 << 20;
	_cleanup_fd_ int fd = memfd_create("guest", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	struct vhost_memory m = { .count = 0 };
	struct vhost_mapping mapping;
	uint32_t size = 1;
	uint8_t *at;

	(void)state;
	if (fd < 0 || ftruncate(fd, 3 * (off_t)huge) < 0)
		skip();
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0x3000, 0x4000, 0x3000, huge - 0x2000 }, fd), 0);
	mapping = m.regions[0].mapping;
	assert_int_equal((uintptr_t)mapping.start % huge, 0);
	assert_int_equal(mapping.size, 2 * huge);
	at = vhost_memory_at(&m, 0x3000, &size);
	assert_int_equal(at - (uint8_t *)mapping.start, huge - 0x2000);
	*at = 5;
	assert_int_equal(*(volatile uint8_t *)at, 5);
	vhost_memory_clear(&m);
	assert_int_equal(mincore(mapping.start, 4096, (unsigned char[1]){ 0 }), -1);
	assert_int_equal(errno, ENOMEM);
}

static void memory_is_taken_away(void **state)
{
	_cleanup_fd_ int fd = file_of(SIZE), other = file_of(SIZE);
	struct vhost_memory m = { .count = 0 }, n = { .count = 0 };
	uint32_t size = 1;
	volatile uint8_t *at, *beside;

	(void)state;
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0, SIZE, 0, 0 }, fd), 0);
	assert_int_equal(vhost_memory_add(&n, &(struct vhost_region_message){ 0, SIZE, 0, 0 }, other), 0);
	at = vhost_memory_at(&m, 0x5000, &size);
	beside = vhost_memory_at(&n, 0x5000, &size);
	*at = *beside = 7;
	assert_int_equal(ftruncate(fd, 0x2000), 0);
	assert_false(vhost_memory_is_broken(&m));
	assert_int_equal(*at, 0);
	assert_true(vhost_memory_is_broken(&m));
	assert_false(vhost_memory_is_broken(&n));
	*at = 9;
	assert_int_equal(*at, 9);
	assert_int_equal(*beside, 7);
	vhost_memory_clear(&m);
	assert_false(vhost_memory_is_broken(&n));
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0, 0x2000, 0, 0 }, fd), 0);
	assert_false(vhost_memory_is_broken(&m));
	vhost_memory_clear(&m);
	vhost_memory_clear(&n);
}

/* What ends a process that does such a thing. */
static int end_of(void (*touch)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		int null = open("/dev/null", O_WRONLY);

		signal(SIGBUS, SIG_DFL);
		dup2(null, STDERR_FILENO);
		touch();
		_exit(77);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void touch_unguarded(void)
{
	int fd = memfd_create("none", 0);
	volatile uint8_t *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	struct vhost_mapping m;
	int guarded = memfd_create("guest", 0);

	if (ftruncate(guarded, 4096) < 0 || vhost_map(&m, guarded, 4096, 0) < 0)
		_exit(1);
	(void)*at;
}

static void be_sent_one(void)
{
	struct vhost_mapping m;
	int guarded = memfd_create("guest", 0);

	if (ftruncate(guarded, 4096) < 0 || vhost_map(&m, guarded, 4096, 0) < 0)
		_exit(1);
	raise(SIGBUS);
}

static void touch_guarded(void)
{
	int fd = memfd_create("guest", 0);
	struct vhost_mapping m;

	if (ftruncate(fd, 4096) < 0 || vhost_map(&m, fd, 4096, 0) < 0 || ftruncate(fd, 0) < 0)
		_exit(1);
	_exit(*(volatile uint8_t *)m.data ? 2 : guard_is_broken(m.start) ? 66 : 3);
}

static void other_faults_end_the_process(void **state)
{
	struct vhost_mapping m;
	_cleanup_fd_ int fd = file_of(4096);

	(void)state;
	/* In this process the handler stands already; the children begin with the system's, and install it again over that. */
	assert_int_equal(vhost_map(&m, fd, 4096, 0), 0);
	vhost_unmap(&m);
	assert_int_equal(end_of(touch_unguarded), SIGBUS);
	assert_int_equal(end_of(be_sent_one), SIGBUS);
	assert_int_equal(end_of(touch_guarded), -66);
}

static void guards_are_counted(void **state)
{
	static char pages[GUARDED_MAX + 1];

	(void)state;
	for (size_t i = 0; i < GUARDED_MAX; i++)
		assert_int_equal(guard_add(pages + i, 1), 0);
	assert_int_equal(guard_add(pages + GUARDED_MAX, 1), -ENOSPC);
	guard_remove(pages + 100);
	guard_remove(pages + 100);
	assert_int_equal(guard_add(pages + GUARDED_MAX, 1), 0);
	assert_false(guard_is_broken(pages + 5));
	for (size_t i = 0; i <= GUARDED_MAX; i++)
		guard_remove(pages + i);
	assert_int_equal(guard_add(pages, 1), 0);
	guard_remove(pages);
}

/* --- dirty log --- */

static void pages_are_marked(void **state)
{
	_cleanup_fd_ int fd = file_of(SIZE);
	struct vhost_log log = { 0 };
	uint8_t bits[64], expected[64];

	(void)state;
	assert_int_equal(vhost_log_set(&log, fd, sizeof(bits), 0x1003), 0);
	for (uint64_t first = 0; first < 40; first++)
		for (uint64_t pages = 1; pages < 20; pages++) {
			memset(log.bits, 0, sizeof(bits));
			memset(expected, 0, sizeof(expected));
			for (uint64_t p = first; p < first + pages; p++)
				expected[p / 8] |= (uint8_t)(1 << p % 8);
			/* From the last byte of the first page to the first of the last, or one byte */
			vhost_log_mark(&log, first * VHOST_LOG_PAGE + (pages > 1 ? VHOST_LOG_PAGE - 1 : 5),
				       pages > 1 ? (pages - 2) * VHOST_LOG_PAGE + 2 : 1);
			assert_int_equal(pread(fd, bits, sizeof(bits), 0x1003), sizeof(bits));
			assert_memory_equal(bits, expected, sizeof(bits));
		}
	vhost_log_clear(&log);
	assert_null(log.bits);
	vhost_log_mark(&log, 0, 1);
}

static void what_lies_beyond_the_log_is_left_out(void **state)
{
	_cleanup_fd_ int fd = file_of(4096);
	struct vhost_log log = { 0 };
	uint8_t byte;

	(void)state;
	assert_int_equal(vhost_log_set(&log, fd, 2, 0), 0);
	vhost_log_mark(&log, 15 * VHOST_LOG_PAGE, 5 * VHOST_LOG_PAGE);
	vhost_log_mark(&log, UINT64_MAX - 5, 10);
	vhost_log_mark(&log, UINT64_MAX - 5, 3);
	vhost_log_mark(&log, 0, 0);
	assert_int_equal(log.bits[0], 0);
	assert_int_equal(log.bits[1], 0x80);
	assert_int_equal(pread(fd, &byte, 1, 2), 1);
	assert_int_equal(byte, 0);
	/* The old one goes on where the new one cannot be had. */
	assert_int_equal(vhost_log_set(&log, fd, 4097, 0), -EINVAL);
	assert_int_equal(vhost_log_set(&log, fd, 0, 0), -EINVAL);
	vhost_log_mark(&log, 0, 1);
	assert_int_equal(log.bits[0], 1);
	vhost_log_clear(&log);
}

static void bytes_of_ours_are_marked(void **state)
{
	_cleanup_fd_ int fd = file_of(SIZE), bits = file_of(4096);
	struct vhost_memory m = { .count = 0 };
	struct vhost_log log = { 0 };
	uint32_t size = 1;

	(void)state;
	assert_int_equal(vhost_memory_add(&m, &(struct vhost_region_message){ 0x8000, SIZE, 0, 0 }, fd), 0);
	assert_int_equal(vhost_log_set(&log, bits, 16, 0), 0);
	vhost_log_mark_host(&log, &m, vhost_memory_at(&m, 0x9fff, &size), 2);
	vhost_log_mark_host(&log, &m, &size, 4);
	assert_int_equal(log.bits[0], 0);
	assert_int_equal(log.bits[1], 0x06);
	assert_int_equal(ftruncate(bits, 0), 0);
	vhost_log_mark(&log, 0, 1); /* goes nowhere, and nowhere wrong */
	vhost_log_clear(&log);
	vhost_memory_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_looked_up),
		cmocka_unit_test(wrong_regions),
		cmocka_unit_test(no_more_than_the_address_space_bears),
		cmocka_unit_test(slots_come_and_go),
		cmocka_unit_test(huge_pages),
		cmocka_unit_test(memory_is_taken_away),
		cmocka_unit_test(other_faults_end_the_process),
		cmocka_unit_test(guards_are_counted),
		cmocka_unit_test(pages_are_marked),
		cmocka_unit_test(what_lies_beyond_the_log_is_left_out),
		cmocka_unit_test(bytes_of_ours_are_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
