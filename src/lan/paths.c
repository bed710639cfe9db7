// SPDX-License-Identifier: MIT
#include "lan/paths.h"
