// SPDX-License-Identifier: Apache-2.0
// A client of the Kubernetes API on the loop: requests with JSON bodies whose failures come back as
// cor_err made from the server's Status, and informers, which follow a collection for ever. It speaks
// only the public API, to our server or to upstream's. Used by the node agent and the DNS server.
#pragma once

#include "base/world.h"
#include "net/client.h"
#include "net/tls.h"

struct cor_api;
struct cor_api_call;

struct cor_api_config {
	struct uv_loop_s *loop;
	struct cor_world *world;        /* chance and timers for back-off */
	struct cor_str server;          /* "https://127.0.0.1:6443" */
	struct cor_str ca;              /* PEM; absent: the system's */
	struct cor_str cert, key;       /* PEM, or absent */
	struct cor_str token;           /* bearer token, or absent */
	bool insecure;                  /* do not verify the server */
	const char *server_name;        /* NULL: the host of server */
	const char *user_agent;         /* "coracle-node/1.36.0"; NULL: "coracle" */
};
/* Everything in c is copied. NULL on failure. */
struct cor_api *cor_api_new(const struct cor_api_config *c, struct cor_err *err);
/* Informers must be freed before; calls under way end with COR_E_CLOSED. */
void cor_api_free(struct cor_api *a);
/* The server's TCP port. */
int cor_api_port(const struct cor_api *a);
/* New credentials for connections from now on (renewed certificate, rotated token); absent: keep. */
[[nodiscard]] int cor_api_set_credentials(struct cor_api *a, struct cor_str cert, struct cor_str key,
	struct cor_str token, struct cor_err *err);

/* err NULL: 2xx, body is the answer's. Else the Status as an error (code, http, reason, message,
 * retry_after_s), or what was wrong with the transport (http 0). body is valid during the call. */
typedef void cor_api_done(void *arg, const struct cor_err *err, struct cor_str body);

struct cor_api_request {
	const char *method;
	const char *path;               /* with query: "/api/v1/namespaces/a/pods?limit=1" */
	const char *content_type;       /* NULL: application/json when there is a body */
	struct cor_str body;
	cor_time timeout;               /* 0 = 60 s */
	cor_api_done *done;             /* NULL: nobody wants to know */
	void *arg;
};
struct cor_api_call *cor_api_do(struct cor_api *a, const struct cor_api_request *r);
/* done is not called any more. Only while it has not been called. */
void cor_api_cancel(struct cor_api_call *c);

static inline struct cor_api_call *cor_api_get(struct cor_api *a, const char *path,
	cor_api_done *done, void *arg) {
	return cor_api_do(a, &(struct cor_api_request){ "GET", path, .done = done, .arg = arg });
}
static inline struct cor_api_call *cor_api_create(struct cor_api *a, const char *path,
	struct cor_str body, cor_api_done *done, void *arg) {
	return cor_api_do(a, &(struct cor_api_request){ "POST", path, .body = body, .done = done,
		.arg = arg });
}
static inline struct cor_api_call *cor_api_update(struct cor_api *a, const char *path,
	struct cor_str body, cor_api_done *done, void *arg) {
	return cor_api_do(a, &(struct cor_api_request){ "PUT", path, .body = body, .done = done,
		.arg = arg });
}
/* type: "application/strategic-merge-patch+json", "application/merge-patch+json", ... */
static inline struct cor_api_call *cor_api_patch(struct cor_api *a, const char *path,
	const char *type, struct cor_str body, cor_api_done *done, void *arg) {
	return cor_api_do(a, &(struct cor_api_request){ "PATCH", path, .content_type = type,
		.body = body, .done = done, .arg = arg });
}
/* body: DeleteOptions or absent. */
static inline struct cor_api_call *cor_api_delete(struct cor_api *a, const char *path,
	struct cor_str body, cor_api_done *done, void *arg) {
	return cor_api_do(a, &(struct cor_api_request){ "DELETE", path, .body = body, .done = done,
		.arg = arg });
}

/* Turns a body that may be a Status into an error with this HTTP status. */
void cor_api_status_error(int http, struct cor_str body, struct cor_err *err);

/* ---- informers ---- */

/* Follows one collection: everything that is there by on_set, then on_synced once, then each change.
 * After a lost connection it goes on where it was; when the server has forgotten that place, it
 * reads everything again and reports what changed and what vanished. It keeps only key and
 * resourceVersion of each object; the objects are the consumer's. */
struct cor_informer;

struct cor_informer_ops {
	/* key: "namespace/name", or "name" without a namespace. json: the whole object, valid
	 * during the call. Also for changes; not called again for a version seen before. */
	void (*on_set)(void *arg, struct cor_str key, struct cor_str json);
	void (*on_delete)(void *arg, struct cor_str key);
	void (*on_synced)(void *arg);                           /* once; may be NULL */
	/* Not reachable or refused; it goes on trying. For a log line. May be NULL. */
	void (*on_trouble)(void *arg, const struct cor_err *err);
};
struct cor_informer_config {
	struct cor_api *api;
	const char *path;               /* "/api/v1/pods" */
	const char *field_selector;     /* not encoded: "spec.nodeName=n1"; or NULL */
	const char *label_selector;     /* or NULL */
	struct cor_informer_ops ops;
	void *arg;
};
struct cor_informer *cor_informer_new(const struct cor_informer_config *c);
/* No callback any more. May be called from within one. */
void cor_informer_free(struct cor_informer *i);
bool cor_informer_synced(const struct cor_informer *i);
size_t cor_informer_count(const struct cor_informer *i);
/* The resourceVersion up to which it is, "" before the first. */
const char *cor_informer_version(const struct cor_informer *i);
