// SPDX-License-Identifier: MIT
#include "port/fault.h"
