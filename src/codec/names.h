// SPDX-License-Identifier: Apache-2.0
// The rules of names, labels and other short formats of the API, with the texts that clients see
// (facts/kinds.md 3.2 and 3.3). A check returns what is broken, in the order in which Kubernetes
// reports it: nothing (n == 0) when the text is fine. The texts are static.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct cor_broken {
	const char *p[5];
	size_t n;
};

enum { COR_LABEL_MAX = 63, COR_SUBDOMAIN_MAX = 253 };

#define COR_MSG_IMMUTABLE "field is immutable"
#define COR_MSG_NOT_NEGATIVE "must be greater than or equal to 0"
#define COR_MSG_POSITIVE "must be greater than zero"

/* --- DNS --- */
struct cor_broken cor_check_dns_label(struct cor_str s);            /* RFC 1123, 63 bytes */
struct cor_broken cor_check_dns_subdomain(struct cor_str s);        /* RFC 1123, 253 bytes */
struct cor_broken cor_check_dns1035_label(struct cor_str s);
struct cor_broken cor_check_wildcard_subdomain(struct cor_str s);   /* *.example.com */

/* --- labels and keys --- */
struct cor_broken cor_check_qualified_name(struct cor_str s);       /* label key: [prefix/]name */
struct cor_broken cor_check_label_value(struct cor_str s);
struct cor_broken cor_check_config_key(struct cor_str s);           /* of a ConfigMap or Secret */

/* --- other short texts --- */
struct cor_broken cor_check_c_identifier(struct cor_str s);
struct cor_broken cor_check_env_name(struct cor_str s);             /* the relaxed rule */
struct cor_broken cor_check_port_name(struct cor_str s);            /* <= 15 bytes */
struct cor_broken cor_check_port_number(int64_t port);              /* 1..65535 */
struct cor_broken cor_check_percent(struct cor_str s);              /* "25%" */
struct cor_broken cor_check_http_header(struct cor_str s);
struct cor_broken cor_check_path_segment(struct cor_str s);         /* a name in a URL */
struct cor_broken cor_check_relative_path(struct cor_str s);        /* subPath, volume item path */
struct cor_broken cor_check_domain_path(struct cor_str s);          /* "acme.io/foo" */
struct cor_broken cor_check_uid(int64_t id);                        /* user and group numbers */

/* --- addresses; the IP forms of existing API fields (strict, but not necessarily canonical) --- */
struct cor_broken cor_check_ip(struct cor_str s);
struct cor_broken cor_check_cidr(struct cor_str s);

/* --- rules for metadata.name, for struct cor_kind_ops.name_rule ---
 * With prefix set it is a generateName: a '-' at its end is tolerated. */
struct cor_broken cor_name_subdomain(struct cor_str name, bool prefix);
struct cor_broken cor_name_label(struct cor_str name, bool prefix);
struct cor_broken cor_name_label1035(struct cor_str name, bool prefix);
struct cor_broken cor_name_path_segment(struct cor_str name, bool prefix);
