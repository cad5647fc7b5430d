// SPDX-License-Identifier: Apache-2.0
// Events of the node agent (facts/node-agent 21): what happens again is counted in the event that
// is there, and one object cannot flood the store.
#pragma once

#include "net/api_client.h"

struct cor_events;

struct cor_events *cor_events_new(struct cor_api *api, struct cor_world *w, const char *node);
void cor_events_free(struct cor_events *e);

struct cor_event_object {
	const char *kind, *api_version;
	struct cor_str ns, name, uid, version;
	const char *field;              /* "spec.containers{app}" or NULL */
};
void cor_event_emit(struct cor_events *e, const struct cor_event_object *o, bool warning,
	const char *reason, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
