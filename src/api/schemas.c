/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schemas.h"

#include "base/json.h"
#include "base/limits.h"
#include "cluster/tracker.h"
#include "intent/schema.h"

/* intent_char_ok() */
#define TEXT_PATTERN \
	"^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029\\ufdd0-\\ufdef\\ufeff\\ufffe\\uffff]*$"
#define LABEL_CHARACTER "[-A-Za-z0-9_.]"
#define SELECTOR_KEY "(" LABEL_CHARACTER "{1,253}/)?" LABEL_CHARACTER "{1,63}"
#define SELECTOR_VALUE LABEL_CHARACTER "{0,63}"
#define SELECTOR_TERM \
	"(! *" SELECTOR_KEY "|" SELECTOR_KEY "( *(==?|!=) *" SELECTOR_VALUE \
	"| +(not)?in *[(] *" SELECTOR_VALUE "( *, *" SELECTOR_VALUE ")* *[)])?) *"
#define NUMBER_PATTERN "[1-9][0-9]{0,16}"

/* ---- what a resource may be: from the decoder's own table ---- */

static void add_bounds(struct buf *b, const struct schema_field *f)
{
	static const char *const names[] = {[SCHEMA_STRING] = "string",
		[SCHEMA_INTEGER] = "integer",
		[SCHEMA_OBJECT] = "object"};

	json_member_cstr(b, "type", names[f->type]);
	json_member_cstr(b, "description", f->description);
	if (f->pattern != NULL)
		json_member_cstr(b, "pattern", f->pattern);
	else if (f->type == SCHEMA_STRING && f->values == NULL)
		json_member_cstr(b, "pattern", TEXT_PATTERN);
	if (f->max_length > 0)
		json_member_u64(b, "maxLength", f->max_length);
	if (f->type == SCHEMA_INTEGER) {
		json_member_u64(b, "minimum", (uint64_t)f->minimum);
		json_member_u64(b, "maximum", (uint64_t)f->maximum);
	}
	if (f->initial != NULL) {
		json_key(b, "default");
		buf_puts(b, f->initial);
	}
}

static void add_values(struct buf *b, const char *const *values)
{
	if (values == NULL)
		return;
	json_key(b, "enum");
	json_begin_array(b);
	for (; *values != NULL; values++) {
		json_item(b);
		json_add_string(b, slice_of(*values));
	}
	json_end_array(b);
}

static void add_field(struct buf *b, const char *path)
{
	const struct schema_field *f = schema_find(path);

	ASSERT(f != NULL);
	json_begin_object(b);
	add_bounds(b, f);
	add_values(b, f->values);
	json_end_object(b);
}

static void write_type(struct buf *b)
{
	add_field(b, "spec.type");
}

static void write_size(struct buf *b)
{
	add_field(b, "spec.size");
}

static void write_name(struct buf *b)
{
	add_field(b, "name");
}

/* Members with any name. A patch may take one away. */
static void add_labels(struct buf *b, bool patch)
{
	const struct schema_field *f = schema_find("labels");

	json_begin_object(b);
	json_member_cstr(b, "type", "object");
	json_member_cstr(b, "description", f->description);
	json_member_u64(b, "maxProperties", (uint64_t)f->maximum);
	json_key(b, "propertyNames");
	json_begin_object(b);
	json_member_cstr(b, "pattern", f->key_pattern);
	json_member_u64(b, "maxLength", f->key_max_length);
	json_end_object(b);
	json_key(b, "additionalProperties");
	json_begin_object(b);
	json_key(b, "type");
	buf_puts(b, patch ? "[\"string\",\"null\"]" : "\"string\"");
	json_member_cstr(b, "pattern", f->pattern);
	json_member_u64(b, "maxLength", f->value_max_length);
	json_end_object(b);
	json_end_object(b);
}

static void write_labels(struct buf *b)
{
	add_labels(b, false);
}

static void write_label_patch(struct buf *b)
{
	add_labels(b, true);
}

/* What a member of spec may be in a patch: null means the default, or none, where there is one. */
static void add_patched(struct buf *b, const struct schema_field *f)
{
	if (f->required) {
		add_field(b, f->path);
		return;
	}
	json_begin_object(b);
	json_key(b, "oneOf");
	json_begin_array(b);
	json_item(b);
	add_field(b, f->path);
	buf_puts(b, ",{\"type\":\"null\"}");
	json_end_array(b);
	json_end_object(b);
}

static void add_spec(struct buf *b, bool patch)
{
	static const char under[] = "spec.";

	json_begin_object(b);
	json_member_cstr(b, "type", "object");
	json_key(b, "properties");
	json_begin_object(b);
	for (const struct schema_field *f = schema_fields; f->path != NULL; f++) {
		if (!slice_starts(slice_of(f->path), SLICE("spec.")))
			continue;
		json_key(b, f->path + strlen(under));
		if (patch)
			add_patched(b, f);
		else
			add_field(b, f->path);
	}
	json_end_object(b);
	json_key(b, "required");
	json_begin_array(b);
	for (const struct schema_field *f = schema_fields; f->path != NULL && !patch; f++)
		if (f->required && slice_starts(slice_of(f->path), SLICE("spec."))) {
			json_item(b);
			json_add_string(b, slice_of(f->path + strlen(under)));
		}
	json_end_array(b);
	json_key(b, "additionalProperties");
	buf_puts(b, "false");
	json_end_object(b);
}

static void write_spec(struct buf *b)
{
	add_spec(b, false);
}

static void write_spec_patch(struct buf *b)
{
	add_spec(b, true);
}

static void write_api_version(struct buf *b)
{
	add_field(b, "apiVersion");
}

static void write_kind(struct buf *b)
{
	add_field(b, "kind");
}

static void write_error_code(struct buf *b)
{
	json_begin_object(b);
	json_member_cstr(b, "type", "string");
	json_key(b, "enum");
	json_begin_array(b);
	for (unsigned code = ERROR_NONE + 1; code < ERROR_CODES_; code++) {
		json_item(b);
		json_add_string(b, slice_of(error_name((enum error_code)code)));
	}
	json_end_array(b);
	json_end_object(b);
}

static void add_phases(struct buf *b, bool listed)
{
	json_begin_object(b);
	json_member_cstr(b, "type", "string");
	json_key(b, "enum");
	json_begin_array(b);
	for (unsigned phase = 0; phase < PHASES_; phase++)
		if (!listed || phase != PHASE_DELETING) {
			json_item(b);
			json_add_string(b, slice_of(phase_name((enum phase)phase)));
		}
	json_end_array(b);
	json_end_object(b);
}

static void write_phase(struct buf *b)
{
	add_phases(b, false);
}

static void write_listed_phase(struct buf *b)
{
	add_phases(b, true);
}

/* ---- all others ---- */

/* clang-format off */

/* Such a limit stands in a description where a list of its length would be tried by who tries all
 * that maxItems says. */
#define TEXT_OF(number) #number
#define TEXT(limit) TEXT_OF(limit)

#define MEMBERS (const struct schema_member[])
#define ANY (const char *const[])
#define END {NULL}
#define WHO \
	{"who", "string|null", "Who it was; null: the record is of a time before that was kept"}, \
	{"from", "string|null", "The address they called from; null: not from outside"}, \
	{"why", "string|null", "As they said; null: they did not"}

const struct schema api_schemas[] = {
	{"Error", "An error has changed nothing, but for a 503 that says that the change is "
		"made, or that nobody knows",
		.members = MEMBERS{
			{"error", "string", "What to change, for people"},
			{"code", "ErrorCode", "For programs"},
			{"field", "string", "The field or parameter that is wrong", true},
			{"version", "Version", "With 412: of the resource as it is", true},
			{"confirm", "string", "With 409: the value of the parameter of that name "
				"which would let it be, if it is meant", true},
			{"index", "integer", "Of several changes the one that was refused, from "
				"0", true},
			{"namespace", "string", "Its namespace", true},
			{"name", "string", "Its name", true},
			END}},
	{"ErrorCode", "What kind of error", .write = write_error_code},
	{"Name", "A name as Kubernetes takes it", .write = write_name},
	{"NamespaceOrAll", "A namespace, or * for all of them", "string",
		.pattern = "^([*]|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$", .example = "*"},
	{"Version", "Of a resource: the microsecond since 1970 of its change", "string",
		.pattern = "^v" NUMBER_PATTERN "$", .example = "v1795893153160483"},
	{"Revision", "Of a commit: the microsecond since 1970", "string",
		.pattern = "^c" NUMBER_PATTERN "$", .example = "c1795893153160483"},
	{"Range", "Two commits", "string",
		.pattern = "^c" NUMBER_PATTERN "[.][.]c" NUMBER_PATTERN "$",
			.example = "c1795893153160483..c1795893160000000"},
	{"Digest", "Of an artifact's manifest", "string",
		.pattern = "^sha256:[0-9a-f]{64}$",
		.example = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"Time", "RFC 3339, in UTC", "string", .format = "date-time",
		.example = "2026-11-28T19:12:33.160483Z"},
	{"Count", "A whole number", "integer", .minimum = 0, .maximum = UINT64_MAX,
		.example = "500"},
	{"PageSize", "A whole number", "integer", .minimum = 1, .maximum = LIMIT_HISTORY_PAGE,
		.example = "50"},
	{"Continue", "It means nothing but where the next page begins: what no answer had is "
		"refused", "string",
		.example = ""},
	{"Duration", "A whole number with its unit, or 0; at most 5m", "string",
		.pattern = "^0*(0(ms|s|m|h|d)?|([1-9][0-9]{0,4}|[12][0-9]{5}|300000)ms"
			"|([1-9][0-9]?|[12][0-9][0-9]|300)s|[1-5]m)$",
		.example = "30s"},
	{"Wait", "What to wait for", "string", .values = (const char *const[]){"applied", NULL}},
	{"YesOrNo", "Yes or no", "string", .values = (const char *const[]){"true", "false", NULL}},
	{"Confirm", "What is meant", "string", .values = (const char *const[]){"prune", NULL}},
	{"LabelSelector", "As kubectl's -l", "string",
		.pattern = "^(" SELECTOR_TERM "(," SELECTOR_TERM ")*)?$",
			.example = "team=shop,tier!=test"},
	{"EntityTags", "ETags in their quotes, or *", "string",
		.pattern = "^([*]|(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*)$", .example = "*"},
	{"Star", "Nothing else", "string", .values = (const char *const[]){"*", NULL}},
	{"Reason", "Printable text on one line", "string", .maximum = LIMIT_REASON,
		.pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", .example = "OPS-1217, nobody "
			"uses it"},
	{"Key", "Any text that is not used for other changes", "string", .minimum = 1,
		.maximum = LIMIT_IDEMPOTENCY_KEY,
		.pattern = "^[!-~]([ -~]*[!-~])?$",
			.example = "8e03978e-40d5-43e8-bc93-6894a57f9324"},

	{"Type", "What it is", .write = write_type},
	{"Size", "How large", .write = write_size},
	{"Labels", "Keys and values as Kubernetes takes them", .write = write_labels},
	{"Spec", "What is wanted", .write = write_spec},
	{"Phase", "How far the cluster is with it", .write = write_phase},
	{"ListedPhase", "How far the cluster is with it; what is being deleted is in no list",
		.write = write_listed_phase},

	{"NewResource", "A resource as it shall be; what it leaves out gets its default",
		.closed = true,
		.members = MEMBERS{
			{"name", "Name", "Of the resource"},
			{"labels", "Labels", "For people and selectors", true},
			{"spec", "Spec", "What is wanted"},
			END}},
	{"NamedResource", "The same; its name is that of the path", .closed = true,
		.members = MEMBERS{
			{"name", "Name", "If it is there, that of the path", true},
			{"labels", "Labels", "For people and selectors", true},
			{"spec", "Spec", "What is wanted"},
			END}},
	{"LabelPatch", "null takes a label away", .write = write_label_patch},
	{"SpecPatch", "null means the default, or none", .write = write_spec_patch},
	{"ResourcePatch", "A JSON merge patch", .closed = true,
		.members = MEMBERS{
			{"labels", "LabelPatch|null", "Labels that change; null takes all away",
				true},
			{"spec", "SpecPatch", "Fields that change", true},
			END}},
	{"ObjectPatch", "The same of the object as kubectl writes it", .closed = true,
		.members = MEMBERS{
			{"apiVersion", "ApiVersion", "Of the object", true},
			{"kind", "Kind", "Of the object", true},
			{"metadata", "MetaPatch", "Labels that change"},
			{"spec", "SpecPatch", "Fields that change", true},
			END}},
	{"MetaPatch", "Of a Kubernetes object", .closed = true,
		.members = MEMBERS{{"labels", "LabelPatch|null", "Labels that change; null takes "
			"all away", true}, END}},
	{"NamedObject", "The same as kubectl writes it; its name is that of the path",
		.closed = true,
		.members = MEMBERS{
			{"apiVersion", "ApiVersion", "Of the object"},
			{"kind", "Kind", "Of the object"},
			{"metadata", "NamedMeta", "Its labels"},
			{"spec", "Spec", "What is wanted"},
			END}},
	{"NamedMeta", "Of a Kubernetes object", .closed = true,
		.members = MEMBERS{
			{"name", "Name", "If it is there, that of the path", true},
			{"namespace", "Name", "If it is there, that of the path", true},
			{"labels", "Labels", "For people and selectors", true},
			END}},
	{"PostBody", "In the short form, or as kubectl writes it", .any = ANY{"NewResource",
		"PlatformResource", NULL}},
	{"PutBody", "In the short form, or as kubectl writes it", .any = ANY{"NamedResource",
		"NamedObject", NULL}},
	{"PatchBody", "In the short form, or as kubectl writes it", .any = ANY{"ResourcePatch",
		"ObjectPatch", NULL}},
	{"PlacedResource", "A resource, and where", .closed = true,
		.members = MEMBERS{
			{"name", "Name", "Of the resource"},
			{"namespace", "Name", "Default: that of the path, or `default`", true},
			{"labels", "Labels", "For people and selectors", true},
			{"spec", "Spec", "What is wanted"},
			END}},
	{"ApiVersion", "Of the Kubernetes object", .write = write_api_version},
	{"Kind", "Of the Kubernetes object", .write = write_kind},
	{"PlatformResource", "The same as kubectl writes it", .closed = true,
		.members = MEMBERS{
			{"apiVersion", "ApiVersion", "Of the object"},
			{"kind", "Kind", "Of the object"},
			{"metadata", "ObjectMeta", "Its name, and where"},
			{"spec", "Spec", "What is wanted"},
			END}},
	{"ObjectMeta", "Of a Kubernetes object", .closed = true,
		.members = MEMBERS{
			{"name", "Name", "Of the resource"},
			{"namespace", "Name", "Default: that of the path, or `default`", true},
			{"labels", "Labels", "For people and selectors", true},
			END}},
	{"ResourceOrObject", "In the short form, or as kubectl writes it",
		.any = ANY{"PlacedResource", "PlatformResource", NULL}},

	{"Resource", "A resource as it is",
		.members = MEMBERS{
			{"name", "Name", "Of the resource"},
			{"namespace", "Name", "Where it is"},
			{"labels", "Labels", "For people and selectors"},
			{"version", "Version|null", "It only grows; null: a dry run would make it"},
			{"digest", "Digest|null", "Of its artifact; null: a dry run would make it"},
			{"repository", "string", "Where its artifact is"},
			{"spec", "Spec", "What is wanted"},
			{"updatedAt", "Time|null", "That of its version"},
			{"status", "Status", "What became of it in the cluster", true},
			{"dryRun", "boolean", "Nothing was changed", true},
			{"diff", "string", "In a dry run: what would change, as a unified "
				"difference", true},
			END}},
	{"Status", "What became of it in the cluster. In a list: the phase alone",
		.members = MEMBERS{
			{"phase", "Phase", "How far it is"},
			{"version", "Version", "The one that is in the cluster; missing: none",
				true},
			{"revision", "string", "The catalog that Flux applied last", true},
			{"reason", "string", "What it waits for, or why it was refused", true},
			{"message", "string", "The same for people", true},
			{"since", "Time", "Since when it has been in that phase", true},
			{"object", "object", "The object's own status", true},
			END}},
	{"ResourceList", "One page of a list",
		.members = MEMBERS{
			{"resources", "[Resource]", "In the order of namespace and name"},
			{"count", "Count", "How many are in this answer"},
			{"continue", "string", "For the next page; missing: this is the last",
				true},
			END}},
	{"Deletion", "A tombstone",
		.members = MEMBERS{
			{"name", "Name", "Of the resource"},
			{"version", "Version|null", "Of its tombstone; null: a dry run would "
				"make it"},
			{"digest", "Digest|null", "Of its tombstone; null: a dry run would make "
				"it"},
			{"deleted", "boolean", "True"},
			{"status", "Status", "What became of it in the cluster", true},
			{"dryRun", "boolean", "Nothing was changed", true},
			{"diff", "string", "In a dry run: what would change, as a unified "
				"difference", true},
			END}},

	{"Changes", "Several changes, or a prune alone", .closed = true,
		.members = MEMBERS{
			{"changes", "ChangeList", "What to change", true},
			{"prune", "Prune", "What else to delete: all that matches and is not "
				"among the changes", true},
			END}},
	{"ChangeList", "Each of another resource, at most " TEXT(LIMIT_CHANGES), .items = "Change"},
	{"Change", "One of several", .any = ANY{"Put", "Delete", NULL}},
	{"Put", "Puts a resource", .closed = true,
		.members = MEMBERS{
			{"operation", "PutOperation", "Default: apply. create: it must not be "
				"there; update: it must", true},
			{"resource", "ResourceOrObject", "As it shall be"},
			{"ifMatch", "Version", "Only if it still has this version. Not with "
				"create", true},
			END}},
	{"PutOperation", "What to do", "string", .values = (const char *const[]){"apply",
		"create", "update", NULL}},
	{"Delete", "Takes a resource away", .closed = true,
		.members = MEMBERS{
			{"operation", "DeleteOperation", "delete"},
			{"namespace", "Name", "Default: that of the path, or `default`", true},
			{"name", "Name", "Of the resource"},
			{"ifMatch", "Version", "Only if it still has this version", true},
			END}},
	{"DeleteOperation", "What to do", "string", .values = (const char *const[]){"delete",
		NULL}},
	{"Namespaces", "At most " TEXT(LIMIT_NAMESPACES), .items = "Name", .minimum = 1},
	{"Prune", "Where, and which", .closed = true,
		.members = MEMBERS{
			{"namespaces", "Namespaces", "Only in these. A path that names a "
				"namespace has none but that"},
			{"selector", "LabelSelector", "Only those whose labels match", true},
			END}},
	{"ChangesResult", "What was changed, in the order of the request",
		.members = MEMBERS{
			{"revision", "Revision|null", "The commit; null: nothing was to be "
				"changed, or this is a dry run"},
			{"dryRun", "boolean", "Nothing was changed", true},
			{"replayed", "boolean", "It was made before, with that key", true},
			{"counts", "Counts", "How many of each"},
			{"changes", "[ChangeResult]", "One for each"},
			END}},
	{"Counts", "How many of each",
		.members = MEMBERS{
			{"created", "Count", "New ones"},
			{"updated", "Count", "Changed ones"},
			{"unchanged", "Count", "Those that were so already"},
			{"deleted", "Count", "Deleted ones"},
			END}},
	{"ChangeResult", "What became of a change",
		.members = MEMBERS{
			{"result", "Result", "What was done"},
			{"namespace", "Name", "Of what"},
			{"name", "Name", "Of what"},
			{"version", "Version|null", "Its version now; null: it would be made, or "
				"was unchanged, and this is `replayed`"},
			{"digest", "Digest|null", "Of its artifact; null likewise"},
			{"diff", "string", "In a dry run: what would change, as a unified "
				"difference", true},
			END}},
	{"Result", "What was done", "string",
		.values = (const char *const[]){"created", "updated", "unchanged", "deleted",
			NULL}},

	{"RollbackResource", "Where back to", .closed = true,
		.members = MEMBERS{{"to", "Version", "What it was at that version"}, END}},
	{"Rollback", "Where back to", .closed = true,
		.members = MEMBERS{{"to", "Revision", "The commit"}, END}},
	{"History", "One page of versions, newest first",
		.members = MEMBERS{
			{"history", "[HistoryEntry]", "The versions"},
			{"continue", "string", "For the next page; missing: this is the last",
				true},
			END}},
	{"HistoryEntry", "A version of a resource",
		.members = MEMBERS{
			{"version", "Version", "A tombstone's where it was deleted"},
			{"operation", "CommitOperation", "What was done"},
			{"at", "Time", "When"},
			WHO,
			{"revision", "Revision|null", "The commit that made it"},
			{"digest", "Digest", "Of its artifact"},
			{"expired", "boolean", "It is not kept any more", true},
			{"spec", "Spec", "As it was; missing: it was deleted, or is expired", true},
			{"labels", "Labels", "As they were", true},
			{"diff", "string|null", "To the version before it, as a unified "
				"difference; null: one of them is expired"},
			END}},
	{"CommitOperation", "What was done", "string",
		.values = (const char *const[]){"create", "update", "delete", "hold", "release",
			NULL}},
	{"RevisionList", "One page of commits, newest first",
		.members = MEMBERS{
			{"revisions", "[CommitRecord]", "The commits"},
			{"continue", "string", "For the next page; missing: this is the last",
				true},
			END}},
	{"CommitRecord", "A commit",
		.members = MEMBERS{
			{"revision", "Revision", "The commit"},
			{"digest", "Digest", "Of its record"},
			{"parent", "Digest|null", "Of the record before; null: it is the first"},
			{"at", "Time", "When"},
			WHO,
			{"frozen", "boolean", "From this commit on no changes are taken", true},
			{"changes", "[CommitChange]", "What it changed"},
			END}},
	{"CommitChange", "A resource that a commit changed",
		.members = MEMBERS{
			{"operation", "CommitOperation", "What was done"},
			{"namespace", "Name", "Of what"},
			{"name", "Name", "Of what"},
			{"version", "Version", "Its version"},
			{"digest", "Digest", "Of its artifact"},
			{"who", "string", "Who it was, where the commit has several", true},
			{"why", "string", "Likewise, as they said", true},
			END}},
	{"ResourcesThen", "One page of the resources as they were",
		.members = MEMBERS{
			{"resources", "[Resource]", "In the order of namespace and name"},
			{"count", "Count", "How many are in this answer"},
			{"continue", "string", "For the next page; missing: this is the last",
				true},
			END}},
	{"DiffList", "One page of what differs",
		.members = MEMBERS{
			{"from", "Revision", "The earlier commit"},
			{"to", "Revision", "The later commit"},
			{"changes", "[Difference]", "In the order of namespace and name"},
			{"continue", "string", "For the next page; missing: this is the last",
				true},
			END}},
	{"Difference", "A resource that differs",
		.members = MEMBERS{
			{"operation", "CommitOperation", "What became of it from the one to the "
				"other"},
			{"namespace", "Name", "Of what"},
			{"name", "Name", "Of what"},
			{"from", "Version|null", "At the earlier commit; null: it was not there"},
			{"to", "Version|null", "At the later commit; null: it was not there"},
			{"diff", "string", "As a unified difference"},
			END}},

	{"Layout", "How resources are shared out among catalogs",
		.members = MEMBERS{
			{"layout", "LayoutKind", "One catalog, or some of each namespace"},
			{"catalogs", "Count", "Of each namespace"},
			{"repartition", "Repartition", "How far a change of it is"},
			END}},
	{"LayoutKind", "How", "string", .values = (const char *const[]){"single", "split", NULL}},
	{"Catalogs", "How many", "integer", .minimum = 1, .maximum = LIMIT_LAYOUT_CATALOGS,
		.example = "1"},
	{"LayoutBody", "Where to", .any = ANY{"SingleLayout", "SplitLayout", NULL}},
	{"SingleLayout", "One catalog", .closed = true,
		.members = MEMBERS{
			{"layout", "SingleKind", "single"},
			{"catalogs", "One", "1", true},
			END}},
	{"SplitLayout", "Some catalogs of each namespace", .closed = true,
		.members = MEMBERS{
			{"layout", "SplitKind", "split"},
			{"catalogs", "Catalogs", "Of each namespace. Default 1", true},
			END}},
	{"SingleKind", "How", "string", .values = (const char *const[]){"single", NULL}},
	{"SplitKind", "How", "string", .values = (const char *const[]){"split", NULL}},
	{"One", "No other number", "integer", .minimum = 1, .maximum = 1, .example = "1"},
	{"Repartition", "How far a change of the layout is",
		.members = MEMBERS{
			{"step", "RepartitionStep", "The last that was made"},
			{"from", "LayoutPart", "Where it came from", true},
			{"to", "LayoutPart", "Where it goes", true},
			{"waitsFor", "string", "What Flux has yet to show, or why it does not go "
				"on", true},
			END}},
	{"RepartitionStep", "How far", "string", .values = (const char *const[]){"none",
		"freeze", "switch", "thaw", "done", NULL}},
	{"LayoutPart", "A layout",
		.members = MEMBERS{
			{"layout", "LayoutKind", "One catalog, or some of each namespace"},
			{"catalogs", "Count", "Of each namespace"},
			END}},
	{"Freeze", "Whether changes are taken",
		.members = MEMBERS{
			{"frozen", "boolean", "No changes are taken"},
			{"reason", "string", "Why not", true},
			{"who", "string", "Who froze it", true},
			{"since", "Time", "Since when", true},
			END}},
	{"FreezeReason", "Printable text on one line", "string", .minimum = 1,
		.maximum = LIMIT_REASON, .pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
		.example = "we move, until 18:00"},
	{"NewFreeze", "Why no changes are taken", .closed = true,
		.members = MEMBERS{{"reason", "FreezeReason", "For everybody who is refused"}, END}},
	{"Health", "It is well",
		.members = MEMBERS{
			{"status", "string", "ok"},
			{"writes", "string", "Why no changes are taken", true},
			END}},
	{NULL},
};
/* clang-format on */

const struct schema *schema_of_type(const char *type)
{
	struct slice rest = slice_of(type), name = slice_cut(&rest, '|');

	if (name.n > 2 && name.p[0] == '[')
		name = (struct slice){name.p + 1, name.n - 2};
	for (const struct schema *s = api_schemas; s->name != NULL; s++)
		if (slice_eq(name, slice_of(s->name)))
			return s;
	return NULL;
}

/* ---- writing them ---- */

static void add_one_type(struct buf *b, struct slice name)
{
	json_begin_object(b);
	if (name.p[0] >= 'A' && name.p[0] <= 'Z') {
		buf_puts(b, "\"$ref\":\"#/components/schemas/");
		buf_add(b, name);
		buf_putc(b, '"');
	} else {
		json_member_string(b, "type", name);
	}
	json_end_object(b);
}

static void add_list_type(struct buf *b, struct slice of)
{
	json_begin_object(b);
	json_member_cstr(b, "type", "array");
	json_key(b, "items");
	add_one_type(b, of);
	json_end_object(b);
}

void schema_add_type(struct buf *b, const char *type)
{
	struct slice null = slice_of(type), name = slice_cut(&null, '|');

	if (null.p != NULL)
		buf_puts(b, "{\"oneOf\":[");
	if (name.p[0] == '[')
		add_list_type(b, (struct slice){name.p + 1, name.n - 2});
	else
		add_one_type(b, name);
	if (null.p != NULL)
		buf_puts(b, ",{\"type\":\"null\"}]}");
}

/* A reference may have a description beside it (OpenAPI 3.1). */
static void add_member(struct buf *b, const struct schema_member *m)
{
	json_key(b, m->name);
	schema_add_type(b, m->type);
	b->len--; /* before the brace at its end */
	json_member_cstr(b, "description", m->description);
	json_end_object(b);
}

static void add_members(struct buf *b, const struct schema *s)
{
	json_member_cstr(b, "type", "object");
	json_key(b, "properties");
	json_begin_object(b);
	for (const struct schema_member *m = s->members; m->name != NULL; m++)
		add_member(b, m);
	json_end_object(b);
	json_key(b, "required");
	json_begin_array(b);
	for (const struct schema_member *m = s->members; m->name != NULL; m++)
		if (!m->optional) {
			json_item(b);
			json_add_string(b, slice_of(m->name));
		}
	json_end_array(b);
	if (s->closed)
		json_member_bool(b, "additionalProperties", false);
}

static void add_example(struct buf *b, const struct schema *s)
{
	if (s->example == NULL)
		return;
	json_key(b, "examples");
	json_begin_array(b);
	json_item(b);
	if (strcmp(s->type, "integer") == 0)
		buf_puts(b, s->example);
	else
		json_add_string(b, slice_of(s->example));
	json_end_array(b);
}

static void add_scalar(struct buf *b, const struct schema *s)
{
	bool counts = strcmp(s->type, "integer") == 0;

	json_member_cstr(b, "type", s->type);
	if (s->pattern != NULL)
		json_member_cstr(b, "pattern", s->pattern);
	if (s->format != NULL)
		json_member_cstr(b, "format", s->format);
	if (counts || s->minimum > 0)
		json_member_u64(b, counts ? "minimum" : "minLength", s->minimum);
	if (s->maximum > 0)
		json_member_u64(b, counts ? "maximum" : "maxLength", s->maximum);
	add_values(b, s->values);
	add_example(b, s);
}

static void add_any(struct buf *b, const struct schema *s)
{
	json_key(b, "anyOf");
	json_begin_array(b);
	for (size_t i = 0; s->any[i] != NULL; i++) {
		json_item(b);
		schema_add_type(b, s->any[i]);
	}
	json_end_array(b);
}

static void add_items(struct buf *b, const struct schema *s)
{
	json_member_cstr(b, "type", "array");
	json_key(b, "items");
	schema_add_type(b, s->items);
	if (s->minimum > 0)
		json_member_u64(b, "minItems", s->minimum);
	json_member_bool(b, "uniqueItems", true);
}

static void add_schema(struct buf *b, const struct schema *s)
{
	json_key(b, s->name);
	if (s->write != NULL) {
		s->write(b);
		return;
	}
	json_begin_object(b);
	json_member_cstr(b, "description", s->description);
	if (s->members != NULL)
		add_members(b, s);
	else if (s->any != NULL)
		add_any(b, s);
	else if (s->items != NULL)
		add_items(b, s);
	else
		add_scalar(b, s);
	json_end_object(b);
}

void schemas_add(struct buf *b)
{
	json_begin_object(b);
	for (const struct schema *s = api_schemas; s->name != NULL; s++)
		add_schema(b, s);
	json_end_object(b);
}
