// SPDX-License-Identifier: MIT
/*
 * The control queue (virtio 1.2 section 5.1.6.5), for front ends that leave it to us: User-mode Linux does, QEMU has one of its own. A
 * driver takes no feature of several queue pairs without one. Of its commands only the number of pairs is served; the rest is refused.
 */
#pragma once
#include "port/vhost/virtqueue.h"

/**
 * control_run() - answer the commands that wait
 * @pairs: the number of queue pairs that there are
 * Return: false if the ring makes no sense. What was answered is not published yet.
 */
bool control_run(struct virtqueue *ring, uint16_t pairs);
