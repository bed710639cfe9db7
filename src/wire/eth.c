// SPDX-License-Identifier: MIT
#include "wire/eth.h"
