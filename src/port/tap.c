// SPDX-License-Identifier: MIT
#include "port/tap.h"
