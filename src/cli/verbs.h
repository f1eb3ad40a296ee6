/* SPDX-License-Identifier: Apache-2.0 */
/* Private to cli: the table of all verbs, for what runs, explains and completes them. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "base/buf.h"
#include "cli/cli.h"

#include <stdio.h>

extern const struct verb verb_gsq; /* the group of all; its name is empty */

/* "gsq", or "kubectl intent": as the user calls us. */
const char *cli_program(void);

/* The heading above it in the main help, if it is the first below one; NULL: none. */
const char *verb_heading(const struct verb *verb);
/* What is typed after the name of its group. */
const char *verb_word(const struct verb *verb);
const struct cli_option *verb_options(const struct verb *verb); /* not NULL; NULL flag ends */
const struct verb *verb_find(const struct verb *group, const char *word);

/* Its first sentence. One without a summary is for programs, and in no help. */
struct slice verb_in_short(const struct verb *verb);

/* Moves the verb before the options of a client verb that stand before it, as in "gsq -n shop get".
 */
void cli_verb_first(int argc, char **argv);
int cli_options_before(int argc, char **argv); /* how many words those are */

/* ---- options.c ---- */

int cli_parse(struct cli_values *ret, const struct verb *verb, int argc, char **argv,
	struct error *err) MUST_CHECK;
void cli_values_done(struct cli_values *v);

/* The beginning of the rows of every client verb; NULL flag ends. */
extern const struct cli_option cli_client_options[];
bool verb_is_client(const struct verb *verb); /* its table begins with them */

/* ---- completion.c ---- */

/* As kubectl asks kubectl_complete-NAME of the PATH what completes the words after its plugin. */
int completion_for_kubectl(int argc, char **argv);

/* ---- help.c ---- */

void help_verb(const struct verb *verb, FILE *out); /* of a group too */
void help_of_option(const struct cli_option *o, struct buf *ret);

#endif
