// SPDX-License-Identifier: MIT
#include "service/dns.h"
