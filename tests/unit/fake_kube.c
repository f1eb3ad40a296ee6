/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_kube.h"

#include <stdio.h>

uint64_t fake_clock_ms = 1000000;

uint64_t __wrap_clock_monotonic_ms(void);
uint64_t __wrap_clock_monotonic_ms(void)
{
	return fake_clock_ms;
}

void kube_patch(struct kube *kube, const char *path, struct slice body, kube_done *done, void *arg)
{
	struct fake_patch *patch = &kube->patches[kube->n++];

	assert_in_range(kube->n, 1, FAKE_PATCHES);
	snprintf(patch->path, sizeof(patch->path), "%s", path);
	snprintf(patch->body, sizeof(patch->body), "%.*s", SLICE_ARG(body));
	patch->done = done;
	patch->arg = arg;
}

void fake_kube_answer(struct kube *kube, size_t i, enum error_code code)
{
	struct fake_patch *patch = &kube->patches[i];
	json_t *object = json_pack("{s:{s:I}}", "metadata", "generation", kube->generation);
	struct error err = ERROR_INIT;

	assert_in_range(i, 0, kube->n - 1);
	assert_non_null(patch->done);
	if (code == ERROR_NONE) {
		patch->done(200, object, NULL, patch->arg);
	} else {
		error_set(&err, code, "the patch failed");
		patch->done(error_status(code), NULL, &err, patch->arg);
	}
	patch->done = NULL;
	json_decref(object);
}

void fake_kube_answer_all(struct kube *kube)
{
	for (size_t i = 0; i < kube->n; i++)
		if (kube->patches[i].done != NULL)
			fake_kube_answer(kube, i, ERROR_NONE);
}

void kube_get(struct kube *kube, const char *path, kube_done *done, void *arg)
{
	struct fake_get *get = &kube->gets[kube->n_gets++];

	assert_in_range(kube->n_gets, 1, FAKE_GETS);
	snprintf(get->path, sizeof(get->path), "%s", path);
	get->done = done;
	get->arg = arg;
}

void fake_kube_answer_get(struct kube *kube, size_t i, json_t *object, enum error_code code)
{
	struct fake_get *get = &kube->gets[i];
	kube_done *done = get->done;
	struct error err = ERROR_INIT;

	assert_in_range(i, 0, kube->n_gets - 1);
	assert_non_null(done);
	get->done = NULL;
	if (object != NULL) {
		done(200, object, NULL, get->arg);
		json_decref(object);
		return;
	}
	error_set(&err, code, "the get failed");
	done(code == ERROR_UNAVAILABLE ? 0 : error_status(code), NULL, &err, get->arg);
}

void fake_kube_assert_patch(const struct kube *kube, size_t i, const char *collection,
	const char *name, const char *part_of_body)
{
	char path[256];

	if (i >= kube->n)
		fail_msg("there were only %zu patches", kube->n);
	snprintf(path, sizeof(path), "%s/%s", collection, name);
	assert_string_equal(kube->patches[i].path, path);
	if (strstr(kube->patches[i].body, part_of_body) == NULL)
		fail_msg("%s is not in %s", part_of_body, kube->patches[i].body);
}

void fake_kube_token(const struct kube *kube, size_t i, char ret[32])
{
	json_t *body = json_loads(kube->patches[i].body, 0, NULL);

	assert_non_null(body);
	snprintf(ret, 32, "%s", kube_annotation(body, "reconcile.fluxcd.io/requestedAt"));
	json_decref(body);
}

json_t *fake_json(const char *fmt, ...)
{
	char text[8192];
	json_error_t why;
	json_t *object;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	object = json_loads(text, 0, &why);
	if (object == NULL)
		fail_msg("%s in %s", why.text, text);
	return object;
}
