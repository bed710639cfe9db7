// SPDX-License-Identifier: MIT
#include "port/stream.h"
