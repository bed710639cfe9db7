// SPDX-License-Identifier: MIT
#include "switch/segment.h"
