// SPDX-License-Identifier: MIT
#include "wire/icmp.h"
