// SPDX-License-Identifier: MIT
#include "switch/switch.h"
