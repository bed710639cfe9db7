// SPDX-License-Identifier: MIT
#include "lan/plan.h"
