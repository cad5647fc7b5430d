// SPDX-License-Identifier: Apache-2.0
// The environment of a container and what else is made of facts about its pod: expansion of
// $(NAME), downward API values, service variables (facts/node-agent 8.3, 8.4). Pure: objects come
// by a callback, texts go into the caller's arena.
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "gen/core_v1.h"

/* Variables in order; a name occurs once. Not a cor_strmap, which is sorted. */
struct cor_env {
	struct cor_kv *p;
	size_t n;
};

enum cor_env_object { COR_ENV_CONFIG_MAP, COR_ENV_SECRET };

/* What is known about a pod on this node. */
struct cor_pod_facts_env {
	const struct core_v1_Pod *pod;
	const char *pod_ip, *host_ip;           /* "" while unknown */
	const struct cor_strmap *allocatable;   /* of the node */
	/* 0 with the data, or COR_E_NOT_FOUND. Kept as long as the arena. */
	int (*object)(void *arg, enum cor_env_object kind, struct cor_str name, struct cor_strmap *ret);
	/* Calls fn for each Service that may be in variables, ordered by name. May be NULL. */
	void (*services)(void *arg, void (*fn)(void *fn_arg, const struct core_v1_Service *s), void *fn_arg);
	void *arg;
};

void cor_env_set(struct cor_arena *a, struct cor_env *e, struct cor_str name, struct cor_str value);
const struct cor_str *cor_env_get(const struct cor_env *e, struct cor_str name);

/* $(NAME) by its value, unknown ones stay, $$ is $. missing (may be NULL) is the first unknown or
 * empty name, absent when there was none. */
struct cor_str cor_env_expand(struct cor_arena *a, struct cor_str text, const struct cor_env *e,
	struct cor_str *missing);

/* The variables of one container. COR_E_NOT_FOUND when an object or key is missing. */
[[nodiscard]] int cor_env_build(struct cor_arena *a, const struct cor_pod_facts_env *f,
	const struct core_v1_Container *c, struct cor_env *ret, struct cor_err *err);
/* Adds the variables of one Service to those that are not set. */
void cor_env_service(struct cor_arena *a, struct cor_env *e, const struct core_v1_Service *s);

/* Values for variables (volume false) and files of the downward API. */
[[nodiscard]] int cor_downward_field(struct cor_arena *a, const struct cor_pod_facts_env *f,
	struct cor_str path, struct cor_str *ret, struct cor_err *err);
/* c: the container meant when the selector names none. */
[[nodiscard]] int cor_downward_resource(struct cor_arena *a, const struct cor_pod_facts_env *f,
	const struct core_v1_Container *c, const struct core_v1_ResourceFieldSelector *sel,
	struct cor_str *ret, struct cor_err *err);
/* Of the spec, init or regular; NULL. */
const struct core_v1_Container *cor_pod_spec_container(const struct core_v1_PodSpec *spec,
	struct cor_str name);
