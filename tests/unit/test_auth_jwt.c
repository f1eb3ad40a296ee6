/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "auth/jwt.h"

#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "jwt_mint.h"

#define ISSUER "https://issuer.example"
#define AUDIENCE "gsq"
#define NOW UINT64_C(1800000000)
#define WHO "\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\""
#define CLAIMS "{" WHO ",\"exp\":1800000300,\"sub\":\"alice\"}"

enum verdict { ACCEPTED, UNKNOWN_KEY, REFUSED };

static struct mint rsa, p256, ed25519;
static struct jwks *keys;

static struct jwks *parse_jwks(const char *json)
{
	struct error err = ERROR_INIT;
	struct jwks *set = NULL;

	if (jwks_parse(&set, slice_of(json), &err) != 0)
		fail_msg("%s", err.text);
	return set;
}

static int make_keys(void **state UNUSED)
{
	const struct mint *const all[] = {&rsa, &p256, &ed25519};
	AUTO_FREE char *json = NULL;

	mint_init(&rsa, "RS256", "r");
	mint_init(&p256, "ES256", "p");
	mint_init(&ed25519, "EdDSA", "e");
	json = mint_jwks(all, ARRAY_SIZE(all));
	keys = parse_jwks(json);
	return 0;
}

static int free_keys(void **state UNUSED)
{
	jwks_free(keys);
	mint_done(&rsa);
	mint_done(&p256);
	mint_done(&ed25519);
	return 0;
}

/* Of a token in memory of exactly its size. */
static enum verdict judge_slice(struct slice text, const struct jwks *set, struct error *err)
{
	CLEANUP(jwt_done) struct jwt t = {.header = NULL};
	AUTO_FREE char *exact = malloc(text.n + (text.n == 0));
	uint64_t until_s = 0;
	int rc;

	memcpy(exact, text.p, text.n);
	*err = (struct error)ERROR_INIT;
	rc = jwt_parse(&t, (struct slice){exact, text.n}, err);
	if (rc == 0)
		rc = jwt_verify(&t, set, err);
	if (rc == 0)
		rc = jwt_check_claims(&t, ISSUER, AUDIENCE, NOW, &until_s, err);
	if (rc >= 0)
		return rc == 0 ? ACCEPTED : UNKNOWN_KEY;
	assert_int_equal(err->code, ERROR_UNAUTHORIZED);
	return REFUSED;
}

static enum verdict judge(const char *token)
{
	struct error err;

	return judge_slice(slice_of(token), keys, &err);
}

static void assert_refused_slice(struct slice token, const char *why)
{
	struct error err;

	assert_int_equal(judge_slice(token, keys, &err), REFUSED);
	if (strstr(err.text, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void assert_refused(const char *token, const char *why)
{
	assert_refused_slice(slice_of(token), why);
}

/* ---- the RFCs' own examples ---- */

#define JOES_CLAIMS \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
	"c" \
	"nVlfQ"

static void assert_verifies(const char *jwks, const char *token)
{
	CLEANUP(jwks_freep) struct jwks *set = parse_jwks(jwks);
	CLEANUP(jwt_done) struct jwt t = {.header = NULL};
	struct error err;

	assert_int_equal(jwt_parse(&t, slice_of(token), &err), 0);
	assert_int_equal(jwt_verify(&t, set, &err), 0);
	t.signature[10] ^= 1;
	assert_int_equal(jwt_verify(&t, set, &err), 1);
}

static void rfc_7515_a_2_verifies(void **state UNUSED)
{
	assert_verifies(
		"{\"keys\":[{\"kty\":\"RSA\",\"n\":"
		"\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2m"
		"JPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0"
		"LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZ"
		"lxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PA"
		"cDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}]}",
		"eyJhbGciOiJSUzI1NiJ9." JOES_CLAIMS
		".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_l"
		"F5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK"
		"5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtF"
		"ZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0"
		"igcN_IoypGlUPQGe77Rw");
}

static void rfc_7515_a_3_verifies(void **state UNUSED)
{
	assert_verifies("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
			"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
			"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}",
		"eyJhbGciOiJFUzI1NiJ9." JOES_CLAIMS
		".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-K"
		"g6NU1Q");
}

/* Its payload is a sentence and no JSON, so it is put together by hand. */
static void rfc_8037_a_4_verifies(void **state UNUSED)
{
	CLEANUP(jwks_freep)
	struct jwks *set = parse_jwks("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
				      "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
	CLEANUP(jwt_done) struct jwt t = {.header = NULL};
	struct error err;

	assert_int_equal(
		jwt_parse(&t,
			SLICE("eyJhbGciOiJFZERTQSJ9." JOES_CLAIMS
			      ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVs"
			      "Pt9g7sVvpAr_MuM0KAg"),
			&err),
		0);
	assert_int_equal(jwt_verify(&t, set, &err), 1);
	t.signed_part = SLICE("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
	assert_int_equal(jwt_verify(&t, set, &err), 0);
}

/* ---- signatures ---- */

static void each_kind_of_key_signs_tokens_that_count(void **state UNUSED)
{
	const struct mint *const all[] = {&rsa, &p256, &ed25519};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		AUTO_FREE char *token = mint_token(all[i], NULL, CLAIMS);

		assert_int_equal(judge(token), ACCEPTED);
	}
}

static void a_token_without_kid_is_tried_with_each_key_of_its_kind(void **state UNUSED)
{
	AUTO_FREE char *token = mint_token(&p256, "{\"alg\":\"ES256\"}", CLAIMS);

	assert_int_equal(judge(token), ACCEPTED);
}

static void ed25519_is_another_name_of_eddsa(void **state UNUSED)
{
	AUTO_FREE char *token = mint_token(&ed25519, "{\"alg\":\"Ed25519\",\"kid\":\"e\"}", CLAIMS);

	assert_int_equal(judge(token), ACCEPTED);
}

static void a_key_that_is_not_known_is_no_refusal_yet(void **state UNUSED)
{
	struct mint other;
	AUTO_FREE char *with_kid = NULL, *without = NULL;

	mint_init(&other, "ES256", "newer");
	with_kid = mint_token(&other, NULL, CLAIMS);
	without = mint_token(&other, "{\"alg\":\"ES256\"}", CLAIMS);
	assert_int_equal(judge(with_kid), UNKNOWN_KEY);
	assert_int_equal(judge(without), UNKNOWN_KEY);
	mint_done(&other);
}

static void a_known_kid_with_the_signature_of_another_key_is_refused(void **state UNUSED)
{
	struct mint other;
	AUTO_FREE char *token = NULL;

	mint_init(&other, "ES256", "p");
	token = mint_token(&other, NULL, CLAIMS);
	assert_refused(token, "signature is wrong");
	mint_done(&other);
}

/* Keys of one kid may differ in their kind (RFC 7517 section 4.5). */
static void of_two_keys_with_one_kid_either_may_have_signed(void **state UNUSED)
{
	struct mint one, two;
	const struct mint *const both[] = {&one, &two};
	AUTO_FREE char *json = NULL, *first = NULL, *second = NULL;
	struct jwks *set;
	struct error err;

	mint_init(&one, "ES256", "same");
	mint_init(&two, "EdDSA", "same");
	json = mint_jwks(both, 2);
	set = parse_jwks(json);
	first = mint_token(&one, NULL, CLAIMS);
	second = mint_token(&two, NULL, CLAIMS);
	assert_int_equal(judge_slice(slice_of(first), set, &err), ACCEPTED);
	assert_int_equal(judge_slice(slice_of(second), set, &err), ACCEPTED);
	jwks_free(set);
	mint_done(&one);
	mint_done(&two);
}

/* ---- the algorithm is the key's ---- */

static void alg_none_is_refused_however_it_is_written(void **state UNUSED)
{
	static const char *const headers[] = {"{\"alg\":\"none\",\"kid\":\"r\"}",
		"{\"alg\":\"None\"}", "{\"alg\":\"NONE\"}", "{\"alg\":\"\"}", "{\"alg\":null}",
		"{\"alg\":[\"RS256\"]}", "{\"alg\":\"rs256\"}", "{\"kid\":\"r\"}", "{}"};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		AUTO_FREE char *token = mint_token(&rsa, headers[i], CLAIMS);
		AUTO_FREE char *empty = mint_with(headers[i], CLAIMS, "", 0);

		assert_refused(token, "none of RS256, ES256 and EdDSA");
		assert_refused(empty, "signature is not base64url");
	}
}

static void assert_hmac_is_refused(const void *secret, size_t len)
{
	static const char *const header = "{\"alg\":\"HS256\",\"kid\":\"r\"}";
	AUTO_FREE char *unsigned_token = mint_with(header, CLAIMS, "", 0), *token = NULL;
	unsigned char mac[32];
	unsigned n = sizeof(mac);

	assert_non_null(HMAC(EVP_sha256(), secret, (int)len, (unsigned char *)unsigned_token,
		strlen(unsigned_token) - 1, mac, &n));
	token = mint_with(header, CLAIMS, mac, n);
	assert_refused(token, "none of RS256, ES256 and EdDSA");
}

static void an_hmac_with_the_public_key_as_its_secret_is_refused(void **state UNUSED)
{
	BIO *pem = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	char *text;
	long n;
	int len;

	assert_int_equal(PEM_write_bio_PUBKEY(pem, rsa.key), 1);
	n = BIO_get_mem_data(pem, &text);
	assert_hmac_is_refused(text, (size_t)n);
	BIO_free(pem);
	len = i2d_PUBKEY(rsa.key, &der);
	assert_true(len > 0);
	assert_hmac_is_refused(der, (size_t)len);
	OPENSSL_free(der);
}

static void an_alg_that_is_not_that_of_the_named_key_is_refused(void **state UNUSED)
{
	static const char *const algs[] = {"RS256", "ES256", "EdDSA"};
	static const char *const kids[] = {"r", "p", "e"};
	const struct mint *const all[] = {&rsa, &p256, &ed25519};

	for (size_t alg = 0; alg < 3; alg++) {
		for (size_t kid = 0; kid < 3; kid++) {
			AUTO_FREE char *header =
				str_printf("{\"alg\":\"%s\",\"kid\":\"%s\"}", algs[alg], kids[kid]);
			AUTO_FREE char *token = mint_token(all[kid], header, CLAIMS);

			if (alg == kid)
				assert_int_equal(judge(token), ACCEPTED);
			else
				assert_refused(token, "not that of the key");
		}
	}
}

static void other_hashes_and_pss_are_refused(void **state UNUSED)
{
	static const char *const algs[] = {"RS384", "RS512", "PS256", "ES384", "ES256K", "HS256"};

	for (size_t i = 0; i < ARRAY_SIZE(algs); i++) {
		AUTO_FREE char *header = str_printf("{\"alg\":\"%s\",\"kid\":\"r\"}", algs[i]);
		AUTO_FREE char *token = mint_token(&rsa, header, CLAIMS);

		assert_refused(token, "none of RS256, ES256 and EdDSA");
	}
}

static void a_key_that_the_token_brings_along_does_not_count(void **state UNUSED)
{
	struct mint own;
	AUTO_FREE char *jwk = NULL, *header = NULL, *token = NULL;

	mint_init(&own, "ES256", "p");
	jwk = mint_jwk(&own);
	header = str_printf("{\"alg\":\"ES256\",\"kid\":\"p\",\"jwk\":%s,"
			    "\"jku\":\"https://evil.example/keys\"}",
		jwk);
	token = mint_token(&own, header, CLAIMS);
	assert_refused(token, "signature is wrong");
	mint_done(&own);
}

/* ---- forms of a signature ---- */

static void a_signature_of_another_length_is_refused(void **state UNUSED)
{
	static const char *const headers[] = {"{\"alg\":\"RS256\",\"kid\":\"r\"}",
		"{\"alg\":\"ES256\",\"kid\":\"p\"}", "{\"alg\":\"EdDSA\",\"kid\":\"e\"}"};
	static const size_t lengths[] = {1, 32, 63, 64, 65, 72, 96, 128, 255, 256, 257, 4096};
	static const unsigned char bytes[4096] = {1};

	for (size_t h = 0; h < ARRAY_SIZE(headers); h++) {
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			AUTO_FREE char *token = mint_with(headers[h], CLAIMS, bytes, lengths[i]);

			assert_refused(token, "signature is wrong");
		}
	}
}

/* Anything would verify where they were let through: CVE-2022-21449. */
static void es256_with_r_or_s_out_of_range_is_refused(void **state UNUSED)
{
	static const unsigned char zero[32] = {0}, one[32] = {[31] = 1},
				   order[32] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff,
					   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
					   0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2,
					   0xfc, 0x63, 0x25, 0x51};
	unsigned char largest[32];
	const unsigned char *const values[] = {zero, one, order, largest};

	memset(largest, 0xff, sizeof(largest));
	for (size_t r = 0; r < ARRAY_SIZE(values); r++) {
		for (size_t s = 0; s < ARRAY_SIZE(values); s++) {
			unsigned char signature[64];
			AUTO_FREE char *token = NULL;

			memcpy(signature, values[r], 32);
			memcpy(signature + 32, values[s], 32);
			token = mint_with(
				"{\"alg\":\"ES256\",\"kid\":\"p\"}", CLAIMS, signature, 64);
			assert_refused(token, "signature is wrong");
		}
	}
}

/* The form that OpenSSL writes, and that some libraries take for JWS. */
static void es256_in_der_is_refused(void **state UNUSED)
{
	AUTO_FREE char *token = mint_token(&p256, NULL, CLAIMS), *end = NULL, *der = NULL;
	unsigned char bytes[72];

	*strrchr(token, '.') = '\0';
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = sizeof(bytes);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, p256.key), 1);
	assert_int_equal(
		EVP_DigestSign(ctx, bytes, &len, (unsigned char *)token, strlen(token)), 1);
	EVP_MD_CTX_free(ctx);
	end = base64url(bytes, len);
	der = str_printf("%s.%s", token, end);
	assert_refused(der, "signature is wrong");
}

/* ---- the text ---- */

static void a_token_cut_anywhere_never_counts(void **state UNUSED)
{
	const struct mint *const all[] = {&rsa, &p256, &ed25519};
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		AUTO_FREE char *token = mint_token(all[i], NULL, CLAIMS);

		for (size_t n = 0; n < strlen(token); n++)
			assert_int_equal(
				judge_slice((struct slice){token, n}, keys, &err), REFUSED);
	}
}

/* There is one text for a token: base64url is canonical. */
static void a_token_with_any_character_changed_never_counts(void **state UNUSED)
{
	static const char alphabet[] = "ABCDwxyz0189-_+/=. \n";
	AUTO_FREE char *token = mint_token(&p256, NULL, CLAIMS);

	for (size_t at = 0; at < strlen(token); at++) {
		char was = token[at];

		for (size_t i = 0; i < sizeof(alphabet); i++) {
			struct error err;

			token[at] = alphabet[i];
			if (token[at] != was)
				assert_int_not_equal(
					judge_slice(
						(struct slice){token, strlen(token)}, keys, &err),
					ACCEPTED);
			token[at] = was;
		}
	}
	assert_int_equal(judge(token), ACCEPTED);
}

static void padding_and_white_space_are_refused(void **state UNUSED)
{
	AUTO_FREE char *token = mint_token(&p256, NULL, CLAIMS);
	static const char *const forms[] = {"%s=", "%s==", "%s\n", " %s", "%s ", "%s."};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct buf b = BUF_INIT(MIB);
		const char *percent = strstr(forms[i], "%s");

		buf_append(&b, forms[i], (size_t)(percent - forms[i]));
		buf_puts(&b, token);
		buf_puts(&b, percent + 2);
		assert_refused_slice(buf_slice(&b), "the token is no JWT");
		buf_done(&b);
	}
}

static void a_huge_token_is_refused(void **state UNUSED)
{
	AUTO_FREE char *huge = malloc(MIB);
	AUTO_FREE char *most = malloc(LIMIT_CREDENTIAL);

	memset(huge, 'A', MIB);
	assert_refused_slice((struct slice){huge, MIB}, "longer than");
	memset(most, '.', LIMIT_CREDENTIAL);
	assert_refused_slice((struct slice){most, LIMIT_CREDENTIAL}, "three parts");
}

/* So that it is told what is wrong with it, and nobody else is asked. */
static void a_token_is_of_an_issuer_whatever_else_is_wrong_with_it(void **state UNUSED)
{
	AUTO_FREE char *good = mint_token(&p256, NULL, CLAIMS);
	AUTO_FREE char *odd = mint_with("{\"crit\":1}", "{\"iss\":\"" ISSUER "\"}", "", 0);
	AUTO_FREE char *other = mint_token(&p256, NULL, "{\"iss\":\"" ISSUER "/\"}");
	AUTO_FREE char *none = mint_token(&p256, NULL, "{\"iss\":[\"" ISSUER "\"]}");

	assert_true(jwt_is_of(slice_of(good), ISSUER));
	assert_true(jwt_is_of(slice_of(odd), ISSUER));
	assert_false(jwt_is_of(slice_of(other), ISSUER));
	assert_false(jwt_is_of(slice_of(none), ISSUER));
	*strrchr(good, '.') = '\0';
	assert_false(jwt_is_of(slice_of(good), ISSUER));
	assert_false(jwt_is_of(SLICE("gsq_secret"), ISSUER));
	assert_false(jwt_is_of(SLICE(""), ISSUER));
}

static void what_has_not_three_parts_is_refused(void **state UNUSED)
{
	static const char *const texts[] = {
		"", ".", "..", "...", "a", "a.b", "a.b.c.d", "a.b.c.d.e", "gsq_0123456789"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_refused(texts[i], "the token is no JWT");
}

/* ---- the header ---- */

static void headers_that_are_refused(void **state UNUSED)
{
	static const struct {
		const char *header, *why;
	} cases[] = {
		{"{\"alg\":\"ES256\",\"kid\":\"p\",\"crit\":[\"b64\"],\"b64\":false}", "\"crit\""},
		{"{\"alg\":\"ES256\",\"kid\":\"p\",\"crit\":[]}", "\"crit\""},
		{"{\"alg\":\"ES256\",\"kid\":7}", "\"kid\" is not a string"},
		{"{\"alg\":\"ES256\",\"kid\":null}", "\"kid\" is not a string"},
		{"{\"alg\":\"ES256\",\"kid\":\"p\",\"alg\":\"ES256\"}", "given already"},
		{"{\"alg\":\"ES256\",\"kid\":\"p\",\"typ\":\"logout+jwt\"}", "\"typ\""},
		{"{\"alg\":\"ES256\",\"kid\":\"p\",\"typ\":1}", "\"typ\""},
		{"[]", "header is not a JSON object"},
		{"\"x\"", "header is not a JSON object"},
		{"{\"alg\":\"ES256\"} x", "something follows"},
		{"{\"alg\":\"ES256\",\"kid\":\"p\\u0000\"}", "U+0000"},
		{"{\"alg\":\"ES256\",\"kid\":\"\xff\"}", "invalid UTF-8"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_FREE char *token = mint_token(&p256, cases[i].header, CLAIMS);

		assert_refused(token, cases[i].why);
	}
}

static void types_of_tokens_that_count(void **state UNUSED)
{
	static const char *const types[] = {
		"JWT", "jwt", "at+jwt", "application/at+jwt", "Application/JWT"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		AUTO_FREE char *header =
			str_printf("{\"alg\":\"ES256\",\"kid\":\"p\",\"typ\":\"%s\"}", types[i]);
		AUTO_FREE char *token = mint_token(&p256, header, CLAIMS);

		assert_int_equal(judge(token), ACCEPTED);
	}
}

/* It is compared and nothing else: no path, no query, no format. */
static void a_kid_may_be_any_text(void **state UNUSED)
{
	static const char *const kids[] = {"", "../../etc/passwd", "' OR 1=1 --", "%s%n%n",
		"http://127.0.0.1/", "a\\nb", "\\u202e\\ud83d\\ude00", "p ", "P"};

	for (size_t i = 0; i < ARRAY_SIZE(kids); i++) {
		struct mint odd = {"ES256", kids[i], p256.key};
		const struct mint *const all[] = {&odd};
		AUTO_FREE char *token = mint_token(&odd, NULL, CLAIMS);
		AUTO_FREE char *json = mint_jwks(all, 1);
		CLEANUP(jwks_freep) struct jwks *set = parse_jwks(json);
		struct error err;

		assert_int_equal(judge(token), UNKNOWN_KEY);
		assert_int_equal(judge_slice(slice_of(token), set, &err), ACCEPTED);
	}
}

/* ---- claims ---- */

static void claims_that_are_refused(void **state UNUSED)
{
	static const struct {
		const char *claims, *why;
	} cases[] = {
		{"{" WHO ",\"exp\":1799999940}", "has expired"},
		{"{" WHO ",\"exp\":0}", "has expired"},
		{"{" WHO "}", "no \"exp\""},
		{"{" WHO ",\"exp\":null}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":\"1800000300\"}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":true}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":[1800000300]}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":-1}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":-1e300}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":1e300}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":1e999}", "a number that is too large"},
		{"{" WHO ",\"exp\":253402300800}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":9223372036854775807}", "\"exp\" is not a number"},
		{"{" WHO ",\"exp\":18446744073709551616}", "a number that is too large"},
		{"{" WHO ",\"exp\":1799999939.9}", "has expired"},
		{"{" WHO ",\"exp\":1800000300,\"exp\":1800000301}", "given already"},
		{"{" WHO ",\"exp\":1800000300,\"iss\":\"" ISSUER "\"}", "given already"},
		{"{" WHO ",\"exp\":1800000300,\"nbf\":1800000061}", "not valid yet"},
		{"{" WHO ",\"exp\":1800000300,\"nbf\":\"1\"}", "\"nbf\" is not a number"},
		{"{" WHO ",\"exp\":1800000300,\"iat\":1800000061}", "from the future"},
		{"{" WHO ",\"exp\":1800000300,\"iat\":-5}", "\"iat\" is not a number"},
		{"{\"iss\":\"" ISSUER "\",\"exp\":1800000300}", "\"aud\" must hold gsq"},
		{"{\"iss\":\"" ISSUER "\",\"exp\":1800000300,\"aud\":\"gsq2\"}", "must hold gsq"},
		{"{\"iss\":\"" ISSUER "\",\"exp\":1800000300,\"aud\":\"\"}", "must hold gsq"},
		{"{\"iss\":\"" ISSUER "\",\"exp\":1800000300,\"aud\":[]}", "must hold gsq"},
		{"{\"iss\":\"" ISSUER "\",\"exp\":1800000300,\"aud\":[\"a\",\"GSQ\"]}",
			"must hold"},
		{"{\"iss\":\"" ISSUER "\",\"exp\":1800000300,\"aud\":[\"gsq\",1]}",
			"list of strings"},
		{"{\"iss\":\"" ISSUER "\",\"exp\":1800000300,\"aud\":{\"gsq\":1}}",
			"must hold gsq"},
		{"{\"aud\":\"gsq\",\"exp\":1800000300}", "names no issuer"},
		{"{\"aud\":\"gsq\",\"exp\":1800000300,\"iss\":[\"" ISSUER "\"]}",
			"names no issuer"},
		{"{\"aud\":\"gsq\",\"exp\":1800000300,\"iss\":\"" ISSUER "/\"}", "another issuer"},
		{"{\"aud\":\"gsq\",\"exp\":1800000300,\"iss\":\"https://evil\"}", "another issuer"},
		{"[" WHO "]", "payload is not a JSON object"},
		{"{", "payload is the JSON ends too early"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_FREE char *token = mint_token(&p256, NULL, cases[i].claims);

		assert_refused(token, cases[i].why);
	}
}

static void claims_that_count(void **state UNUSED)
{
	static const char *const cases[] = {
		"{" WHO ",\"exp\":1800000001}",
		"{" WHO ",\"exp\":1799999941}", /* within the leeway */
		"{" WHO ",\"exp\":1800000300.75}",
		"{" WHO ",\"exp\":1.8000003e9}",
		"{" WHO ",\"exp\":253402300799}",
		"{" WHO ",\"exp\":1800000300,\"nbf\":1800000060,\"iat\":1800000060}",
		"{" WHO ",\"exp\":1800000300,\"nbf\":0,\"iat\":0}",
		"{\"iss\":\"" ISSUER "\",\"exp\":1800000300,\"aud\":[\"a\",\"gsq\",\"b\"]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_FREE char *token = mint_token(&p256, NULL, cases[i]);

		assert_int_equal(judge(token), ACCEPTED);
	}
}

static void a_token_counts_until_its_expiry_and_the_leeway(void **state UNUSED)
{
	AUTO_FREE char *token = mint_token(&p256, NULL, CLAIMS);
	CLEANUP(jwt_done) struct jwt t = {.header = NULL};
	const uint64_t until = UINT64_C(1800000300) + LIMIT_CLOCK_SKEW_S;
	uint64_t until_s = 0;
	struct error err;

	assert_int_equal(jwt_parse(&t, slice_of(token), &err), 0);
	assert_int_equal(jwt_check_claims(&t, ISSUER, AUDIENCE, until - 1, &until_s, &err), 0);
	assert_int_equal(until_s, until);
	assert_int_equal(jwt_check_claims(&t, ISSUER, AUDIENCE, until, &until_s, &err), -1);
}

/* ---- sets of keys ---- */

#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""

static const struct {
	const char *jwk, *why;
} useless[] = {
	{"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "n and e"},
	{"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "its type"},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_Y "\",\"y\":\"" EC_X "\"}",
		"on the curve"},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "=\",\"y\":\"" EC_Y "\"}", "32 bytes"},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA" EC_X "\",\"y\":\"" EC_Y "\"}", "32 bytes"},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\",\"y\":\"\"}", "32 bytes"},
	{"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":1,\"y\":\"" EC_Y "\"}", "32 bytes"},
	{"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "32 bytes"},
	{"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" EC_X "\"}", "its type"},
	{"{\"kty\":\"OKP\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}", "its type"},
	{"{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}", "its type"},
	{"{" EC ",\"use\":\"enc\"}", "not for signatures"},
	{"{" EC ",\"use\":1}", "not for signatures"},
	{"{" EC ",\"key_ops\":[\"sign\"]}", "not for signatures"},
	{"{" EC ",\"alg\":\"ES512\"}", "\"alg\" is not ES256"},
	{"{" EC ",\"alg\":\"HS256\"}", "\"alg\" is not ES256"},
	{"{" EC ",\"kid\":5}", "\"kid\" is not a string"},
	{"{" EC ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}", "private part"},
	{"7", "its type"},
	{"null", "its type"},
	{"{}", "its type"},
};

static void a_set_of_useless_keys_is_an_error(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(useless); i++) {
		AUTO_FREE char *json = str_printf("{\"keys\":[%s]}", useless[i].jwk);
		struct error err = ERROR_INIT;
		struct jwks *set = NULL;

		assert_int_equal(jwks_parse(&set, slice_of(json), &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_null(set);
		if (strstr(err.text, useless[i].why) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", json, err.text, useless[i].why);
	}
}

static void useless_keys_are_left_out_beside_a_good_one(void **state UNUSED)
{
	AUTO_FREE char *good = mint_jwk(&p256), *token = mint_token(&p256, NULL, CLAIMS);

	for (size_t i = 0; i < ARRAY_SIZE(useless); i++) {
		AUTO_FREE char *json = str_printf("{\"keys\":[%s,%s]}", useless[i].jwk, good);
		CLEANUP(jwks_freep) struct jwks *set = parse_jwks(json);
		struct error err;

		assert_int_equal(jwks_count(set), 1);
		assert_int_equal(judge_slice(slice_of(token), set, &err), ACCEPTED);
	}
}

static void uses_of_keys_that_count(void **state UNUSED)
{
	static const char *const uses[] = {"", ",\"use\":\"sig\"", ",\"alg\":\"ES256\"",
		",\"key_ops\":[\"verify\"]", ",\"x5c\":[\"?\"],\"unknown\":{}"};

	for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
		AUTO_FREE char *json = str_printf("{\"keys\":[{" EC "%s}]}", uses[i]);
		CLEANUP(jwks_freep) struct jwks *set = parse_jwks(json);

		assert_int_equal(jwks_count(set), 1);
	}
}

/* With an exponent of 1 each text would be its own signature. */
static void rsa_exponents_that_are_refused(void **state UNUSED)
{
	static const char *const exponents[] = {"", "AA", "AQ", "Ag", "AQAA", "AQAAAAE", "AQ AB"};
	AUTO_FREE char *jwk = mint_jwk(&rsa);
	char *e = strstr(jwk, "\"e\":");

	*e = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(exponents); i++) {
		AUTO_FREE char *json =
			str_printf("{\"keys\":[%s\"e\":\"%s\"}]}", jwk, exponents[i]);
		struct error err = ERROR_INIT;
		struct jwks *set = NULL;

		assert_int_equal(jwks_parse(&set, slice_of(json), &err), -1);
		assert_non_null(strstr(err.text, "odd exponent"));
	}
}

static void rsa_keys_below_2048_bits_are_refused(void **state UNUSED)
{
	static const size_t bits[] = {1024, 2040, 2048};

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		struct mint m = {"RS256", NULL, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits[i])};
		const struct mint *const all[] = {&m};
		AUTO_FREE char *json = mint_jwks(all, 1);
		CLEANUP(jwks_freep) struct jwks *set = NULL;
		struct error err = ERROR_INIT;
		int rc = jwks_parse(&set, slice_of(json), &err);

		assert_int_equal(rc, bits[i] < 2048 ? -1 : 0);
		if (rc != 0)
			assert_non_null(strstr(err.text, "2,048"));
		mint_done(&m);
	}
}

static void documents_that_are_no_sets_of_keys(void **state UNUSED)
{
	static const char *const texts[] = {"", "{}", "[]", "null", "<html>", "{\"keys\":[]}",
		"{\"keys\":{}}", "{\"keys\":null}", "{\"keys\":[{" EC "}],\"keys\":[]}",
		"{\"keys\":[{" EC "}]", "{\"keys\":[{" EC ",\"kty\":\"EC\"}]}", "{" EC "}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct error err = ERROR_INIT;
		struct jwks *set = NULL;

		assert_int_equal(jwks_parse(&set, slice_of(texts[i]), &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_null(set);
	}
}

static void too_many_keys_are_refused(void **state UNUSED)
{
	struct buf b = BUF_INIT(MIB);
	struct error err = ERROR_INIT;
	struct jwks *set = NULL;

	buf_puts(&b, "{\"keys\":[{" EC "}");
	for (size_t i = 1; i < LIMIT_JWKS_KEYS + 1; i++)
		buf_puts(&b, ",{" EC "}");
	buf_puts(&b, "]}");
	assert_int_equal(jwks_parse(&set, buf_slice(&b), &err), -1);
	assert_non_null(strstr(err.text, "at most 100"));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_7515_a_2_verifies),
		cmocka_unit_test(rfc_7515_a_3_verifies),
		cmocka_unit_test(rfc_8037_a_4_verifies),
		cmocka_unit_test(each_kind_of_key_signs_tokens_that_count),
		cmocka_unit_test(a_token_without_kid_is_tried_with_each_key_of_its_kind),
		cmocka_unit_test(ed25519_is_another_name_of_eddsa),
		cmocka_unit_test(a_key_that_is_not_known_is_no_refusal_yet),
		cmocka_unit_test(a_known_kid_with_the_signature_of_another_key_is_refused),
		cmocka_unit_test(of_two_keys_with_one_kid_either_may_have_signed),
		cmocka_unit_test(alg_none_is_refused_however_it_is_written),
		cmocka_unit_test(an_hmac_with_the_public_key_as_its_secret_is_refused),
		cmocka_unit_test(an_alg_that_is_not_that_of_the_named_key_is_refused),
		cmocka_unit_test(other_hashes_and_pss_are_refused),
		cmocka_unit_test(a_key_that_the_token_brings_along_does_not_count),
		cmocka_unit_test(a_signature_of_another_length_is_refused),
		cmocka_unit_test(es256_with_r_or_s_out_of_range_is_refused),
		cmocka_unit_test(es256_in_der_is_refused),
		cmocka_unit_test(a_token_cut_anywhere_never_counts),
		cmocka_unit_test(a_token_with_any_character_changed_never_counts),
		cmocka_unit_test(padding_and_white_space_are_refused),
		cmocka_unit_test(a_huge_token_is_refused),
		cmocka_unit_test(a_token_is_of_an_issuer_whatever_else_is_wrong_with_it),
		cmocka_unit_test(what_has_not_three_parts_is_refused),
		cmocka_unit_test(headers_that_are_refused),
		cmocka_unit_test(types_of_tokens_that_count),
		cmocka_unit_test(a_kid_may_be_any_text),
		cmocka_unit_test(claims_that_are_refused),
		cmocka_unit_test(claims_that_count),
		cmocka_unit_test(a_token_counts_until_its_expiry_and_the_leeway),
		cmocka_unit_test(a_set_of_useless_keys_is_an_error),
		cmocka_unit_test(useless_keys_are_left_out_beside_a_good_one),
		cmocka_unit_test(uses_of_keys_that_count),
		cmocka_unit_test(rsa_exponents_that_are_refused),
		cmocka_unit_test(rsa_keys_below_2048_bits_are_refused),
		cmocka_unit_test(documents_that_are_no_sets_of_keys),
		cmocka_unit_test(too_many_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
