// SPDX-License-Identifier: Apache-2.0
// The typed codec against the vectors of tests/vectors (one object of every kind with every field
// set, as JSON and as protobuf), and against tables of good and bad input.
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "codec/quantity.h"
#include "gen/resources.h"
#include "gen/types.h"

static struct cor_str read_file(struct cor_arena *a, const char *dir, const char *name) {
	char path[1024];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, O_RDONLY);
	if (fd < 0)
		fail_msg("%s: cannot open", path);
	char *p = cor_arena_bytes(a, 1 << 20);
	ssize_t n = read(fd, p, 1 << 20);
	assert_true(n > 0);
	return (struct cor_str){ p, (size_t)n };
}

/* JSON without white space outside strings. */
static struct cor_str compact(struct cor_arena *a, struct cor_str s) {
	char *out = cor_arena_bytes(a, s.n), *o = out;
	bool quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (quoted && c == '\\')
			*o++ = s.p[i++], c = s.p[i];
		else if (c == '"')
			quoted = !quoted;
		if (quoted || (c != ' ' && c != '\n'))
			*o++ = c;
	}
	return (struct cor_str){ out, (size_t)(o - out) };
}

static void assert_text(const char *what, struct cor_str want, struct cor_str got) {
	size_t i = 0;
	while (i < want.n && i < got.n && want.p[i] == got.p[i])
		i++;
	if (i == want.n && i == got.n)
		return;
	size_t from = i > 60 ? i - 60 : 0;
	struct cor_str w = cor_str_sub(want, from, 160), g = cor_str_sub(got, from, 160);
	fail_msg("%s: differs at byte %zu of %zu (%zu)\n want ...%.*s\n got  ...%.*s", what, i, want.n,
		got.n, COR_STR_ARG(w), COR_STR_ARG(g));
}

static const struct cor_type *type_of(struct cor_arena *a, struct cor_str json) {
	struct cor_str version, kind, group = COR_STR("");
	struct cor_err err;
	if (cor_json_typemeta(json, a, &version, &kind, &err) < 0)
		fail_msg("typemeta: %s", err.message);
	if (cor_str_chr(version, '/') < version.n)
		group = cor_str_cut(&version, '/');
	const struct cor_type *t = cor_type_gvk(group, version, kind);
	if (!t)
		fail_msg("no type %.*s %.*s", COR_STR_ARG(version), COR_STR_ARG(kind));
	return t;
}

static void *decode(const struct cor_type *t, struct cor_arena *a, struct cor_str json) {
	struct cor_decode d = { .arena = a, .strict = true };
	struct cor_err err;
	void *obj;
	if (cor_json_decode_new(t, json, &obj, &d, &err) < 0)
		fail_msg("%s: %s (%s, byte %zu)", cor_text(t->name), err.message, err.field, d.offset);
	if (d.errors.n)
		fail_msg("%s: %.*s", cor_text(t->name), COR_STR_ARG(d.errors.p[0]));
	return obj;
}

static void each_vector(void (*check)(struct cor_arena *a, const char *name, struct cor_str json,
		struct cor_str pb)) {
	const char *dir = getenv("COR_VECTORS");
	assert_non_null(dir);
	DIR *d = opendir(dir);
	assert_non_null(d);
	unsigned n = 0;
	struct cor_arena *a = cor_arena_new(0);
	for (struct dirent *e; (e = readdir(d));) {
		char pb[300];
		size_t len = strlen(e->d_name);
		if (len < 5 || strcmp(e->d_name + len - 5, ".json") != 0)
			continue;
		snprintf(pb, sizeof(pb), "%.*s.pb", (int)len - 5, e->d_name);
		check(a, e->d_name, read_file(a, dir, e->d_name), read_file(a, dir, pb));
		cor_arena_reset(a);
		n++;
	}
	closedir(d);
	cor_arena_free(a);
	assert_true(n > 80);
}

static void check_json(struct cor_arena *a, const char *name, struct cor_str json,
		struct cor_str pb) {
	const struct cor_type *t = type_of(a, json);
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	assert_int_equal(cor_json_encode(t, decode(t, a, json), &out), 0);
	assert_text(name, compact(a, json), cor_buf_view(&out));
}

static void check_proto(struct cor_arena *a, const char *name, struct cor_str json,
		struct cor_str pb) {
	const struct cor_type *t = type_of(a, json);
	void *from_json = decode(t, a, json), *obj = cor_arena_alloc(a, t->size);
	struct cor_decode d = { .arena = a };
	struct cor_err err;
	if (cor_proto_decode_envelope(t, pb, obj, &d, &err) < 0)
		fail_msg("%s: %s at %zu", name, err.message, d.offset);
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	assert_int_equal(cor_json_encode(t, obj, &out), 0);
	assert_text(name, compact(a, json), cor_buf_view(&out));
	assert_true(cor_obj_equal(t, obj, from_json));
	_cleanup_buf_ struct cor_buf back = COR_BUF_INIT;
	assert_int_equal(cor_proto_encode_envelope(t, from_json, &back), 0);
	assert_text(name, pb, cor_buf_view(&back));
}

static void check_copy(struct cor_arena *a, const char *name, struct cor_str json,
		struct cor_str pb) {
	const struct cor_type *t = type_of(a, json);
	char *text = cor_arena_cstr(a, json);
	struct cor_arena *own = cor_arena_new(0);
	void *obj = decode(t, own, (struct cor_str){ text, json.n });
	void *copy = cor_obj_dup(t, obj, a);
	assert_true(cor_obj_equal(t, obj, copy));
	struct cor_arena *kept_in = NULL, *again = cor_arena_new(0);
	void *kept = cor_obj_keep(t, obj, own, &kept_in);
	assert_int_equal(cor_arena_used(own), 0);
	assert_true(cor_obj_equal(t, copy, kept));
	(void)cor_obj_dup(t, kept, again);
	assert_int_equal(cor_arena_used(kept_in), cor_arena_used(again));
	cor_arena_free(again);
	cor_arena_free(kept_in);
	cor_arena_free(own);
	memset(text, 'x', json.n);      /* nothing of the input may be left in the copy */
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	assert_int_equal(cor_json_encode(t, copy, &out), 0);
	assert_text(name, compact(a, json), cor_buf_view(&out));
}

/* Cut at every byte: an error, never a crash (ASAN sees over-reads: the input is exactly sized). */
static void check_cut(struct cor_arena *a, const char *name, struct cor_str json,
		struct cor_str pb) {
	const struct cor_type *t = type_of(a, json);
	struct cor_arena *own = cor_arena_new(0);
	struct cor_str small = compact(a, json);
	size_t step = small.n > 20000 ? 97 : 7;
	for (size_t n = 0; n < small.n; n += step) {
		char *p = cor_calloc(1, n + 1);
		memcpy(p, small.p, n);
		p = cor_realloc(p, n ? n : 1);
		struct cor_decode d = { .arena = own };
		struct cor_err err;
		void *obj;
		assert_int_equal(cor_json_decode_new(t, (struct cor_str){ p, n }, &obj, &d, &err),
			COR_E_PARSE);
		assert_string_equal(err.message, "unexpected end of JSON input");
		free(p);
		cor_arena_reset(own);
	}
	for (size_t n = 0; n < pb.n; n += step) {
		char *p = cor_calloc(1, n + 1);
		memcpy(p, pb.p, n);
		p = cor_realloc(p, n ? n : 1);
		struct cor_decode d = { .arena = own };
		void *obj = cor_arena_alloc(own, t->size);
		(void)!cor_proto_decode_envelope(t, (struct cor_str){ p, n }, obj, &d, NULL);
		free(p);
		cor_arena_reset(own);
	}
	cor_arena_free(own);
}

static void test_vectors_json(void **state) {
	each_vector(check_json);
}

static void test_vectors_proto(void **state) {
	each_vector(check_proto);
}

static void test_vectors_copy(void **state) {
	each_vector(check_copy);
}

static void test_vectors_cut(void **state) {
	each_vector(check_cut);
}

static void test_errors(void **state) {
	static const struct {
		const char *type, *json, *message, *field;
	} cases[] = {
		{ "core.v1.Pod", "", "unexpected end of JSON input", "" },
		{ "core.v1.Pod", "[]", "json: cannot unmarshal array into Go value of type v1.Pod", "" },
		{ "core.v1.Pod", "{\"spec\":{\"containers\":[{\"image\":1}]}}", "json: cannot unmarshal number "
			"into Go struct field Container.spec.containers.image of type string",
			"spec.containers[0].image" },
		{ "apps.v1.Deployment", "{\"spec\":{\"replicas\":\"2\"}}", "json: cannot unmarshal string into "
			"Go struct field DeploymentSpec.spec.replicas of type int32", "spec.replicas" },
		{ "apps.v1.Deployment", "{\"spec\":{\"replicas\":1.5}}", "json: cannot unmarshal number 1.5 "
			"into Go struct field DeploymentSpec.spec.replicas of type int32", "spec.replicas" },
		{ "apps.v1.Deployment", "{\"spec\":{\"replicas\":3000000000}}", "json: cannot unmarshal number "
			"3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
			"spec.replicas" },
		{ "core.v1.Pod", "{\"metadata\":{\"labels\":{\"a\":1}}}", "json: cannot unmarshal number into "
			"Go struct field ObjectMeta.metadata.labels of type string", "metadata.labels.a" },
		{ "core.v1.Pod", "{\"metadata\":{\"labels\":[]}}", "json: cannot unmarshal array into Go struct "
			"field ObjectMeta.metadata.labels of type map[string]string", "metadata.labels" },
		{ "core.v1.Pod", "{\"spec\":{\"containers\":{}}}", "json: cannot unmarshal object into Go "
			"struct field PodSpec.spec.containers of type []v1.Container", "spec.containers" },
		{ "core.v1.Pod", "{\"spec\":{\"hostNetwork\":\"yes\"}}", "json: cannot unmarshal string into Go "
			"struct field PodSpec.spec.hostNetwork of type bool", "spec.hostNetwork" },
		{ "core.v1.Pod", "{\"spec\":}", "invalid character '}' looking for beginning of value",
			"spec" },
		{ "core.v1.Pod", "{\"spec\" {}}", "invalid character '{' after object key", "" },
		{ "core.v1.Pod", "{\"spec\":{} \"x\":1}",
			"invalid character '\"' after object key:value pair", "" },
		{ "core.v1.Pod", "{spec:{}}",
			"invalid character 's' looking for beginning of object key string", "" },
		{ "core.v1.Pod", "{\"spec\":{},}",
			"invalid character '}' looking for beginning of object key string", "" },
		{ "core.v1.Pod", "{\"spec\":{\"containers\":[{},]}}",
			"invalid character ']' looking for beginning of value", "spec.containers[1]" },
		{ "core.v1.Pod", "{} x", "invalid character 'x' after top-level value", "" },
		{ "core.v1.Pod", "{\"kind\":\"a\nb\"}", "invalid character '\\n' in string literal", "kind" },
		{ "core.v1.Pod", "{\"kind\":\"\\q\"}", "invalid character 'q' in string escape code",
			"kind" },
		{ "core.v1.Pod", "{\"kind\":\"\\u12g4\"}",
			"invalid character 'g' in \\u hexadecimal character escape", "kind" },
		{ "core.v1.Pod", "{\"unknown\":tru}", "invalid character '}' in literal true (expecting 'e')",
			"" },
		{ "core.v1.Pod", "{\"spec\":{\"priority\":01}}",
			"invalid character '1' after object key:value pair", "spec" },
		{ "core.v1.ConfigMap", "{\"binaryData\":{\"a\":\"!\"}}", "illegal base64 data at input byte 0",
			"binaryData.a" },
		{ "core.v1.Pod", "{\"spec\":{\"overhead\":{\"cpu\":\"1x\"}}}", "quantities must match the "
			"regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
			"spec.overhead.cpu" },
		{ "core.v1.Pod", "{\"metadata\":{\"creationTimestamp\":\"now\"}}", "parsing time \"now\" as "
			"\"2006-01-02T15:04:05Z07:00\": cannot parse \"now\" as \"2006\"",
			"metadata.creationTimestamp" },
		{ "core.v1.Service", "{\"spec\":{\"ports\":[{\"targetPort\":true}]}}",
			"json: cannot unmarshal bool into Go value of type int32", "" },
	};
	struct cor_arena *a = cor_arena_new(0);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_decode d = { .arena = a };
		struct cor_err err = { 0 };
		void *obj;
		const struct cor_type *t = cor_type_by_name(cor_str_c(cases[i].type));
		assert_non_null(t);
		if (cor_json_decode_new(t, cor_str_c(cases[i].json), &obj, &d, &err) >= 0)
			fail_msg("%s was accepted", cases[i].json);
		assert_string_equal(err.message, cases[i].message);
		assert_string_equal(err.field, cases[i].field);
		cor_arena_reset(a);
	}
	cor_arena_free(a);
}

static void test_typemeta(void **state) {
	static const struct {
		const char *json, *version, *kind, *message;
	} cases[] = {
		{ "{\"spec\":{\"a\":[1]},\"kind\":\"Pod\",\"apiVersion\":\"v1\", garbage", "v1", "Pod", NULL },
		{ "{\"kind\":\"Pod\"}", "", "Pod", NULL },
		{ "{\"kind\":null}", "", "", NULL },
		{ "{}", "", "", NULL },
		{ "hello", NULL, NULL, "couldn't get version/kind; json parse error: invalid character 'h' "
			"looking for beginning of value" },
		{ "", NULL, NULL, "couldn't get version/kind; json parse error: unexpected end of JSON input" },
		{ "{\"kind\":1}", NULL, NULL, "couldn't get version/kind; json parse error: json: cannot "
			"unmarshal number into Go struct field .kind of type string" },
		{ "[]", NULL, NULL, "couldn't get version/kind; json parse error: json: cannot unmarshal array "
			"into Go value of type struct { APIVersion string; Kind string }" },
	};
	struct cor_arena *a = cor_arena_new(0);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_str version, kind;
		struct cor_err err = { 0 };
		int r = cor_json_typemeta(cor_str_c(cases[i].json), a, &version, &kind, &err);
		if (cases[i].message) {
			assert_int_equal(r, COR_E_PARSE);
			assert_string_equal(err.message, cases[i].message);
		} else {
			assert_int_equal(r, 0);
			assert_text(cases[i].json, cor_str_c(cases[i].version), version);
			assert_text(cases[i].json, cor_str_c(cases[i].kind), kind);
		}
	}
	cor_arena_free(a);
}

static void test_strict(void **state) {
	static const struct {
		const char *type, *json, *errors;
	} cases[] = {
		{ "apps.v1.Deployment", "{\"spec\":{\"unknownField\":\"x\",\"replicas\":1,\"replicas\":2}}",
			"unknown field \"spec.unknownField\", duplicate field \"spec.replicas\"" },
		{ "core.v1.Pod", "{\"metadata\":{\"unknownMeta\":1},\"spec\":{\"containers\":[{},{\"x\":[1]}]}}",
			"unknown field \"metadata.unknownMeta\", unknown field \"spec.containers[1].x\"" },
		{ "core.v1.Pod", "{\"metadata\":{\"labels\":{\"b\":\"1\",\"a\":\"2\",\"b\":\"3\"}}}",
			"duplicate field \"metadata.labels.b\"" },
		{ "core.v1.Pod", "{\"Spec\":{},\"spec\":{\"nodename\":\"n\"}}",
			"unknown field \"Spec\", unknown field \"spec.nodename\"" },
		{ "core.v1.Pod", "{\"spec\":{\"volumes\":[{\"name\":\"a\",\"emptyDir\":{\"x\":1}}]}}",
			"unknown field \"spec.volumes[0].emptyDir.x\"" },
	};
	struct cor_arena *a = cor_arena_new(0);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_decode d = { .arena = a, .strict = true };
		struct cor_err err = { 0 };
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
		void *obj;
		assert_int_equal(cor_json_decode_new(cor_type_by_name(cor_str_c(cases[i].type)),
			cor_str_c(cases[i].json), &obj, &d, &err), 0);
		for (size_t k = 0; k < d.errors.n; k++)
			cor_buf_printf(&b, "%s%.*s", k ? ", " : "", COR_STR_ARG(d.errors.p[k]));
		assert_text(cases[i].json, cor_str_c(cases[i].errors), cor_buf_view(&b));
		cor_arena_reset(a);
	}
	cor_arena_free(a);
}

/* in -> out of one field or a whole object. */
static void test_canonical(void **state) {
	static const struct {
		const char *type, *in, *out;
	} cases[] = {
		{ "core.v1.Pod", "{}", "{\"metadata\":{},\"spec\":{\"containers\":null},\"status\":{}}" },
		{ "core.v1.Pod", "null", "{\"metadata\":{},\"spec\":{\"containers\":null},\"status\":{}}" },
		{ "core.v1.PodList", "{}", "{\"metadata\":{},\"items\":[]}" },
		{ "core.v1.Service", "{\"metadata\":null,\"spec\":{\"ports\":[{\"port\":80}]}}",
			"{\"metadata\":{},\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":0}]},"
			"\"status\":{\"loadBalancer\":{}}}" },
		{ "apps.v1.DeploymentSpec", "{\"replicas\":0,\"selector\":null}",
			"{\"replicas\":0,\"selector\":null,\"template\":{\"metadata\":{},\"spec\":"
			"{\"containers\":null}},\"strategy\":{}}" },
		{ "apps.v1.StatefulSetStatus", "{}", "{\"replicas\":0,\"availableReplicas\":0}" },
		{ "core.v1.EnvVar", "{\"value\":\"\",\"name\":\"a\"}", "{\"name\":\"a\"}" },
		{ "core.v1.ConfigMap", "{\"data\":{\"b\":\"<&>\",\"a\":\"\\u2028\\u00e9\\ud83d\\ude00\\b\\t\"},"
			"\"immutable\":false}", "{\"metadata\":{},\"immutable\":false,\"data\":{\"a\":"
			"\"\\u2028\u00e9\U0001F600\\b\\t\",\"b\":\"\\u003c\\u0026\\u003e\"}}" },
		{ "core.v1.ConfigMap", "{\"data\":{\"a\":\"\\ud800x\xff" "0123456789012345\x01\"}}", NULL },
		{ "core.v1.ConfigMap", "{\"data\":{\"a\":\"\\ud800x\xff" "0123456789012345\"}}",
			"{\"metadata\":{},\"data\":{\"a\":\"\ufffdx\ufffd" "0123456789012345\"}}" },
		{ "core.v1.ConfigMap", "{\"data\":{\"k\":\"1\",\"k\":\"2\"}}",
			"{\"metadata\":{},\"data\":{\"k\":\"2\"}}" },
		{ "core.v1.ResourceRequirements", "{\"limits\":{\"memory\":\"1024Mi\",\"cpu\":0.5}}",
			"{\"limits\":{\"cpu\":\"500m\",\"memory\":\"1Gi\"}}" },
		{ "core.v1.PodCondition", "{\"type\":\"A\",\"lastTransitionTime\":\"2024-05-06T07:08:09.9+02:00\"}",
			"{\"type\":\"A\",\"status\":\"\",\"lastProbeTime\":null,"
			"\"lastTransitionTime\":\"2024-05-06T05:08:09Z\"}" },
		{ "coordination.v1.LeaseSpec", "{\"renewTime\":\"2024-05-06T07:08:09.5Z\"}",
			"{\"renewTime\":\"2024-05-06T07:08:09.500000Z\"}" },
		{ "rbac.v1.Role", "{\"rules\":[]}", "{\"metadata\":{},\"rules\":[]}" },
		{ "rbac.v1.Role", "{}", "{\"metadata\":{},\"rules\":null}" },
		{ "meta.v1.ManagedFieldsEntry", "{\"fieldsV1\": { \"f:a\" : {} , \"k:{\\\"x\\\":1}\":{}}}",
			"{\"fieldsV1\":{\"f:a\":{},\"k:{\\\"x\\\":1}\":{}}}" },
		{ "apiextensions.v1.JSONSchemaProps", "{\"items\":{\"type\":\"string\"},\"maximum\":1e21,"
			"\"minimum\":-0.25,\"multipleOf\":1e-7,\"additionalProperties\":false,\"$ref\":\"\","
			"\"dependencies\":{\"b\":[\"x\"],\"a\":{\"title\":\"t\"}},\"default\":[1, 2]}",
			"{\"$ref\":\"\",\"default\":[1,2],\"maximum\":1e+21,\"minimum\":-0.25,"
			"\"multipleOf\":1e-7,\"items\":{\"type\":\"string\"},\"additionalProperties\":false,"
			"\"dependencies\":{\"a\":{\"title\":\"t\"},\"b\":[\"x\"]}}" },
	};
	struct cor_arena *a = cor_arena_new(0);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_decode d = { .arena = a };
		struct cor_err err = { 0 };
		_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
		void *obj;
		const struct cor_type *t = cor_type_by_name(cor_str_c(cases[i].type));
		assert_non_null(t);
		int r = cor_json_decode_new(t, cor_str_c(cases[i].in), &obj, &d, &err);
		if (!cases[i].out) {
			assert_true(r < 0);
			continue;
		}
		if (r < 0)
			fail_msg("%s: %s", cases[i].in, err.message);
		assert_int_equal(cor_json_encode(t, obj, &out), 0);
		assert_text(cases[i].in, cor_str_c(cases[i].out), cor_buf_view(&out));
		cor_arena_reset(a);
	}
	cor_arena_free(a);
}

static void test_unversioned(void **state) {
	static const struct {
		const char *in, *out;   /* out with N spliced in */
	} cases[] = {
		{ "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"7\",\"generation\":2},\"data\":{}}",
			"{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"N\",\"generation\":2}}" },
		{ "{\"metadata\":{\"name\":\"a\"}}", "{\"metadata\":{\"resourceVersion\":\"N\",\"name\":\"a\"}}" },
		{ "{\"kind\":\"ConfigMap\",\"metadata\":{\"generation\":2}}",
			"{\"kind\":\"ConfigMap\",\"metadata\":{\"resourceVersion\":\"N\",\"generation\":2}}" },
	};
	struct cor_arena *a = cor_arena_new(0);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		const struct cor_type *t = &cor_type_core_v1_ConfigMap;
		_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
		size_t at;
		void *obj = decode(t, a, cor_str_c(cases[i].in));
		cor_buf_c(&out, "xx");  /* offsets are those of the buffer */
		assert_int_equal(cor_json_encode_unversioned(t, obj, &out, &at), 0);
		struct cor_str all = cor_buf_view(&out), front = cor_str_sub(all, 2, at - 2),
			back = cor_str_sub(all, at, all.n);
		struct cor_str got = cor_arena_printf(a, "%.*s\"resourceVersion\":\"N\",%.*s",
			COR_STR_ARG(front), COR_STR_ARG(back));
		assert_text(cases[i].in, cor_str_c(cases[i].out), got);
	}
	cor_arena_free(a);
}

static void test_quantity(void **state) {
	static const struct {
		const char *in, *out;
		int64_t value, milli;
	} cases[] = {
		{ "0", "0", 0, 0 }, { "1", "1", 1, 1000 }, { "1000m", "1", 1, 1000 },
		{ "1500m", "1500m", 2, 1500 }, { "1.5", "1500m", 2, 1500 }, { "0.5", "500m", 1, 500 },
		{ "100Mi", "100Mi", 104857600, 104857600000 }, { "1024Mi", "1Gi", 1073741824, 1073741824000 },
		{ "1.5Gi", "1536Mi", 1610612736, 1610612736000 }, { "12345", "12345", 12345, 12345000 },
		{ "1e3", "1e3", 1000, 1000000 }, { "1E3", "1E3", 1000, 1000000 }, { "10e2", "1e3", 1000, 1000000 },
		{ "-1", "-1", -1, -1000 }, { "-1.5", "-1500m", -2, -1500 }, { "+5", "+5", 5, 5000 },
		{ "05", "05", 5, 5000 }, { "1n", "1n", 1, 1 }, { "0.1n", "1n", 1, 1 }, { "1000k", "1M", 1000000, 1000000000 },
		{ "1Ki", "1Ki", 1024, 1024000 }, { "0.0001Ki", "102400u", 1, 103 }, { "0Mi", "0", 0, 0 },
		{ "8Ki", "8Ki", 8192, 8192000 }, { "512", "512", 512, 512000 }, { "1000000", "1M", 1000000, 1000000000 },
		{ " 2 ", "2", 2, 2000 }, { "9Ei", "9223372036854775807", INT64_MAX, INT64_MAX },
		{ "1E", "1E", 1000000000000000000, INT64_MAX }, { "123456789012345678901234567890",
			"100000000000E", INT64_MAX, INT64_MAX },
	};
	static const char *const bad[] = { "", "x", "1x", ".", "1.1.1", "1Mi1", "1mm", "--1", "1 Gi", "1e",
		"1i", "Mi" };
	struct cor_arena *a = cor_arena_new(0);
	struct cor_quantity q;
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_str out;
		assert_int_equal(cor_quantity_canonical(a, cor_str_c(cases[i].in), &out, NULL), 0);
		if (i + 1 < cor_countof(cases))
			assert_text(cases[i].in, cor_str_c(cases[i].out), out);
		assert_int_equal(cor_quantity_parse(cor_str_c(cases[i].in), &q, NULL), 0);
		if (cor_quantity_value(q) != cases[i].value || cor_quantity_milli(q) != cases[i].milli)
			fail_msg("%s: value %ld milli %ld", cases[i].in, cor_quantity_value(q),
				cor_quantity_milli(q));
	}
	for (size_t i = 0; i < cor_countof(bad); i++)
		if (cor_quantity_parse(cor_str_c(bad[i]), &q, NULL) != COR_E_PARSE)
			fail_msg("%s was accepted", bad[i]);
	struct cor_quantity sum = cor_quantity_add(cor_quantity_of(COR_STR("1Gi")),
		cor_quantity_of(COR_STR("512Mi")));
	assert_text("sum", COR_STR("1536Mi"), cor_quantity_to_str(a, sum));
	sum = cor_quantity_sub(cor_quantity_of(COR_STR("1")), cor_quantity_of(COR_STR("1100m")));
	assert_text("difference", COR_STR("-100m"), cor_quantity_to_str(a, sum));
	cor_arena_free(a);
}

static void test_structs(void **state) {
	struct cor_arena *a = cor_arena_new(0);
	core_v1_Pod *pod = decode(&cor_type_core_v1_Pod, a, COR_STR("{\"spec\":{\"containers\":[{\"name\":"
		"\"a\",\"ports\":[{\"containerPort\":80}],\"readinessProbe\":{\"httpGet\":{\"port\":\"x\"}}}],"
		"\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}],\"terminationGracePeriodSeconds\":0}}"));
	assert_int_equal(pod->spec.containers.n, 1);
	core_v1_Container *c = &pod->spec.containers.p[0];
	assert_int_equal(c->ports.p[0].containerPort, 80);
	assert_int_equal(c->readinessProbe->httpGet->port.kind, COR_INTSTR_STR);
	assert_ptr_equal(c->readinessProbe->handler.httpGet, c->readinessProbe->httpGet);
	assert_non_null(pod->spec.volumes.p[0].emptyDir);
	assert_ptr_equal(pod->spec.volumes.p[0].volumeSource.emptyDir, pod->spec.volumes.p[0].emptyDir);
	assert_int_equal(*pod->spec.terminationGracePeriodSeconds, 0);
	assert_null(pod->spec.securityContext);
	/* the decoded list can grow */
	core_v1_Container *more = cor_arena_push(a, &pod->spec.containers);
	more->name = COR_STR("b");
	assert_int_equal(pod->spec.containers.n, 2);
	assert_int_equal(cor_obj_default(&cor_type_core_v1_Pod, pod, a), 0);
	assert_text("default", COR_STR("TCP"), pod->spec.containers.p[0].ports.p[0].protocol);
	cor_arena_free(a);
}

static void test_equal(void **state) {
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "{}", "{\"spec\":{\"volumes\":[]},\"metadata\":{\"labels\":{}}}", true },
		{ "{\"spec\":{\"overhead\":{\"cpu\":\"1\"}}}", "{\"spec\":{\"overhead\":{\"cpu\":\"1000m\"}}}", true },
		{ "{\"spec\":{\"overhead\":{\"cpu\":\"1\"}}}", "{\"spec\":{\"overhead\":{\"cpu\":\"2\"}}}", false },
		{ "{\"spec\":{\"priority\":0}}", "{}", false },
		{ "{\"spec\":{\"hostNetwork\":false}}", "{}", true },
		{ "{\"spec\":{\"volumes\":[{\"emptyDir\":{}}]}}", "{\"spec\":{\"volumes\":[{}]}}", false },
	};
	struct cor_arena *a = cor_arena_new(0);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		const struct cor_type *t = &cor_type_core_v1_Pod;
		if (cor_obj_equal(t, decode(t, a, cor_str_c(cases[i].a)), decode(t, a,
				cor_str_c(cases[i].b))) != cases[i].equal)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
	}
	cor_arena_free(a);
}

static void test_limits(void **state) {
	struct cor_arena *a = cor_arena_new(0);
	struct cor_decode d = { .arena = a };
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_err err;
	void *obj;
	for (int i = 0; i < 100000; i++)
		cor_buf_c(&b, "{\"not\":");
	assert_int_equal(cor_json_decode_new(&cor_type_apiextensions_v1_JSONSchemaProps, cor_buf_view(&b),
		&obj, &d, &err), COR_E_LIMIT);
	b.n = 0;
	for (int i = 0; i < 100000; i++)
		cor_buf_c(&b, "[");
	assert_int_equal(cor_json_decode_new(&cor_type_runtime_Unknown, cor_buf_view(&b), &obj, &d, &err),
		COR_E_LIMIT);
	b.n = 0;
	cor_buf_c(&b, "{\"x\":");
	for (int i = 0; i < 100000; i++)
		cor_buf_c(&b, "[");
	assert_int_equal(cor_json_decode_new(&cor_type_core_v1_Pod, cor_buf_view(&b), &obj, &d, &err),
		COR_E_LIMIT);
	cor_arena_free(a);
	a = cor_arena_new(2000);        /* too small for the object */
	d.arena = a;
	assert_int_equal(cor_json_decode_new(&cor_type_core_v1_Pod, COR_STR("{\"spec\":{\"volumes\":[{},{},{}"
		",{},{},{},{},{},{},{}]}}"), &obj, &d, &err), COR_E_LIMIT);
	cor_arena_free(a);
}

static void test_resources(void **state) {
	const struct cor_resource *r = cor_resource_find(COR_STR("apps"), COR_STR("v1"),
		COR_STR("statefulsets"));
	assert_non_null(r);
	assert_int_equal(r->id, COR_RES_STATEFULSETS);
	assert_string_equal(r->short_names[0], "sts");
	assert_ptr_equal(cor_resource_sub(r, COR_STR("scale"))->type, &cor_type_autoscaling_v1_Scale);
	assert_ptr_equal(r->list_type, &cor_type_apps_v1_StatefulSetList);
	assert_true(r->namespaced && r->stored);
	assert_string_equal(cor_resources[COR_RES_EVENTS].group, "");
	assert_string_equal(cor_resources[COR_RES_EVENTS_EVENTS].group, "events.k8s.io");
	assert_int_equal(cor_resources[COR_RES_EVENTS_EVENTS].storage_id, COR_RES_EVENTS);
	assert_int_equal(cor_resources[COR_RES_HORIZONTALPODAUTOSCALERS_V1].storage_id,
		COR_RES_HORIZONTALPODAUTOSCALERS);
	for (size_t i = 0; i < cor_resources_n; i++) {
		assert_int_equal(cor_resources[i].id, i);
		assert_string_equal(cor_text(cor_resources[i].type->kind), cor_resources[i].kind);
		assert_ptr_equal(cor_resource_find(cor_str_c(cor_resources[i].group),
			cor_str_c(cor_resources[i].version), cor_str_c(cor_resources[i].plural)),
			&cor_resources[i]);
		assert_ptr_equal(cor_type_gvk(cor_str_c(cor_resources[i].group),
			cor_str_c(cor_resources[i].version), cor_str_c(cor_resources[i].kind)),
			cor_resources[i].type);
	}
	assert_ptr_equal(cor_type_gvk(COR_STR("apps"), COR_STR("v1"), COR_STR("DeleteOptions")),
		&cor_type_meta_v1_DeleteOptions);
	assert_null(cor_type_by_name(COR_STR("core.v1.Nothing")));
	assert_null(cor_resource_find(COR_STR(""), COR_STR("v1"), COR_STR("zzz")));
	assert_null(cor_resource_find(COR_STR("apps"), COR_STR("v1"), COR_STR("pods")));
	for (size_t i = 0; i < cor_types_n; i++)
		assert_ptr_equal(cor_type_by_name(cor_str_c(cor_text(cor_types[i].name))), &cor_types[i]);
}

/* Filling in defaults looks only where the schema has some, at whatever depth. */
static void test_defaults_are_found(void **state) {
	size_t with = 0;
	for (size_t i = 0; i < cor_types_n; i++) {
		const struct cor_type *t = &cor_types[i];
		const uint8_t *which = cor_type_bytes + t->defaults;
		for (size_t k = 0; k < t->nfields; k++) {
			const struct cor_field *f = &cor_type_fields(t)[k];
			bool deeper = f->kind == COR_FK_MESSAGE && cor_field_sub(f)->ndefaults > 0;
			bool own = f->shape == COR_FS_ONE && cor_field_info(f)->default_json;
			bool found = memchr(which, (int)k, t->ndefaults) != NULL;
			if (found != (!(f->flags & COR_FF_INLINE) && (own || deeper)))
				fail_msg("%s.%s", cor_text(t->name), cor_field_json(f));
			with += found;
		}
	}
	assert_true(with > 50);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_json), cmocka_unit_test(test_vectors_proto),
		cmocka_unit_test(test_vectors_copy), cmocka_unit_test(test_vectors_cut),
		cmocka_unit_test(test_errors), cmocka_unit_test(test_typemeta),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_canonical), cmocka_unit_test(test_unversioned),
		cmocka_unit_test(test_quantity), cmocka_unit_test(test_structs),
		cmocka_unit_test(test_equal), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_resources), cmocka_unit_test(test_defaults_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
