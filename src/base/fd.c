// SPDX-License-Identifier: MIT
#include "base/fd.h"
