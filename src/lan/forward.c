// SPDX-License-Identifier: MIT
#include "lan/forward.h"
