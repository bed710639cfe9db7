// SPDX-License-Identifier: MIT
#include "wire/ip.h"
