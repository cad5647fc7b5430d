// SPDX-License-Identifier: Apache-2.0
// A page of a list: what the query asks for and the blobs that answer it. Shared by LIST and
// deletecollection.
#pragma once

#include "api/http_priv.h"

struct api_page {
	struct api_req *q;
	struct api_selection sel;
	size_t limit;                   /* 0 = all */
	uint64_t rv;                    /* as asked for; exact: the state at it, else at least it */
	bool exact, continued;
	struct cor_str after_ns, after_name;
	/* results */
	struct { struct cor_obj **p; size_t n; } blobs;         /* references */
	uint64_t at;                    /* revision of the list */
	bool full;                      /* there are more */
	size_t remaining;               /* how many more, without selectors */
};

/* Reads and checks the query and gathers; false: answered with an error. */
bool api_list_page(struct api_req *q, struct api_page *p);
bool api_gather(struct api_req *q, struct api_page *p);
void api_page_drop(struct api_page *p);
/* The list as negotiated; takes the references. */
void api_reply_page(struct api_req *q, struct api_page *p);
struct cor_str api_page_token(struct api_req *q, int64_t rv, struct cor_str ns, struct cor_str name);
/* False: the store is there already. Else go is called when it is, or 504 is answered. */
bool api_wait_rv(struct api_req *q, uint64_t rv, void (*go)(struct api_req *q));
