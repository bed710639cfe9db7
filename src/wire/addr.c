// SPDX-License-Identifier: MIT
#include "wire/addr.h"
