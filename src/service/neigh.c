// SPDX-License-Identifier: MIT
#include "service/neigh.h"
