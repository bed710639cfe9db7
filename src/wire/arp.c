// SPDX-License-Identifier: MIT
#include "wire/arp.h"
