// SPDX-License-Identifier: MIT
#include "base/drop.h"
