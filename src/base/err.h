// SPDX-License-Identifier: Apache-2.0
// Errors: fixed size, on the caller's stack, made where the failure happens, wrapped on the way
// up, logged once by whoever handles it. They become the API's Status without loss.
// Functions return 0 or more on success and a negative code of this enum on failure; a system
// error is -errno itself, ours begin below -4096.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

enum cor_code {
	COR_OK = 0,
	COR_E_PARSE = -5000,    /* bytes from outside are malformed */
	COR_E_INVALID,          /* well-formed, but breaks a rule */
	COR_E_LIMIT,            /* larger than a limit of ours */
	COR_E_NOT_FOUND,
	COR_E_EXISTS,
	COR_E_CONFLICT,         /* a precondition (uid, resourceVersion) does not hold */
	COR_E_GONE,             /* revision compacted */
	COR_E_UNSUPPORTED,
	COR_E_FORBIDDEN,
	COR_E_UNAUTHORIZED,
	COR_E_TIMEOUT,
	COR_E_CLOSED,           /* the peer or the owner closed it */
	COR_E_INTERNAL,
};

/* Reasons of metav1.Status (facts/api-machinery.md section 3). */
enum cor_reason {
	COR_REASON_UNKNOWN = 0, /* "" */
	COR_REASON_UNAUTHORIZED,
	COR_REASON_FORBIDDEN,
	COR_REASON_NOT_FOUND,
	COR_REASON_ALREADY_EXISTS,
	COR_REASON_CONFLICT,
	COR_REASON_GONE,
	COR_REASON_INVALID,
	COR_REASON_SERVER_TIMEOUT,
	COR_REASON_TIMEOUT,
	COR_REASON_TOO_MANY_REQUESTS,
	COR_REASON_BAD_REQUEST,
	COR_REASON_METHOD_NOT_ALLOWED,
	COR_REASON_NOT_ACCEPTABLE,
	COR_REASON_REQUEST_ENTITY_TOO_LARGE,
	COR_REASON_UNSUPPORTED_MEDIA_TYPE,
	COR_REASON_INTERNAL_ERROR,
	COR_REASON_EXPIRED,
	COR_REASON_SERVICE_UNAVAILABLE,
	COR_REASON_MAX,
};

struct cor_err {
	int code;               /* enum cor_code or -errno */
	int http;               /* HTTP status, 0 = derive it from the reason */
	enum cor_reason reason;
	int retry_after_s;      /* 0 = none */
	char message[600];      /* NUL-terminated, cut when longer */
	char field[200];        /* field path or "" */
};

/* Fill *err (may be NULL) and return code, so that one can write: return cor_fail(...). */
[[nodiscard]] int cor_fail(struct cor_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* From errno, with "what: strerror". Returns -errno. */
[[nodiscard]] int cor_fail_errno(struct cor_err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A Status error: code follows from the reason. */
[[nodiscard]] int cor_fail_status(struct cor_err *err, enum cor_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts "prefix: " in front of the message; keeps the code. Returns err->code. */
int cor_wrap(struct cor_err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

const char *cor_reason_to_string(enum cor_reason r);      /* "NotFound"; "" for UNKNOWN */
enum cor_reason cor_reason_from_string(const char *s);    /* COR_REASON_UNKNOWN when not known */
int cor_reason_http(enum cor_reason r);                   /* 404 for NotFound, 500 for UNKNOWN */
/* The HTTP status of an error: err->http, else from its reason, else from its code. */
int cor_err_http(const struct cor_err *err);
