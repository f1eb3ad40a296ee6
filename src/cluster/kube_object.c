/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kube.h"

#include <stdarg.h>

static const char *string_of(const json_t *value)
{
	return json_is_string(value) ? json_string_value(value) : "";
}

const char *kube_string(const json_t *object, ...)
{
	const char *key;
	va_list ap;

	va_start(ap, object);
	while ((key = va_arg(ap, const char *)) != NULL)
		object = json_object_get(object, key);
	va_end(ap);
	return string_of(object);
}

const char *kube_annotation(const json_t *object, const char *key)
{
	return kube_string(object, "metadata", "annotations", key, NULL);
}

const char *kube_label(const json_t *object, const char *key)
{
	return kube_string(object, "metadata", "labels", key, NULL);
}

json_int_t kube_generation(const json_t *object)
{
	return json_integer_value(
		json_object_get(json_object_get(object, "metadata"), "generation"));
}
