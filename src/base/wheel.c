// SPDX-License-Identifier: MIT
#include "base/wheel.h"
