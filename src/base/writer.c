// SPDX-License-Identifier: MIT
#include "base/writer.h"
