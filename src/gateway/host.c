// SPDX-License-Identifier: MIT
#include "gateway/host.h"
