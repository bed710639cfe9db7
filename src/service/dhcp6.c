// SPDX-License-Identifier: MIT
#include "service/dhcp6.h"
