/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes, in the order that cmocka wants. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/error.h"
#include "base/str.h"

/* The bytes of a slice are exactly this literal. */
#define assert_slice(slice_, literal) \
	do { \
		struct slice got_ = (slice_); \
		assert_int_equal(got_.n, sizeof(literal) - 1); \
		assert_memory_equal(got_.p, literal, sizeof(literal) - 1); \
	} while (0)

#endif
