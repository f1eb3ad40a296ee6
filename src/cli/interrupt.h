/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C while a verb waits: it ends by itself, and says what goes on all the same. One at a time,
 * on the main thread.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include "base/base.h"

#include <signal.h>

struct interrupt {
	struct sigaction before;
};

/* From here on Ctrl-C only sets a flag, unless it is ignored as with nohup; sleeps end early. A
 * second one ends the process as always. */
void interrupt_begin(struct interrupt *i);
void interrupt_end(struct interrupt *i);
bool interrupt_came(void);

#endif
