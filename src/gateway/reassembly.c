// SPDX-License-Identifier: MIT
#include "gateway/reassembly.h"
