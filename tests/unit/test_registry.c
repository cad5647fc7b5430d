// SPDX-License-Identifier: Apache-2.0
// The pipeline on virtual time and a backend in memory: what operations do to objects, and which
// errors they end with.
#include "registry_rig.h"

#include "gen/core_v1.h"

#define has(o, text) assert_non_null(strstr((o).json, text))

static void test_create_errors(void **state) {
	static const struct {
		enum cor_res res;
		const char *ns, *json;
		int status;
		const char *message;
	} cases[] = {
		{ COR_RES_CONFIGMAPS, "default", "{\"metadata\":{}}", COR_E_INVALID,
			"ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required" },
		{ COR_RES_CONFIGMAPS, "gone", "{\"metadata\":{\"name\":\"a\"}}", COR_E_NOT_FOUND,
			"namespaces \"gone\" not found" },
		{ COR_RES_CONFIGMAPS, "default", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"other\"}}",
			COR_E_PARSE, "the namespace of the provided object does not match the namespace sent on "
			"the request" },
		{ COR_RES_CONFIGMAPS, "default", "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}",
			COR_E_INTERNAL, "resourceVersion should not be set on objects to be created" },
		{ COR_RES_NAMESPACES, "", "{\"metadata\":{\"name\":\"default\"}}", COR_E_EXISTS,
			"namespaces \"default\" already exists" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct outcome o = create(*state, cases[i].res, cases[i].ns, cases[i].json);
		assert_string_equal(o.message, cases[i].message);
		assert_int_equal(o.status, cases[i].status);
	}
}

static void test_generate_name(void **state) {
	struct outcome a = create(*state, COR_RES_CONFIGMAPS, "default", "{\"metadata\":{\"generateName\":\"x-\"}}");
	struct outcome b = create(*state, COR_RES_CONFIGMAPS, "default", "{\"metadata\":{\"generateName\":\"x-\"}}");
	assert_int_equal(a.status, 0);
	assert_int_equal(a.http, 201);
	has(a, "\"name\":\"x-");
	assert_string_not_equal(a.json, b.json);
}

static void test_update_rules(void **state) {
	struct rig *rig = *state;
	struct outcome first = create(rig, COR_RES_CONFIGMAPS, "default",
		"{\"metadata\":{\"name\":\"u\"},\"data\":{\"a\":\"1\"}}");
	assert_int_equal(first.status, 0);
	uint64_t rev = cor_store_rev(cor_registry_store(rig->r));
	/* The same again: nothing is written. */
	struct outcome same = update(rig, COR_RES_CONFIGMAPS, "default", "u",
		"{\"metadata\":{\"name\":\"u\"},\"data\":{\"a\":\"1\"}}");
	assert_int_equal(same.status, 0);
	assert_string_equal(same.json, first.json);
	assert_int_equal(cor_store_rev(cor_registry_store(rig->r)), rev);
	struct outcome stale = update(rig, COR_RES_CONFIGMAPS, "default", "u",
		"{\"metadata\":{\"name\":\"u\",\"resourceVersion\":\"1\"},\"data\":{\"a\":\"2\"}}");
	assert_int_equal(stale.status, COR_E_CONFLICT);
	assert_string_equal(stale.message, "Operation cannot be fulfilled on configmaps \"u\": the object has "
		"been modified; please apply your changes to the latest version and try again");
	struct outcome uid = update(rig, COR_RES_CONFIGMAPS, "default", "u",
		"{\"metadata\":{\"name\":\"u\",\"uid\":\"other\"}}");
	assert_int_equal(uid.status, COR_E_CONFLICT);
	assert_non_null(strstr(uid.message, "Precondition failed: UID in precondition: other"));
	struct outcome name = update(rig, COR_RES_CONFIGMAPS, "default", "u", "{\"metadata\":{\"name\":\"v\"}}");
	assert_int_equal(name.status, COR_E_PARSE);
	struct outcome none = update(rig, COR_RES_CONFIGMAPS, "default", "w", "{\"metadata\":{\"name\":\"w\"}}");
	assert_int_equal(none.status, COR_E_NOT_FOUND);
	/* A Lease may be created so. */
	struct outcome lease = update(rig, COR_RES_LEASES, "default", "l", "{\"metadata\":{\"name\":\"l\"}}");
	assert_int_equal(lease.status, 0);
	assert_int_equal(lease.http, 201);
}

static const char deployment[] = "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":2,\"selector\":{"
	"\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{"
	"\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}},\"status\":{\"replicas\":9}}";

static void test_generation_and_status(void **state) {
	struct rig *rig = *state;
	struct outcome o = create(rig, COR_RES_DEPLOYMENTS, "default", deployment);
	assert_int_equal(o.status, 0);
	has(o, "\"generation\":1,");
	has(o, "\"status\":{}");        /* not the client's to set */
	o = patch(rig, COR_RES_DEPLOYMENTS, "default", "d", COR_PATCH_MERGE,
		"{\"metadata\":{\"labels\":{\"x\":\"y\"}},\"status\":{\"replicas\":3}}");
	has(o, "\"generation\":1,");
	has(o, "\"status\":{}");
	o = patch(rig, COR_RES_DEPLOYMENTS, "default", "d", COR_PATCH_STRATEGIC,
		"{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"e\",\"image\":\"j\"}]}}}}");
	assert_int_equal(o.status, 0);
	has(o, "\"generation\":2,");
	has(o, "\"name\":\"c\"");       /* merged by name, not replaced */
	struct cor_op *op = make(&o, COR_VERB_PATCH, COR_RES_DEPLOYMENTS, "default", "d");
	op->subresource = COR_STR("status");
	op->patch_type = COR_PATCH_MERGE;
	op->patch = COR_STR("{\"spec\":{\"replicas\":7},\"status\":{\"replicas\":2}}");
	run(rig, op);
	assert_int_equal(o.status, 0);
	has(o, "\"generation\":2,");
	has(o, "\"spec\":{\"replicas\":2,");
	has(o, "\"status\":{\"replicas\":2}");
}

static void test_scale(void **state) {
	struct rig *rig = *state;
	struct outcome o = create(rig, COR_RES_DEPLOYMENTS, "default", deployment);
	struct cor_op *op = make(&o, COR_VERB_PATCH, COR_RES_DEPLOYMENTS, "default", "d");
	op->subresource = COR_STR("scale");
	op->patch_type = COR_PATCH_MERGE;
	op->patch = COR_STR("{\"spec\":{\"replicas\":5}}");
	run(rig, op);
	assert_int_equal(o.status, 0);
	has(o, "\"kind\":\"Scale\"");
	has(o, "\"spec\":{\"replicas\":5}");
	has(o, "\"selector\":\"a=b\"");
	op = make(&o, COR_VERB_PATCH, COR_RES_DEPLOYMENTS, "default", "d");
	op->subresource = COR_STR("scale");
	op->patch_type = COR_PATCH_MERGE;
	op->patch = COR_STR("{\"spec\":{\"replicas\":-1}}");
	run(rig, op);
	assert_int_equal(o.status, COR_E_INVALID);
	assert_string_equal(o.message, "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: "
		"must be greater than or equal to 0");
}

static void test_finalizers(void **state) {
	struct rig *rig = *state;
	struct outcome o = create(rig, COR_RES_CONFIGMAPS, "default",
		"{\"metadata\":{\"name\":\"f\",\"finalizers\":[\"a.b/c\"]}}");
	o = delete(rig, COR_RES_CONFIGMAPS, "default", "f", COR_PROPAGATION_DEFAULT);
	assert_int_equal(o.status, 0);
	assert_false(o.removed);
	has(o, "\"deletionGracePeriodSeconds\":0");
	o = patch(rig, COR_RES_CONFIGMAPS, "default", "f", COR_PATCH_MERGE,
		"{\"metadata\":{\"finalizers\":[\"a.b/c\",\"d.e/f\"]}}");
	assert_int_equal(o.status, COR_E_INVALID);      /* none may come any more */
	o = patch(rig, COR_RES_CONFIGMAPS, "default", "f", COR_PATCH_MERGE,
		"{\"metadata\":{\"finalizers\":null}}");
	assert_int_equal(o.status, 0);
	assert_true(o.removed);
	assert_null(cor_store_get(cor_registry_store(rig->r), COR_RES_CONFIGMAPS, COR_STR("default"),
		COR_STR("f")));
}

static void test_propagation(void **state) {
	struct rig *rig = *state;
	static const struct {
		enum cor_propagation p;
		const char *finalizer;
	} cases[] = {
		{ COR_PROPAGATION_ORPHAN, "\"finalizers\":[\"orphan\"]" },
		{ COR_PROPAGATION_FOREGROUND, "\"finalizers\":[\"foregroundDeletion\"]" },
		{ COR_PROPAGATION_BACKGROUND, NULL },
		{ COR_PROPAGATION_DEFAULT, NULL },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct outcome o = create(rig, COR_RES_DEPLOYMENTS, "default", deployment);
		assert_int_equal(o.status, 0);
		o = delete(rig, COR_RES_DEPLOYMENTS, "default", "d", cases[i].p);
		assert_int_equal(o.removed, cases[i].finalizer == NULL);
		if (cases[i].finalizer) {
			has(o, cases[i].finalizer);
			o = patch(rig, COR_RES_DEPLOYMENTS, "default", "d", COR_PATCH_MERGE,
				"{\"metadata\":{\"finalizers\":null}}");
			assert_true(o.removed);
		} else {
			has(o, "\"status\":\"Success\"");
		}
	}
}

static void test_namespace_deletion(void **state) {
	struct rig *rig = *state;
	struct outcome o = create(rig, COR_RES_NAMESPACES, "", "{\"metadata\":{\"name\":\"n\"}}");
	assert_int_equal(o.status, 0);
	o = delete(rig, COR_RES_NAMESPACES, "", "n", COR_PROPAGATION_DEFAULT);
	assert_false(o.removed);
	has(o, "\"phase\":\"Terminating\"");
	o = create(rig, COR_RES_CONFIGMAPS, "n", "{\"metadata\":{\"name\":\"late\"}}");
	assert_int_equal(o.status, COR_E_FORBIDDEN);
	struct cor_op *op = make(&o, COR_VERB_UPDATE, COR_RES_NAMESPACES, "", "n");
	op->subresource = COR_STR("finalize");
	decode(op, "{\"metadata\":{\"name\":\"n\"}}");
	run(rig, op);
	assert_true(o.removed);
}

static void test_dry_run(void **state) {
	struct rig *rig = *state;
	struct outcome o;
	struct cor_op *op = make(&o, COR_VERB_CREATE, COR_RES_CONFIGMAPS, "default", "");
	uint64_t rev = cor_store_rev(cor_registry_store(rig->r));
	op->dry_run = true;
	decode(op, "{\"metadata\":{\"name\":\"dry\"}}");
	run(rig, op);
	assert_int_equal(o.status, 0);
	has(o, "\"name\":\"dry\"");
	assert_null(strstr(o.json, "resourceVersion"));
	assert_int_equal(cor_store_rev(cor_registry_store(rig->r)), rev);
}

static void test_strict_patch(void **state) {
	struct rig *rig = *state;
	struct outcome o = create(rig, COR_RES_CONFIGMAPS, "default", "{\"metadata\":{\"name\":\"s\"}}");
	static const enum cor_validation modes[] = {
		COR_VALIDATION_WARN, COR_VALIDATION_STRICT, COR_VALIDATION_IGNORE,
	};
	for (size_t i = 0; i < cor_countof(modes); i++) {
		struct cor_op *op = make(&o, COR_VERB_PATCH, COR_RES_CONFIGMAPS, "default", "s");
		op->validation = modes[i];
		op->patch_type = COR_PATCH_MERGE;
		op->patch = COR_STR("{\"spec\":{\"x\":1}}");
		run(rig, op);
		assert_int_equal(o.status, modes[i] == COR_VALIDATION_STRICT ? COR_E_INVALID : 0);
		assert_int_equal(o.warnings, modes[i] == COR_VALIDATION_WARN ? 1 : 0);
	}
}

struct told {
	struct outcome first, second;
	struct cor_store *store;
	uint64_t rev, published; /* of the second answer, and of the store just then */
};

static void on_second(struct cor_op *op) {
	struct told *t = cor_container_of(op->arg, struct told, second);
	t->rev = op->result ? op->result->rev : 0;
	t->published = cor_store_rev(t->store);
	on_done(op);
}

/* The deletion it repeats was still on its way to the disk, and could have been lost. */
static void test_a_repeated_deletion_is_answered_when_it_is_durable(void **state) {
	struct rig *rig = *state;
	struct told t = { .store = cor_registry_store(rig->r) };
	assert_int_equal(create(rig, COR_RES_SERVICEACCOUNTS, "default",
		"{\"metadata\":{\"name\":\"default\"}}").status, 0);
	struct outcome pod = create(rig, COR_RES_PODS, "default",
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"n\",\"automountServiceAccountToken\":false,"
		"\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}");
	assert_int_equal(pod.status, 0);
	struct cor_op *a = make(&t.first, COR_VERB_DELETE, COR_RES_PODS, "default", "p");
	struct cor_op *b = make(&t.second, COR_VERB_DELETE, COR_RES_PODS, "default", "p");
	b->done = on_second;
	cor_op_start(rig->r, a);
	cor_op_start(rig->r, b);
	assert_true(cor_sim_run_until(rig->sim, is_done, &t.second, COR_MINUTE));
	assert_int_equal(t.second.status, 0);
	assert_false(t.second.removed);
	assert_true(t.rev > 0 && t.rev <= t.published);
	assert_true(t.first.done);
}

static struct cor_obj *configmap(struct rig *rig) {
	return cor_store_get(cor_registry_store(rig->r), COR_RES_CONFIGMAPS, COR_STR("default"), COR_STR("a"));
}

/* Readers share what was decoded, never see an older version than they ask for, and it does not stay. */
static void test_shared_reading(void **state) {
	struct rig *rig = *state;
	struct outcome o = create(rig, COR_RES_CONFIGMAPS, "default",
		"{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"1\"}}");
	assert_int_equal(o.status, 0);
	struct cor_obj *blob = cor_obj_ref(configmap(rig));
	const struct core_v1_ConfigMap *first = cor_registry_read(rig->r, blob);
	assert_non_null(first);
	assert_ptr_equal(cor_registry_read(rig->r, configmap(rig)), first);
	struct cor_op *op = make(&o, COR_VERB_PATCH, COR_RES_CONFIGMAPS, "default", "a");
	op->patch_type = COR_PATCH_MERGE;
	op->patch = COR_STR("{\"data\":{\"k\":\"2\"}}");
	run(rig, op);
	assert_int_equal(o.status, 0);
	const struct core_v1_ConfigMap *second = cor_registry_read(rig->r, configmap(rig));
	assert_ptr_not_equal(second, first);
	assert_true(cor_str_eq_c(second->data.p[0].value, "2"));
	uint32_t held = blob->refs;
	cor_sim_run_for(rig->sim, 3 * COR_SECOND);
	assert_int_equal(blob->refs, held - 1);
	cor_obj_unref(blob);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create_errors), TEST(test_generate_name), TEST(test_update_rules),
		TEST(test_generation_and_status), TEST(test_scale), TEST(test_finalizers),
		TEST(test_propagation), TEST(test_namespace_deletion), TEST(test_dry_run),
		TEST(test_strict_patch), TEST(test_shared_reading),
		TEST(test_a_repeated_deletion_is_answered_when_it_is_durable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
