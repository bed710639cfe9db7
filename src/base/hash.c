// SPDX-License-Identifier: MIT
#include "base/hash.h"
