/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/interrupt.h"

static volatile sig_atomic_t came;

static void take(int number UNUSED)
{
	came = 1;
}

void interrupt_begin(struct interrupt *i)
{
	struct sigaction action = {.sa_handler = take, .sa_flags = (int)SA_RESETHAND};

	came = 0;
	AZ(sigaction(SIGINT, NULL, &i->before));
	if (i->before.sa_handler != SIG_IGN)
		AZ(sigaction(SIGINT, &action, NULL));
}

void interrupt_end(struct interrupt *i)
{
	AZ(sigaction(SIGINT, &i->before, NULL));
}

bool interrupt_came(void)
{
	return came != 0;
}
