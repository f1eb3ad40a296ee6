/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Copies its input to memory of exactly that size where the parser could read past the end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
