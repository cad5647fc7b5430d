// SPDX-License-Identifier: Apache-2.0
// Single objects that pods need (ConfigMaps, Secrets, claims), each followed by an informer of its
// own for as long as somebody holds it. All on the loop.
#pragma once

#include "base/arena.h"
#include "net/api_client.h"

struct cor_objcache;
struct cor_objref;      /* one object; shared by its holders */

/* changed is called for each object that came, changed or went, and when it is first known that
 * there is none. */
struct cor_objcache *cor_objcache_new(struct cor_api *api,
	void (*changed)(void *arg, const struct cor_objref *r), void *arg);
void cor_objcache_free(struct cor_objcache *c);

/* plural: "configmaps", "secrets", "persistentvolumeclaims". */
struct cor_objref *cor_objcache_hold(struct cor_objcache *c, const char *plural, struct cor_str ns,
	struct cor_str name);
void cor_objref_release(struct cor_objref *r);          /* NULL is fine */
/* Is it known yet whether the object exists? */
bool cor_objref_known(const struct cor_objref *r);
/* Absent when there is none; valid until the loop goes on. */
struct cor_str cor_objref_json(const struct cor_objref *r);
bool cor_objref_is(const struct cor_objref *r, const char *plural, struct cor_str ns, struct cor_str name);
