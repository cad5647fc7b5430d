// SPDX-License-Identifier: Apache-2.0
// Columns and cells that every kind has: its name and its age.
#include "api/table.h"

#include "api/meta.h"
#include "codec/codec.h"

bool cor_table_columns(const struct cor_resource *res, struct cor_buf *out) {
	(void)res;
	cor_buf_c(out, "[{\"name\":\"Name\",\"type\":\"string\",\"format\":\"name\",\"description\":\"\","
		"\"priority\":0},{\"name\":\"Age\",\"type\":\"string\",\"format\":\"\",\"description\":\"\","
		"\"priority\":0}]");
	return true;
}

int cor_table_cells(const struct cor_resource *res, const void *typed, cor_time now,
	struct cor_arena *a, struct cor_buf *out) {
	(void)a;
	const meta_v1_ObjectMeta *m = cor_meta_const(res->type, typed);
	char age[COR_TIME_TEXT_MAX];
	size_t n = cor_duration_human(now - m->creationTimestamp, age);
	cor_buf_byte(out, '[');
	cor_json_write_str(out, m->name);
	cor_buf_byte(out, ',');
	cor_json_write_str(out, (struct cor_str){ age, n });
	cor_buf_byte(out, ']');
	return 0;
}
