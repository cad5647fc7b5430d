// SPDX-License-Identifier: Apache-2.0
// What a request asks for, read from its method, path and query (facts/api-machinery.md 1.1): the
// attributes that authorisation looks at and that the handlers go by.
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct cor_request_info {
	bool resource;                  /* false: path only */
	struct cor_str verb;            /* "list", "watch", ...; for a path the method in lower case */
	struct cor_str path;            /* decoded */
	struct cor_str group, version;
	struct cor_str ns, plural, name, subresource;
	struct cor_str subpath;         /* behind the subresource, without leading slash; proxy */
	bool old_watch;                 /* /watch/ in the path */
};

/* watch: the value of the query parameter, absent when there is none. Texts live in a or point into
 * the arguments. BadRequest when the path is malformed. */
[[nodiscard]] int cor_request_parse(struct cor_arena *a, struct cor_str method, struct cor_str path,
	struct cor_str watch, struct cor_request_info *ret, struct cor_err *err);
/* Absent, "0" and "false" are false; all else, also "", is true. */
bool cor_query_bool(struct cor_str value);
