// SPDX-License-Identifier: MIT
/*
 * Messages to a person.
 *
 * A message says what failed, on what, why, and what to do. It goes to standard error, one line each, "hospes: " (the program's
 * name) before it. Debug messages are written only where the environment has HOSPES_DEBUG=1.
 */
#pragma once
#include "base/attr.h"

/** log_error() - something failed */
void log_error(const char *format, ...) _printf_(1, 2);
/** log_warning() - something is not as it should be, and work goes on */
void log_warning(const char *format, ...) _printf_(1, 2);
/** log_info() - progress that a person wants to see */
void log_info(const char *format, ...) _printf_(1, 2);
/** log_debug() - for developers */
void log_debug(const char *format, ...) _printf_(1, 2);
