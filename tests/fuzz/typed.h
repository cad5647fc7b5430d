// SPDX-License-Identifier: Apache-2.0
// What the targets of the typed codec share. An input is the name of a type ("core.v1.Pod"), a
// newline, and a document.
#pragma once

#include "codec/codec.h"
#include "fuzz.h"

/* Takes the first line off; NULL when no type has that name. */
const struct cor_type *fuzz_type(struct cor_str *in);
/* What must hold of every object that was decoded: it equals its copy, takes defaults, prints, and
 * what was printed reads back. from_json: then all of it is JSON, and printing it again changes
 * nothing (a raw field that came by protobuf may hold any bytes). */
void fuzz_check_object(
	const struct cor_type *t, const void *obj, bool from_json, struct cor_arena *a);
