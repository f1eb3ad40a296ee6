/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signing_options.h"

#include "base/file.h"
#include "oci/reference.h"

#include <openssl/crypto.h>

int signing_options_check(const struct signing_options *o, bool writes, struct error *err)
{
	const char *alone = o->resources               ? "sign-resources"
			    : o->existing              ? "sign-existing"
			    : o->password_file != NULL ? "sign-password-file"
						       : NULL;

	if (o->key_file == NULL && alone != NULL)
		return error_set(err, ERROR_INVALID, "--%s goes with --sign-key", alone);
	if (o->verify_file != NULL && o->key_file == NULL && writes)
		return error_set(err, ERROR_INVALID,
			"--verify needs --sign-key where anything is written, for what is "
			"committed without would be refused by the next start");
	if (o->existing && !writes)
		return error_set(err, ERROR_INVALID,
			"--sign-existing would sign nothing, as nothing is written");
	return 0;
}

/* ---- files ---- */

static void wipe(struct buf *b)
{
	if (b->data != NULL)
		OPENSSL_cleanse(b->data, b->cap);
	buf_done(b);
}

static int read_password(struct buf *ret, const char *file, struct error *err)
{
	if (file_read(file, ret, err) != 0)
		return error_wrap(err, "--sign-password-file");
	while (ret->len > 0 && (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
		ret->len--;
	return 0;
}

static int load_key(struct signing_files *f, const struct signing_options *o, struct error *err)
{
	CLEANUP(wipe) struct buf password = BUF_INIT(LIMIT_KEY_FILE);
	bool has_password = o->password_file != NULL;

	if (o->key_file == NULL)
		return 0;
	if (has_password && read_password(&password, o->password_file, err) != 0)
		return -1;
	if (sign_key_load(&f->key, o->key_file, has_password ? buf_slice(&password) : SLICE_NONE,
		    err) == 0)
		return 0;
	return error_wrap(err, "--sign-key");
}

static int load_verify(struct signing_files *f, const struct signing_options *o, struct error *err)
{
	if (o->verify_file == NULL)
		return 0;
	if (sign_keys_load(&f->verify, o->verify_file, err) != 0)
		return error_wrap(err, "--verify");
	return 0;
}

static int find_location(struct signing_files *f, const char *registry, struct error *err)
{
	struct registry_location location;

	if (registry == NULL)
		return 0;
	if (registry_location_parse(&location, registry, err) != 0)
		return -1;
	f->location = str_printf("%s/%s", location.host, location.prefix);
	return f->location == NULL ? error_no_memory(err) : 0;
}

int signing_files_load(struct signing_files *ret, const struct signing_options *o,
	const char *registry, struct error *err)
{
	struct signing_files f = {.key = NULL};

	if (load_key(&f, o, err) != 0 || load_verify(&f, o, err) != 0 ||
		find_location(&f, registry, err) != 0) {
		signing_files_done(&f);
		return -1;
	}
	f.signing = (struct signing){
		.key = f.key,
		.resources = o->resources,
		.verify = f.verify,
		.existing = o->existing,
		.location = f.location,
	};
	*ret = f;
	return 0;
}

void signing_files_done(struct signing_files *f)
{
	sign_key_free(f->key);
	sign_keys_free(f->verify);
	free(f->location);
	*f = (struct signing_files){0};
}
