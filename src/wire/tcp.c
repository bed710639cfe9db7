// SPDX-License-Identifier: MIT
#include "wire/tcp.h"
