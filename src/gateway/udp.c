// SPDX-License-Identifier: MIT
#include "gateway/udp.h"
