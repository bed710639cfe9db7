// SPDX-License-Identifier: MIT
#include "wire/udp.h"
