// SPDX-License-Identifier: MIT
#include "port/dgram.h"
