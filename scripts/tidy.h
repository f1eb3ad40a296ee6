/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included first in every file that clang-tidy reads, except base/error.c: its analyzer sees one
 * file at a time, and would follow paths on which "return error_set(...)" returns 0.
 */
#include "base/error.h"

#define error_set(...) ((void)error_set(__VA_ARGS__), -1)
#define error_set_field(...) ((void)error_set_field(__VA_ARGS__), -1)
#define error_set_errno(...) ((void)error_set_errno(__VA_ARGS__), -1)
#define error_no_memory(...) ((void)error_no_memory(__VA_ARGS__), -1)
#define error_wrap(...) ((void)error_wrap(__VA_ARGS__), -1)
