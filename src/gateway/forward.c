// SPDX-License-Identifier: MIT
#include "gateway/forward.h"
