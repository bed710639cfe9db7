// SPDX-License-Identifier: MIT
#include "base/usec.h"
