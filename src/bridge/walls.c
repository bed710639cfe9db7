// SPDX-License-Identifier: MIT
#include "bridge/walls.h"

#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/wireless.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "base/attr.h"
#include "bridge/ruleset.h"
#include "io/sandbox.h"

/* Beside what io/sandbox.c allows a LAN's daemon. What nft needs stands here too, since it inherits the filter. */
static const struct sandbox_calls calls[] = {
	{ "start nft, and wait for it", { SCMP_SYS(execve), SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(vfork), SCMP_SYS(wait4), SCMP_SYS(waitid),
			SCMP_SYS(dup2) } },
	{ "end nft if it hangs; nobody else's processes can be reached without CAP_KILL but root's own", { SCMP_SYS(kill), SCMP_SYS(tgkill) } },
	{ "what nft waits with", { SCMP_SYS(pselect6), SCMP_SYS(select) } },
	{ "how a program begins", { SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address), SCMP_SYS(pread64), SCMP_SYS(sysinfo), SCMP_SYS(getppid),
			SCMP_SYS(getrusage),
		SCMP_SYS(sched_getaffinity), SCMP_SYS(times) } },
	{ "names of users and groups (NSS)", { SCMP_SYS(getgroups), SCMP_SYS(fadvise64) } },
};

static const struct sandbox_argument arguments[] = {
	{ SCMP_SYS(ioctl), 1, TUNSETIFF },      /* make a tap */
	{ SCMP_SYS(ioctl), 1, TUNSETOWNER },
	{ SCMP_SYS(ioctl), 1, TUNSETPERSIST },  /* those of the configuration */
	{ SCMP_SYS(ioctl), 1, SIOCGIWNAME },    /* is the uplink wireless? */
	{ SCMP_SYS(ioctl), 1, SIOCETHTOOL },    /* the uplink's permanent MAC */
	{ SCMP_SYS(prctl), 0, PR_SET_PDEATHSIG }, /* nft ends with us */
	/* Folders and sockets for all users. No other mode: Landlock does not look at it, and root's programs could be made setuid. */
	{ SCMP_SYS(chmod), 1, 0755 }, { SCMP_SYS(chmod), 1, 0666 }, { SCMP_SYS(fchmodat), 2, 0755 }, { SCMP_SYS(fchmodat), 2, 0666 },
};

int walls_enter(const char *config, const char *runtime, const char *state)
{
	const struct sandbox_folder folders[] = {
		{ config, SANDBOX_READ },
		{ runtime, SANDBOX_WRITE | SANDBOX_BIND | SANDBOX_UNBIND },
		{ state, SANDBOX_WRITE },
		{ "/etc", SANDBOX_READ }, { "/run", SANDBOX_READ }, { "/usr", SANDBOX_READ }, { "/lib", SANDBOX_READ }, { "/lib64", SANDBOX_READ },
		{ "/proc", SANDBOX_READ }, { "/sys", SANDBOX_READ }, { "/dev/null", SANDBOX_DEVICE },
		{ "/proc/sys/net", SANDBOX_DEVICE },
		{ "/dev/net/tun", SANDBOX_DEVICE },
		{ RULESET_NFT, SANDBOX_EXECUTE },
		/* The kernel opens it to start a program. */
		{ "/lib64/ld-linux-x86-64.so.2", SANDBOX_EXECUTE }, { "/lib/ld-linux-aarch64.so.1", SANDBOX_EXECUTE },
				{ "/lib/ld-linux-riscv64-lp64d.so.1", SANDBOX_EXECUTE },
		{ "/lib/ld-linux-armhf.so.3", SANDBOX_EXECUTE }, { "/lib/ld-linux.so.2", SANDBOX_EXECUTE }, { "/lib64/ld64.so.2", SANDBOX_EXECUTE },
	};
	const struct sandbox_more more = {
		.capabilities = UINT64_C(1) << CAP_NET_ADMIN, .programs = true, .calls = calls, .call_count = ARRAY_SIZE(calls),
		.arguments = arguments, .argument_count = ARRAY_SIZE(arguments),
	};

	return sandbox_enter_with(folders, ARRAY_SIZE(folders), &more);
}
