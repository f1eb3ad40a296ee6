/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What shells complete. Their scripts ask "gsq completion words -- WORD..." at each Tab, of the
 * words up to the cursor: so they know what this very program takes. The answer has a candidate in
 * each line, with what it means after a tab, and ":files" where file names are meant. It is silent
 * where it knows nothing.
 */
#include "cli/client.h"
#include "cli/config.h"
#include "cli/verbs.h"
#include "cli/view.h"

#include <stdio.h>

#define NAMES_MAX 2000 /* of resources; more are no help */
#define HISTORY_MAX 50 /* versions, or revisions */
#define ASKED_MS 1000

/* ---- the scripts ---- */

static const char bash_script[] =
	"# bash completion of gsq: source <(gsq completion bash)\n"
	"_gsq() {\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} words=() current before word\n"
	"\t"
	"read -ra words <<<\"$line\"\n"
	"\t[[ $line == *[[:space:]] ]] && words+=(\"\")\n"
	"\tcurrent=${words[-1]}\n"
	"\t# bash takes = and : for the end of a word\n"
	"\tbefore=${current%\"${current##*[=:]}\"}\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS=$'\\t' read -r word _; do\n"
	"\t\tif [[ $word == :files ]]; then\n"
	"\t\t\tcompopt -o filenames\n"
	"\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"${current#-*=}\")\n"
	"\t\telif [[ $word == \"$current\"* ]]; then\n"
	"\t\t\tCOMPREPLY+=(\"${word#\"$before\"}\")\n"
	"\t\tfi\n"
	"\tdone < <(\"$1\" completion words -- \"${words[@]:1}\" 2>/dev/null)\n"
	"}\n"
	"complete -F _gsq gsq kubectl-intent\n";

static const char zsh_script[] =
	"#compdef gsq kubectl-intent\n"
	"# zsh completion of gsq: source <(gsq completion zsh)\n"
	"_gsq() {\n"
	"\tlocal -a lines candidates\n"
	"\tlocal line files=\n"
	"\tlines=(\"${(@f)$(\"${words[1]}\" completion words -- \"${(@Q)words[2,CURRENT]}\" "
	"2>/dev/null)}\")\n"
	"\tfor line in $lines; do\n"
	"\t\tif [[ $line == :files ]]; then\n"
	"\t\t\tfiles=1\n"
	"\t\telif [[ -n $line ]]; then\n"
	"\t\t\tcandidates+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
	"\t\tfi\n"
	"\tdone\n"
	"\t(( ${#candidates} )) && _describe -t gsq gsq candidates\n"
	"\tif [[ -n $files ]]; then\n"
	"\t\tcompset -P '-*='\n"
	"\t\t_files\n"
	"\tfi\n"
	"}\n"
	"if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
	"\t_gsq \"$@\"\n"
	"else\n"
	"\tcompdef _gsq gsq kubectl-intent\n"
	"fi\n";

static const char fish_script[] =
	"# fish completion of gsq: gsq completion fish | source\n"
	"function __gsq_complete\n"
	"\tset -l words (commandline -opc)\n"
	"\tset -l current (commandline -ct | string collect --allow-empty)\n"
	"\tfor line in ($words[1] completion words -- $words[2..-1] \"$current\" 2>/dev/null)\n"
	"\t\tif test \"$line\" = :files\n"
	"\t\t\t__fish_complete_path (string replace -r '^-[^=]*=' '' -- \"$current\")\n"
	"\t\telse\n"
	"\t\t\techo $line\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"complete -c gsq -f -a '(__gsq_complete)'\n"
	"complete -c kubectl-intent -f -a '(__gsq_complete)'\n";

/* ---- candidates ---- */

struct completing {
	const struct verb *verb;
	int n; /* words of the verb, before the current one */
	char **words;
	const char *current;
	bool are_over;                   /* options: "--" was there */
	size_t n_arguments;              /* before the current one */
	const struct cli_option *valued; /* whose value the current word is; NULL: none */
	struct slice before;             /* "--flag=" of the current word, or empty */
	bool wants_files;
};

static void add(const struct completing *c, struct slice word, struct slice meaning)
{
	CLEANUP(buf_done) struct buf whole = BUF_INIT(LIMIT_HTTP_HEAD);

	buf_add(&whole, c->before);
	buf_add(&whole, word);
	if (whole.failed == ERROR_NONE && whole.data != NULL &&
		slice_starts(buf_slice(&whole), slice_of(c->current)))
		printf("%s\t%.*s\n", whole.data, SLICE_ARG(meaning));
}

static void add_words(const struct completing *c, const char *words)
{
	struct slice rest = slice_of(words);

	while (rest.n > 0)
		add(c, slice_cut(&rest, '|'), SLICE(""));
}

static void add_contexts(const struct completing *c)
{
	CLEANUP(config_done) struct config config = {.lock = -1};
	struct error ignored = ERROR_INIT;

	if (config_load(&config, &ignored) != 0)
		return;
	for (size_t i = 0; i < config.n; i++)
		add(c, slice_of(config.contexts[i].name), slice_of(config.contexts[i].server));
}

/* Up to the first punctuation: shells have little room. */
static struct slice in_short(const char *help)
{
	return (struct slice){help, strcspn(help, ":;.,\n")};
}

static bool was_given(const struct completing *c, const struct cli_option *o)
{
	for (int i = 0; i < c->n; i++) {
		struct slice rest = slice_of(c->words[i]), name = slice_cut(&rest, '=');

		if (slice_starts(name, SLICE("--")) &&
			slice_eq((struct slice){name.p + 2, name.n - 2}, slice_of(o->flag)))
			return true;
	}
	return false;
}

static void add_flags(const struct completing *c)
{
	for (const struct cli_option *o = verb_options(c->verb); o->flag != NULL; o++) {
		AUTO_FREE char *flag = str_printf("--%s", o->flag);

		if (flag != NULL && (o->repeats || !was_given(c, o)))
			add(c, slice_of(flag), in_short(o->help));
	}
	add(c, SLICE("--help"), SLICE("what it does"));
}

static void add_verbs(const struct completing *c)
{
	for (const struct verb *const *v = c->verb->verbs; *v != NULL; v++)
		if ((*v)->summary != NULL)
			add(c, slice_of(verb_word(*v)), in_short((*v)->summary));
	if (c->verb == &verb_gsq)
		add(c, SLICE("help"), SLICE("What a verb does"));
}

/* ---- what the server knows ---- */

/* The answer of a route, or NULL: there may be none at all. route NULL: nothing was known. */
static json_t *ask(struct client *client, const char *route)
{
	struct client_call call = {.method = "GET", .route = route, .timeout_ms = ASKED_MS};
	struct error ignored = ERROR_INIT;
	json_t *answer = NULL;

	if (route != NULL && client_run(client, &call, &ignored) == 0)
		answer = json_incref(call.json);
	client_call_done(&call);
	return answer;
}

/* A member of each element of the answer's list; once, where it is the same in a row. */
static void add_members(const struct completing *c, json_t *answer, const char *list,
	const char *key, const char *meaning)
{
	const char *before = "";
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(answer, list), i, one)
	{
		const char *word = view_text(one, key);

		if (word[0] != '\0' && strcmp(word, before) != 0)
			add(c, slice_of(word), slice_of(view_text(one, meaning)));
		before = word;
	}
}

static void add_names(
	const struct completing *c, struct client *client, const struct cli_values *v UNUSED)
{
	AUTO_FREE char *route = client_route(client_namespace(client), "?limit=%d", NAMES_MAX);
	CLEANUP(json_decrefp) json_t *answer = ask(client, route);

	add_members(c, answer, "resources", "name", "phase");
}

/* Those that have resources. */
static void add_namespaces(
	const struct completing *c, struct client *client, const struct cli_values *v UNUSED)
{
	AUTO_FREE char *route = client_route(CLIENT_ALL, "?limit=%d", NAMES_MAX);
	CLEANUP(json_decrefp) json_t *answer = ask(client, route);

	add_members(c, answer, "resources", "namespace", "");
}

static void add_revisions(
	const struct completing *c, struct client *client, const struct cli_values *v UNUSED)
{
	AUTO_FREE char *route = str_printf(
		"/api/v1/namespaces/%s/revisions?limit=%d", client_namespace(client), HISTORY_MAX);
	CLEANUP(json_decrefp) json_t *answer = ask(client, route);

	add_members(c, answer, "revisions", "revision", "why");
}

/* Where one goes back to: its versions, or without a name revisions. */
static void add_targets(
	const struct completing *c, struct client *client, const struct cli_values *v)
{
	AUTO_FREE char *route = NULL;
	CLEANUP(json_decrefp) json_t *answer = NULL;

	if (v->argument == NULL) {
		add_revisions(c, client, v);
		return;
	}
	if (!intent_name_ok(slice_of(view_name(v->argument))))
		return;
	route = client_route(client_namespace(client), "/%s/history?limit=%d",
		view_name(v->argument), HISTORY_MAX);
	answer = ask(client, route);
	add_members(c, answer, "history", "version", "why");
}

/* Of the server and the namespace that the words before name. */
static void add_of_server(
	const struct completing *c, void (*add_them)(const struct completing *c,
					    struct client *client, const struct cli_values *v))
{
	const struct verb all = {
		.name = c->verb->name, .options = c->verb->options, .argument = "[NAME]..."};
	bool is_open = c->valued != NULL && c->before.n == 0; /* the last word is that option */
	CLEANUP(client_freep) struct client *client = NULL;
	struct error ignored = ERROR_INIT;
	struct cli_values v;

	if (!verb_is_client(c->verb) ||
		cli_parse(&v, &all, is_open ? c->n - 1 : c->n, c->words, &ignored) != 0)
		return;
	if (!v.help && client_open(&client, &v, &ignored) == 0)
		add_them(c, client, &v);
	cli_values_done(&v);
}

/* "c1..c2": each of the two. */
static void add_range(struct completing *c)
{
	const char *dots = strstr(c->current, "..");

	if (dots != NULL)
		c->before = (struct slice){c->current, (size_t)(dots + 2 - c->current)};
	add_of_server(c, add_revisions);
}

/* ---- what the current word is ---- */

static bool is_of_files(const char *argument)
{
	return argument != NULL &&
	       (strstr(argument, "FILE") != NULL || strstr(argument, "DIR") != NULL);
}

static void complete_value(struct completing *c, const struct cli_option *o)
{
	if (o->values != NULL)
		add_words(c, o->values);
	else if (strcmp(o->flag, "context") == 0)
		add_contexts(c);
	else if (strcmp(o->flag, "namespace") == 0)
		add_of_server(c, add_namespaces);
	else if (o->argument != NULL && strcmp(o->argument, "REVISION") == 0)
		add_of_server(c, add_revisions);
	else if (c->verb == &verb_rollback && strcmp(o->flag, "to") == 0)
		add_of_server(c, add_targets);
	else if (o->is_file || is_of_files(o->argument))
		c->wants_files = true;
}

static void complete_argument(struct completing *c)
{
	const char *argument = c->verb->argument;

	if (c->verb->verbs != NULL && c->n_arguments == 0)
		add_verbs(c);
	if (argument == NULL)
		return;
	if (c->verb->completes_names)
		add_of_server(c, add_names);
	else if (strcmp(argument, "[REVISION]") == 0 && c->n_arguments == 0)
		add_of_server(c, add_revisions);
	else if (c->verb == &verb_diff && c->n_arguments == 0)
		add_range(c);
	else if (strcmp(argument, "CONTEXT") == 0)
		add_contexts(c);
	else if (is_of_files(argument))
		c->wants_files = true;
}

static const struct cli_option *option_of(const struct verb *verb, const char *word)
{
	struct slice name = slice_of(word);

	for (const struct cli_option *o = verb_options(verb); o->flag != NULL; o++) {
		if (slice_starts(name, SLICE("--")) && strcmp(word + 2, o->flag) == 0)
			return o;
		if (o->letter != 0 && name.n == 2 && word[0] == '-' && word[1] == o->letter)
			return o;
	}
	return NULL;
}

/* Goes through the words before it. */
static void look_back(struct completing *c)
{
	for (int i = 0; i < c->n; i++) {
		const char *word = c->words[i];
		const struct cli_option *o = NULL;

		if (c->are_over || word[0] != '-' || word[1] == '\0') {
			c->n_arguments++;
			continue;
		}
		c->are_over = strcmp(word, "--") == 0;
		o = option_of(c->verb, word);
		if (o == NULL || o->argument == NULL)
			continue;
		if (i + 1 == c->n)
			c->valued = o;
		i++;
	}
}

static void complete(struct completing *c)
{
	const char *equals = strchr(c->current, '=');

	look_back(c);
	if (c->valued == NULL && !c->are_over && strncmp(c->current, "--", 2) == 0 &&
		equals != NULL) {
		AUTO_FREE char *flag =
			slice_dup((struct slice){c->current, (size_t)(equals - c->current)});

		c->valued = flag != NULL ? option_of(c->verb, flag) : NULL;
		c->before = (struct slice){c->current, (size_t)(equals + 1 - c->current)};
		if (c->valued == NULL)
			return;
	}
	if (c->valued != NULL)
		complete_value(c, c->valued);
	else if (c->current[0] == '-' && !c->are_over)
		add_flags(c);
	else
		complete_argument(c);
}

/* Of the words after the name of the program; true: file names are meant too. */
static bool complete_words(size_t n, char **words)
{
	struct completing c = {
		.verb = &verb_gsq, .n = (int)n, .words = words, .current = "", .before = SLICE("")};

	if (c.n > 0)
		c.current = c.words[--c.n];
	cli_verb_first(c.n, c.words);
	if (c.n > 0 && strcmp(c.words[0], "help") == 0) {
		c.words++;
		c.n--;
	}
	while (c.n > 0 && verb_find(c.verb, c.words[0]) != NULL) {
		c.verb = verb_find(c.verb, c.words[0]);
		c.words++;
		c.n--;
	}
	if (c.verb == &verb_gsq) {
		int before = cli_options_before(c.n, c.words);

		c.words += before;
		c.n -= before;
	}
	complete(&c);
	return c.wants_files;
}

static int run_words(const struct verb *verb UNUSED, const struct cli_values *v)
{
	if (complete_words(v->n_arguments, v->arguments))
		puts(":files");
	return EXIT_OK;
}

/* Its last line is what the shell is to do besides: 0 completes file names, 4 does not. */
int completion_for_kubectl(int argc, char **argv)
{
	puts(complete_words((size_t)argc, argv) ? ":0" : ":4");
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

/* ---- the verbs ---- */

static int run_bash(const struct verb *verb UNUSED, const struct cli_values *v UNUSED)
{
	fputs(bash_script, stdout);
	return EXIT_OK;
}

static int run_zsh(const struct verb *verb UNUSED, const struct cli_values *v UNUSED)
{
	fputs(zsh_script, stdout);
	return EXIT_OK;
}

static int run_fish(const struct verb *verb UNUSED, const struct cli_values *v UNUSED)
{
	fputs(fish_script, stdout);
	return EXIT_OK;
}

static const struct verb verb_bash = {
	.name = "completion bash",
	.summary = "The script for bash.",
	.run = run_bash,
	.example = "source <(gsq completion bash)",
};

static const struct verb verb_zsh = {
	.name = "completion zsh",
	.summary = "The script for zsh.",
	.run = run_zsh,
	.example = "source <(gsq completion zsh)",
};

static const struct verb verb_fish = {
	.name = "completion fish",
	.summary = "The script for fish.",
	.run = run_fish,
	.example = "gsq completion fish | source",
};

/* For the scripts: no summary, so that no help has it. */
static const struct verb verb_words = {
	.name = "completion words",
	.argument = "[WORD]...",
	.run = run_words,
};

static const struct verb *const verbs[] = {&verb_bash, &verb_zsh, &verb_fish, &verb_words, NULL};

const struct verb verb_completion = {
	.name = "completion",
	.summary = "Print the script by which a shell completes verbs, options, files and names of "
		   "resources.",
	.verbs = verbs,
	.example = "source <(gsq completion bash)",
};
