// SPDX-License-Identifier: MIT
#include "gateway/resolver.h"
