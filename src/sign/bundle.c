/* SPDX-License-Identifier: Apache-2.0 */
#include "sign/bundle.h"

#include "base/json.h"
#include "sign/base64.h"
#include "sign/signature.h"

#define PAYLOAD_TYPE "application/vnd.in-toto+json"

static void write_statement(const struct digest *subject, struct buf *ret)
{
	char digest[DIGEST_TEXT_SIZE];
	struct slice hex = slice_of(digest_format(subject, digest));

	slice_cut(&hex, ':');
	json_begin_object(ret);
	json_member_cstr(ret, "_type", "https://in-toto.io/Statement/v1");
	json_key(ret, "subject");
	json_begin_array(ret);
	json_begin_object(ret);
	json_key(ret, "digest");
	json_begin_object(ret);
	json_member_string(ret, digest_algorithm_name(subject->algorithm), hex);
	json_end_object(ret);
	json_key(ret, "annotations");
	json_begin_object(ret);
	json_end_object(ret);
	json_end_object(ret);
	json_end_array(ret);
	json_member_cstr(ret, "predicateType", BUNDLE_PREDICATE_TYPE);
	json_key(ret, "predicate");
	json_begin_object(ret);
	json_end_object(ret);
	json_end_object(ret);
}

/* What DSSE signs (its "pre-authentication encoding"). */
static void write_signed_bytes(struct slice statement, struct buf *ret)
{
	buf_printf(ret, "DSSEv1 %zu " PAYLOAD_TYPE " %zu ", sizeof(PAYLOAD_TYPE) - 1, statement.n);
	buf_add(ret, statement);
}

static void member_base64(struct buf *b, const char *key, struct slice bytes)
{
	json_key(b, key);
	buf_putc(b, '"');
	base64_add(b, bytes);
	buf_putc(b, '"');
}

static void write_bundle(const struct digest *key_id, struct slice statement,
	struct slice signature, struct buf *ret)
{
	struct slice id = {(const char *)key_id->bytes, digest_size(key_id->algorithm)};

	json_begin_object(ret);
	json_member_cstr(ret, "mediaType", SIGNATURE_BUNDLE_TYPE);
	json_key(ret, "verificationMaterial");
	json_begin_object(ret);
	json_key(ret, "publicKey");
	json_begin_object(ret);
	member_base64(ret, "hint", id);
	json_end_object(ret);
	json_end_object(ret);
	json_key(ret, "dsseEnvelope");
	json_begin_object(ret);
	member_base64(ret, "payload", statement);
	json_member_cstr(ret, "payloadType", PAYLOAD_TYPE);
	json_key(ret, "signatures");
	json_begin_array(ret);
	json_begin_object(ret);
	member_base64(ret, "sig", signature);
	json_end_object(ret);
	json_end_array(ret);
	json_end_object(ret);
	json_end_object(ret);
}

int bundle_write(const struct sign_key *key, const struct digest *subject, struct buf *ret,
	struct error *err)
{
	CLEANUP(buf_done) struct buf statement = BUF_INIT(LIMIT_SIGNATURE);
	CLEANUP(buf_done) struct buf to_sign = BUF_INIT(LIMIT_SIGNATURE);
	CLEANUP(buf_done) struct buf signature = BUF_INIT(LIMIT_SIGNATURE);
	struct digest id = sign_key_id(key);

	write_statement(subject, &statement);
	write_signed_bytes(buf_slice(&statement), &to_sign);
	if (buf_check(&statement, err) != 0 || buf_check(&to_sign, err) != 0 ||
		sign_bytes(key, buf_slice(&to_sign), &signature, err) != 0)
		return -1;
	write_bundle(&id, buf_slice(&statement), buf_slice(&signature), ret);
	return buf_check(ret, err);
}
