// SPDX-License-Identifier: MIT
#include "gateway/tcp.h"
