// SPDX-License-Identifier: Apache-2.0
// Go's way to put a text into double quotes (%q): part of the error texts of the API.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

void cor_go_quote(struct cor_buf *b, struct cor_str s);
/* The same into an arena; absent when it is exhausted. */
struct cor_str cor_go_quoted(struct cor_arena *a, struct cor_str s);
