// SPDX-License-Identifier: MIT
#include "lan/config.h"
