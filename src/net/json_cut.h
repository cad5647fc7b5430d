// SPDX-License-Identifier: Apache-2.0
// Cuts JSON text into the texts of its members without decoding it: enough to route a watch event
// or a list to its consumer, who decodes the object into its own type and finds every fault in it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Walks the members of the object in json (white space around is fine); *at is 0 at first. key is raw
 * (escapes stay), value is the text of the value. False behind the last one or when malformed. */
bool cor_json_cut_member(struct cor_str json, size_t *at, struct cor_str *ret_key,
	struct cor_str *ret_value);
/* The same for the elements of an array. */
bool cor_json_cut_element(struct cor_str json, size_t *at, struct cor_str *ret_value);
/* The value of one member, absent when there is none. */
struct cor_str cor_json_cut_get(struct cor_str object, const char *key);
/* A string's text without quotes; absent when it is no string or has escapes in it. */
struct cor_str cor_json_cut_str(struct cor_str value);
