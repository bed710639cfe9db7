// SPDX-License-Identifier: MIT
#include "io/loop.h"
