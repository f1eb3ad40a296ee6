/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/step.h"

#include "oci/manifest.h"

void step_free(struct step *s)
{
	if (s == NULL)
		return;
	author_unref(s->author);
	free(s);
}

static void decide_layout(struct step *s, const struct head *head, const struct root_options *root)
{
	s->err = head_why_frozen(&head->frozen);
	if (s->err.code != ERROR_NONE)
		return;
	s->in_commit = layout_step_decide(&s->layout, head, root, &s->err);
}

/* Another reason is a new freeze, by whoever gives it. */
static bool is_frozen_so(const struct record_freeze *frozen, const char *reason)
{
	return frozen->by != NULL && strcmp(frozen->by->why, reason) == 0;
}

void step_decide(struct step *s, const struct head *head, const struct root_options *root)
{
	s->in_commit = false;
	switch (s->kind) {
	case STEP_LAYOUT:
		decide_layout(s, head, root);
		break;
	case STEP_FREEZE:
		s->in_commit = !is_frozen_so(&head->frozen, s->author->why);
		break;
	case STEP_THAW:
		s->in_commit = head->frozen.by != NULL;
		break;
	case STEP_ROOT:
		s->in_commit = state_layout(head->state)->kind == LAYOUT_SPLIT && root->accounts;
		break;
	}
}

/* The catalogs stay as they are. */
static void draft_same(struct revision_draft *draft, const struct step *s, const struct head *head)
{
	draft->state = head->state;
	draft->with_root = s->kind == STEP_ROOT || !root_options_eq(draft->root, &head->root);
	draft->repartition = head->repartition;
	draft->leftovers = &head->leftovers;
	draft->why = "namespaces";
	if (s->kind == STEP_ROOT)
		return;
	draft->why = "thaw";
	draft->frozen = (struct record_freeze){.by = NULL};
	if (s->kind == STEP_FREEZE)
		draft->frozen = (struct record_freeze){s->author, draft->version};
}

int step_draft(struct revision_draft *draft, struct layout_step_parts *parts, const struct step *s,
	const struct head *head, struct error *err)
{
	draft->author = s->author;
	if (s->kind == STEP_LAYOUT)
		return layout_step_draft(draft, parts, &s->layout, head, err);
	draft_same(draft, s, head);
	return 0;
}

/* ---- a root that stays as it is ---- */

/* The manifest is of the commit that made the root, but the layer is a pure function of what it
 * says. False too where it is not there. */
static int is_current_root(bool *ret, const struct digest *layer, const struct head *head,
	struct registry *registry, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	char reference[DIGEST_TEXT_SIZE];
	struct digest same;

	*ret = false;
	if (state_root(head->state) == NULL)
		return 0;
	digest_format(state_root(head->state), reference);
	if (registry_manifest(registry, CATALOG_REPOSITORY, reference, &manifest, &same, err) !=
		0) {
		if (err->code == ERROR_NOT_FOUND)
			return 0;
		return error_wrap(err, CATALOG_REPOSITORY "@%s", reference);
	}
	if (oci_manifest_parse(&m, buf_slice(&manifest), err) != 0)
		return error_wrap(err, CATALOG_REPOSITORY "@%s", reference);
	*ret = m->n_children == 1 && digest_eq(&m->children[0].digest, layer);
	return 0;
}

int step_compare(struct step *s, const struct revision *rev, const struct head *head,
	struct registry *registry, struct error *err)
{
	bool same;

	if (s->kind != STEP_ROOT || !root_options_eq(&rev->root, &head->root))
		return 0;
	ASSERT(rev->n_catalogs == 1);
	if (is_current_root(&same, &rev->catalogs[0].artifact.layer_digest, head, registry, err) !=
		0)
		return -1;
	s->in_commit = !same;
	return 0;
}
