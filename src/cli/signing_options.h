/* SPDX-License-Identifier: Apache-2.0 */
/* Options about signatures, and the keys that they name. */
#ifndef CLI_SIGNING_OPTIONS_H
#define CLI_SIGNING_OPTIONS_H

#include "cli/cli.h"
#include "publish/signing.h"

/* Values of the options below; all borrowed. */
struct signing_options {
	const char *key_file, *password_file; /* NULL: none */
	bool resources;
	const char *verify_file; /* NULL: no key counts but that of key_file */
	bool existing;
};

/* writes: something will be pushed. ERROR_INVALID names the flag. */
int signing_options_check(
	const struct signing_options *o, bool writes, struct error *err) MUST_CHECK;

/* What the files hold. */
struct signing_files {
	struct sign_key *key;
	struct sign_keys *verify;
	char *location;
	struct signing signing; /* borrows from the others */
};

/* registry: the remote one; NULL: the embedded one. Blocks, up to a second: a password is made a
 * key with scrypt. */
int signing_files_load(struct signing_files *ret, const struct signing_options *o,
	const char *registry, struct error *err) MUST_CHECK;
void signing_files_done(struct signing_files *f);

/* Rows for a verb's table of options. */
#define SIGNING_OPTION_KEY \
	{ \
		"sign-key", "SIGN_KEY", "FILE", NULL, \
			"private key, ECDSA on P-256, that catalogs and commit records are " \
			"signed " \
			"with: as cosign generate-key-pair makes it, or PKCS#8" \
	}
#define SIGNING_OPTION_PASSWORD \
	{ \
		"sign-password-file", "SIGN_PASSWORD_FILE", "FILE", NULL, \
			"the password of that key; an end of line after it is none of it" \
	}
#define SIGNING_OPTION_RESOURCES \
	{ \
		"sign-resources", "SIGN_RESOURCES", NULL, NULL, \
			"sign the artifact of each resource too, from the next change of it on" \
	}
#define SIGNING_OPTION_VERIFY \
	{ \
		"verify", "VERIFY_KEYS", "FILE", NULL, \
			"public keys that count beside that of --sign-key: a record or catalog " \
			"that none has signed is not read; several in one file while keys change" \
	}
#define SIGNING_OPTION_EXISTING \
	{ \
		"sign-existing", "SIGN_EXISTING", NULL, NULL, \
			"take in a store that nobody has signed, or not by a key that counts, " \
			"and " \
			"sign what is current: for one start, and after you have looked at it" \
	}

#endif
