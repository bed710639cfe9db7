// SPDX-License-Identifier: MIT
#include "gateway/echo.h"
