/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on standard error, as logfmt. Any thread. Values over LIMIT_LOG_VALUE are cut;
 * fields that do not fit into LIMIT_LOG_LINE are left out.
 *
 * Functions that return an error do not log it; whoever handles the error does, once.
 *
 *   log_info("listening", LOG_STR("address", address), LOG_NUM("loops", 2));
 *   ts=2026-11-24T17:24:42.123456Z level=info msg=listening address=:8080 loops=2
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

struct log_field {
	const char *key; /* NULL ends the list */
	bool is_number;
	struct slice string;
	int64_t number;
};

#define LOG_SLICE(key_, slice_) \
	{ \
		.key = (key_), .string = (slice_) \
	}
#define LOG_STR(key_, cstr_) LOG_SLICE(key_, slice_of(cstr_))
#define LOG_NUM(key_, number_) \
	{ \
		.key = (key_), .is_number = true, .number = (int64_t)(number_) \
	}

#define log_info(...) LOG_("info", __VA_ARGS__, {.key = NULL})
#define log_warn(...) LOG_("warn", __VA_ARGS__, {.key = NULL})
#define log_error(...) LOG_("error", __VA_ARGS__, {.key = NULL})
#define LOG_(level_, msg_, ...) log_write(level_, msg_, (const struct log_field[]){__VA_ARGS__})

void log_write(const char *level, const char *msg, const struct log_field *fields);

#endif
