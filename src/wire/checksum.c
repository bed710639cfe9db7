// SPDX-License-Identifier: MIT
#include "wire/checksum.h"
