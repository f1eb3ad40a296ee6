/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on standard error, as logfmt or JSON. Any thread. Values over LIMIT_LOG_VALUE
 * are cut; fields that do not fit into LIMIT_LOG_LINE are left out. Whatever a value holds, it ends
 * neither its field nor its line: it is quoted, and what is no UTF-8 becomes "?".
 *
 * Functions that return an error do not log it; whoever handles the error does, once.
 *
 *   log_info("listening", LOG_STR("address", address), LOG_NUM("loops", 2));
 *   ts=2026-11-24T17:24:42.123456Z level=info msg=listening address=:8080 loops=2
 *   {"ts":"2026-11-24T17:24:42.123456Z","level":"info","msg":"listening","address":":8080","loops":2}
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

enum log_format { LOG_LOGFMT, LOG_JSON };

/* Before there are threads. */
void log_set_format(enum log_format format);

enum log_kind { LOG_IS_STRING, LOG_IS_NUMBER, LOG_IS_MS };

struct log_field {
	const char *key; /* NULL ends the list */
	enum log_kind kind;
	struct slice string;
	int64_t number; /* of LOG_IS_MS: microseconds, not negative */
};

#define LOG_SLICE(key_, slice_) \
	{ \
		.key = (key_), .string = (slice_) \
	}
#define LOG_STR(key_, cstr_) LOG_SLICE(key_, slice_of(cstr_))
#define LOG_NUM(key_, number_) \
	{ \
		.key = (key_), .kind = LOG_IS_NUMBER, .number = (int64_t)(number_) \
	}
/* Microseconds, written as milliseconds with three decimals. */
#define LOG_MS(key_, us_) \
	{ \
		.key = (key_), .kind = LOG_IS_MS, .number = (int64_t)(us_) \
	}

#define log_info(...) LOG_("info", __VA_ARGS__, {.key = NULL})
#define log_warn(...) LOG_("warn", __VA_ARGS__, {.key = NULL})
#define log_error(...) LOG_("error", __VA_ARGS__, {.key = NULL})
#define LOG_(level_, msg_, ...) log_write(level_, msg_, (const struct log_field[]){__VA_ARGS__})

void log_write(const char *level, const char *msg, const struct log_field *fields);

/* For lines that are many, from a thread that calls log_flush() before it waits for anything: they
 * are written together. In order with what else the thread logs. */
void log_write_later(const char *level, const char *msg, const struct log_field *fields);
void log_flush(void);

#endif
