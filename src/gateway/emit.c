// SPDX-License-Identifier: MIT
#include "gateway/emit.h"
