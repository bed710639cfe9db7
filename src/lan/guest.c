// SPDX-License-Identifier: MIT
#include "lan/guest.h"
