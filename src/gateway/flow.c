// SPDX-License-Identifier: MIT
#include "gateway/flow.h"
