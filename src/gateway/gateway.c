// SPDX-License-Identifier: MIT
#include "gateway/gateway.h"
