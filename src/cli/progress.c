/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include "base/clock.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_MAX 40
#define EVERY_MS 100

static size_t columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static bool is_wanted(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
}

/* The bar takes what the numbers leave, and goes first where that is little. */
static void draw(const struct progress *p)
{
	size_t room = columns(), bar, full;
	char numbers[96];
	int n = snprintf(numbers, sizeof(numbers), "%zu/%zu %s", p->done, p->all, p->what);

	if (n < 0 || (size_t)n >= sizeof(numbers))
		n = sizeof(numbers) - 1;
	bar = room > (size_t)n + 8 ? room - (size_t)n - 4 : 0;
	bar = bar > BAR_MAX ? BAR_MAX : bar;
	full = p->all > 0 && p->done < p->all ? bar * p->done / p->all : bar;
	fputc('\r', stderr);
	if (bar > 0) {
		fputc('[', stderr);
		for (size_t i = 0; i < bar; i++)
			fputc(i < full ? '#' : ' ', stderr);
		fputs("] ", stderr);
	}
	fprintf(stderr, "%.*s\033[K", (int)(room > 1 ? room - 1 : 0), numbers);
	fflush(stderr);
}

void progress_show(struct progress *p)
{
	uint64_t now_ms = clock_monotonic_ms();

	if (p->shown && now_ms - p->last_ms < EVERY_MS)
		return;
	if (!is_wanted())
		return;
	p->shown = true;
	p->last_ms = now_ms;
	draw(p);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	fflush(stderr);
	p->shown = false;
}
