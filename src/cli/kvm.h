// SPDX-License-Identifier: MIT
/*
 * Does KVM work? That /dev/kvm opens is no proof: inside a virtual machine it may carry guests so slowly that no kernel ever comes up,
 * or kill them. So a small machine is run that does what every 64-bit kernel does first (kvm_probe.S), with the processor that guests
 * get, for as long as a person would wait.
 */
#pragma once
#include "cli/qemu.h"

/**
 * kvm_choose() - how guests run on this machine
 * @qemu: the program that runs them
 * @out:  ACCEL_KVM if a guest under KVM really ran, now or since this machine was booted (the answer is kept in the cache folder); else
 *        ACCEL_TCG.
 *        HOSPES_ACCEL=kvm|tcg in the environment decides without a look.
 * Return: 0, or -EINVAL after a message: HOSPES_ACCEL is neither.
 */
int kvm_choose(const struct qemu_program *qemu, enum accel *out);
