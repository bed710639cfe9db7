// SPDX-License-Identifier: MIT
#include "base/cursor.h"
