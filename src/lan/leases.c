// SPDX-License-Identifier: MIT
#include "lan/leases.h"
