// SPDX-License-Identifier: MIT
#include "service/dhcp4.h"
