/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language we write in: compiler attributes, cleanup and assertions, wrapped once.
 *
 * Conventions of the whole tree:
 *   - int functions return 0, or -1 with *err filled in and every output untouched.
 *   - "T **ret" hands the caller ownership; a returned pointer is borrowed.
 *   - Destructors (_free, _done, _unref) take NULL and half-built objects.
 *   - A function may be called from any thread on objects of its own unless its header says more.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

/* CLEANUP(buf_done) struct buf b: buf_done(&b) runs when b leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Defines NAMEp(T **), the form that CLEANUP wants, out of the destructor NAME(T *). */
#define DEFINE_CLEANUP(T, name) \
	static inline void name##p(T **pp) \
	{ \
		name(*pp); \
	} \
	struct allow_semicolon

/* The value of a pointer, which is NULL afterwards: ownership moves out. */
#define TAKE_PTR(p) \
	({ \
		__typeof__(p) take_ptr_ = (p); \
		(p) = NULL; \
		take_ptr_; \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Assertions for what cannot happen; they stay on in release builds. AZ: is zero, AN: is not.
 * Never with a side effect that the program needs, except pthread calls under AZ.
 */
#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))
#define AZ(expr) ASSERT((expr) == 0)
#define AN(expr) ASSERT((expr) != 0)

void assert_failed(const char *what, const char *file, int line) NORETURN;

static inline void freep(void *pp)
{
	free(*(void **)pp);
}
#define AUTO_FREE CLEANUP(freep)

#endif
