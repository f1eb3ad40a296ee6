/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/timestamp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define US_PER_S UINT64_C(1000000)

/* ---- width ---- */

size_t terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;

	if (!isatty(STDOUT_FILENO))
		return SIZE_MAX;
	if (columns != NULL && slice_to_u64(slice_of(columns), &n) && n > 0)
		return n;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

/* ---- colour ---- */

static bool has_colour(FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(out)) && (no == NULL || *no == '\0') &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}

void colour_print(FILE *out, enum colour colour, const char *fmt, ...)
{
	static const char *const sequences[] = {
		[COLOUR_GOOD] = "\033[32m",
		[COLOUR_BAD] = "\033[31m",
		[COLOUR_WAITING] = "\033[33m",
		[COLOUR_FAINT] = "\033[2m",
		[COLOUR_BOLD] = "\033[1m",
	};
	bool is_shown = colour != COLOUR_NONE && has_colour(out);
	va_list ap;

	if (is_shown)
		fputs(sequences[colour], out);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	if (is_shown)
		fputs("\033[0m", out);
}

enum colour colour_of_phase(const char *phase)
{
	static const struct {
		const char *phase;
		enum colour colour;
	} phases[] = {
		{"applied", COLOUR_GOOD},
		{"failed", COLOUR_BAD},
		{"pending", COLOUR_WAITING},
		{"deleting", COLOUR_WAITING},
		{"unknown", COLOUR_FAINT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
		if (strcmp(phase, phases[i].phase) == 0)
			return phases[i].colour;
	return COLOUR_NONE;
}

static enum colour colour_of_line(struct slice line)
{
	if (slice_starts(line, SLICE("--- ")) || slice_starts(line, SLICE("+++ ")))
		return COLOUR_BOLD;
	if (slice_starts(line, SLICE("@@")))
		return COLOUR_FAINT;
	if (slice_starts(line, SLICE("+")))
		return COLOUR_GOOD;
	return slice_starts(line, SLICE("-")) ? COLOUR_BAD : COLOUR_NONE;
}

void terminal_diff(FILE *out, const char *text)
{
	struct slice rest = slice_of(text);

	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');

		colour_print(out, colour_of_line(line), "%.*s", SLICE_ARG(line));
		fputc('\n', out);
	}
}

/* ---- ages ---- */

const char *terminal_age(const char *rfc3339, char ret[AGE_SIZE])
{
	static const struct {
		uint64_t s;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {0, 's'}};
	uint64_t then_us, now_us = clock_realtime_us(), s;
	size_t i = 0;

	if (rfc3339 == NULL || !timestamp_parse(slice_of(rfc3339), &then_us)) {
		snprintf(ret, AGE_SIZE, "-");
		return ret;
	}
	s = now_us > then_us ? (now_us - then_us) / US_PER_S : 0; /* clocks differ a little */
	while (s < units[i].s)
		i++;
	snprintf(
		ret, AGE_SIZE, "%" PRIu64 "%c", units[i].s > 0 ? s / units[i].s : s, units[i].unit);
	return ret;
}
