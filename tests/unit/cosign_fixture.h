/* SPDX-License-Identifier: Apache-2.0 */
/* Made by cosign v3.1.3, of keys that sign nothing else: generate-key-pair and sign. */
#ifndef TESTS_UNIT_COSIGN_FIXTURE_H
#define TESTS_UNIT_COSIGN_FIXTURE_H

#define COSIGN_PASSWORD "hunter2"

/* What is between the lines BEGIN and END of its private key. */
#define COSIGN_KEY_BODY \
	"eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6\n" \
	"OCwicCI6MX0sInNhbHQiOiI1dWxPUXBmR1VhWVQwcGt5NXhTbG41ems4RER1c2p2\n" \
	"cm5KSE1qWHdpa0pjPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94\n" \
	"Iiwibm9uY2UiOiJlcGdabVpKdjdnUVhFL2xhaXNFeHlnUmNvdm5CVy9lTiJ9LCJj\n" \
	"aXBoZXJ0ZXh0Ijoiakk3UU9oUEtWRlNWMlZPUEJvWWNiZW5xMDZzejcreGtGV1gw\n" \
	"eXRJN1dzUHNhT3Z4RzVlZUxqTnk5d1BuUE1FaDJ2aHN1VUpzOEVaczljdjVMakJ1\n" \
	"QkllUGNxMXJQdFdYNFE1MWxlYTJtcFc5RGZRWTVsbmRRSHJxUWwyb1FlVTF2Wjhq\n" \
	"czY4OE4zazlkSjJxSDFHT2lPTGRpMmQ2R2JxeXRHQ1ZYVUtSRFlpRTR4eVU0bEJI\n" \
	"clJsSG05ZWlDV1ZOckhuSjUveURzc0V5OFE9PSJ9\n"

#define COSIGN_KEY \
	"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n" COSIGN_KEY_BODY \
	"-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"

#define COSIGN_PUBLIC_KEY \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENOvyMzxeJ0KjsxmGsvoNQcUdWuDH\n" \
	"eg7RuGTTLOSRJPl2frv5StNAOcPm97s59JdFqGpf7dl9hv6/vQHy4Zo4OA==\n" \
	"-----END PUBLIC KEY-----\n"

/* base64 of what a bundle calls the key by */
#define COSIGN_KEY_HINT "Mq85h3grpduhz3juj8jF4D3MLod3jlUyy72K0m8pNf0="

/* Another key's public half. */
#define COSIGN_OTHER_PUBLIC_KEY \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEbFxeImADFmxiYBL8p+hpCwIrsJIK\n" \
	"DCNVnCWBDJPKztLxSon6G0x0tsw3a/+PUOmwZ0W4d01HZcDANVKlJZ9G5Q==\n" \
	"-----END PUBLIC KEY-----\n"

/* A signature in the older format: the digest of what was signed, payload and manifest. */
#define COSIGN_SIGNED "sha256:9637aeffef7cd50aab2a382fe8b2069d796d71cfe2421b6171eb3e0d8f0af1a5"

#define COSIGN_PAYLOAD \
	"{\"critical\":{\"identity\":{\"docker-reference\":\"registry.example/gitops-squared/" \
	"catalog\"}," \
	"\"image\":{\"docker-manifest-digest\":\"sha256:" \
	"9637aeffef7cd50aab2a382fe8b2069d796d71cfe2421b6171eb3e0d8f0af1a5\"}," \
	"\"type\":\"cosign container image signature\"},\"optional\":null}"

#define COSIGN_MANIFEST_HEAD \
	"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"," \
	"\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":" \
	"233,\"digest\":\"sha256:" \
	"3c2d589a90e6517f4d3b210acdf55dccc0afa6622164edc071fdff2ff39bec9d\"}," \
	"\"layers\":["

#define COSIGN_LAYER \
	"{\"mediaType\":\"application/vnd.dev.cosign.simplesigning.v1+json\",\"size\":255," \
	"\"digest\":\"sha256:8a6c5f7020ce17980d539b1caf60c3acb2fece164533c9e596f847ce1847101f\"," \
	"\"annotations\":{\"dev.cosignproject.cosign/" \
	"signature\":\"MEUCIHM6yG4aaNAByxUGAA4Rn0AmWe6NFyt10hCagdGRWSI7AiEA1TX/" \
	"CFYORxSCLEgNkQMfMS3qJNKIkL8a/HuRLrerPb0=\"}}"

/* The same payload, signed by the other key. */
#define COSIGN_OTHER_LAYER \
	"{\"mediaType\":\"application/vnd.dev.cosign.simplesigning.v1+json\",\"size\":255," \
	"\"digest\":\"sha256:8a6c5f7020ce17980d539b1caf60c3acb2fece164533c9e596f847ce1847101f\"," \
	"\"annotations\":{\"dev.cosignproject.cosign/signature\":\"MEUCIDfodjthX4sx4hAknJalsrG/" \
	"S6TKoVTOrlyI4ZiX9iMXAiEAm6oTnCFOGxT8G+j6BIy+AoK5zX2jzt9c6ALvbgw0i4c=\"}}"

#define COSIGN_MANIFEST COSIGN_MANIFEST_HEAD COSIGN_LAYER "]}"

#endif
