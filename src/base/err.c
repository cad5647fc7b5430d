// SPDX-License-Identifier: Apache-2.0
// Making and wrapping errors. One table ties the Status reasons to their text, HTTP status and
// code. Arguments may point into the error that is being filled, so a text is always formatted
// aside first; a text that is too long is cut between two UTF-8 characters, since it will be JSON.
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const struct {
	const char *text;
	int http;
	int code;
} reasons[COR_REASON_MAX] = {
	[COR_REASON_UNKNOWN] = { "", 500, COR_E_INTERNAL },
	[COR_REASON_UNAUTHORIZED] = { "Unauthorized", 401, COR_E_UNAUTHORIZED },
	[COR_REASON_FORBIDDEN] = { "Forbidden", 403, COR_E_FORBIDDEN },
	[COR_REASON_NOT_FOUND] = { "NotFound", 404, COR_E_NOT_FOUND },
	[COR_REASON_ALREADY_EXISTS] = { "AlreadyExists", 409, COR_E_EXISTS },
	[COR_REASON_CONFLICT] = { "Conflict", 409, COR_E_CONFLICT },
	[COR_REASON_GONE] = { "Gone", 410, COR_E_GONE },
	[COR_REASON_INVALID] = { "Invalid", 422, COR_E_INVALID },
	[COR_REASON_SERVER_TIMEOUT] = { "ServerTimeout", 500, COR_E_TIMEOUT },
	[COR_REASON_TIMEOUT] = { "Timeout", 504, COR_E_TIMEOUT },
	[COR_REASON_TOO_MANY_REQUESTS] = { "TooManyRequests", 429, -EAGAIN },
	[COR_REASON_BAD_REQUEST] = { "BadRequest", 400, COR_E_PARSE },
	[COR_REASON_METHOD_NOT_ALLOWED] = { "MethodNotAllowed", 405, COR_E_UNSUPPORTED },
	[COR_REASON_NOT_ACCEPTABLE] = { "NotAcceptable", 406, COR_E_UNSUPPORTED },
	[COR_REASON_REQUEST_ENTITY_TOO_LARGE] = { "RequestEntityTooLarge", 413, COR_E_LIMIT },
	[COR_REASON_UNSUPPORTED_MEDIA_TYPE] = { "UnsupportedMediaType", 415, COR_E_UNSUPPORTED },
	[COR_REASON_INTERNAL_ERROR] = { "InternalError", 500, COR_E_INTERNAL },
	[COR_REASON_EXPIRED] = { "Expired", 410, COR_E_GONE },
	[COR_REASON_SERVICE_UNAVAILABLE] = { "ServiceUnavailable", 503, COR_E_CLOSED },
};

/* For errors without a reason; what is not here is 500. */
static const struct {
	int code;
	int http;
} code_http[] = {
	{ COR_E_PARSE, 400 }, { COR_E_INVALID, 422 }, { COR_E_LIMIT, 413 },
	{ COR_E_NOT_FOUND, 404 }, { COR_E_EXISTS, 409 }, { COR_E_CONFLICT, 409 },
	{ COR_E_GONE, 410 }, { COR_E_UNSUPPORTED, 400 }, { COR_E_FORBIDDEN, 403 },
	{ COR_E_UNAUTHORIZED, 401 }, { COR_E_TIMEOUT, 504 }, { COR_E_CLOSED, 503 },
};

#define MESSAGE_MAX sizeof(((struct cor_err *)0)->message)

/* text was cut by snprintf: takes off the character of which only the front is left. */
static size_t cut_utf8(char *text) {
	size_t n = strlen(text), at = n;
	while (at && n - at < 4 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at == 0)
		return n;
	unsigned char lead = (unsigned char)text[at - 1];
	size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (n - (at - 1) < want)
		text[n = at - 1] = '\0';
	return n;
}

/* Formats into a buffer of MESSAGE_MAX; returns the length that fits. */
static size_t format(char *out, const char *fmt, va_list ap) {
	int n = vsnprintf(out, MESSAGE_MAX, fmt, ap);
	if (n < 0)
		out[n = 0] = '\0';
	return (size_t)n < MESSAGE_MAX ? (size_t)n : cut_utf8(out);
}

static void append(char *text, size_t n, const char *tail) {
	int more = snprintf(text + n, MESSAGE_MAX - n, "%s", tail);
	if ((size_t)more >= MESSAGE_MAX - n)
		(void)cut_utf8(text);
}

static int fill(struct cor_err *err, int code, enum cor_reason reason, const char *message) {
	if (!err)
		return code;
	err->code = code;
	err->http = 0;
	err->reason = reason;
	err->retry_after_s = 0;
	memcpy(err->message, message, strlen(message) + 1);
	err->field[0] = '\0';
	return code;
}

int cor_fail(struct cor_err *err, int code, const char *fmt, ...) {
	char text[MESSAGE_MAX] = "";
	va_list ap;
	va_start(ap, fmt);
	if (err)
		(void)format(text, fmt, ap);
	va_end(ap);
	return fill(err, code, COR_REASON_UNKNOWN, text);
}

int cor_fail_errno(struct cor_err *err, int errnum, const char *fmt, ...) {
	char text[MESSAGE_MAX] = "", reason[128];
	/* A library that fails without errno must not turn into success here. */
	if (errnum == 0)
		errnum = EIO;
	if (errnum < 0)
		errnum = -errnum;
	va_list ap;
	va_start(ap, fmt);
	if (err) {
		size_t n = format(text, fmt, ap);
		append(text, n, ": ");
		append(text, strlen(text), strerror_r(errnum, reason, sizeof(reason)));
	}
	va_end(ap);
	return fill(err, -errnum, COR_REASON_UNKNOWN, text);
}

int cor_fail_status(struct cor_err *err, enum cor_reason reason, const char *fmt, ...) {
	char text[MESSAGE_MAX] = "";
	va_list ap;
	va_start(ap, fmt);
	if (err)
		(void)format(text, fmt, ap);
	va_end(ap);
	int code = reason < COR_REASON_MAX ? reasons[reason].code : COR_E_INTERNAL;
	return fill(err, code, reason, text);
}

int cor_wrap(struct cor_err *err, const char *fmt, ...) {
	if (!err)
		return COR_E_INTERNAL;
	char text[MESSAGE_MAX];
	va_list ap;
	va_start(ap, fmt);
	size_t n = format(text, fmt, ap);
	va_end(ap);
	append(text, n, ": ");
	append(text, strlen(text), err->message);
	memcpy(err->message, text, strlen(text) + 1);
	return err->code;
}

const char *cor_reason_to_string(enum cor_reason r) {
	return r < COR_REASON_MAX ? reasons[r].text : "";
}

enum cor_reason cor_reason_from_string(const char *s) {
	for (enum cor_reason r = COR_REASON_UNKNOWN; r < COR_REASON_MAX; r++)
		if (strcmp(reasons[r].text, s) == 0)
			return r;
	return COR_REASON_UNKNOWN;
}

int cor_reason_http(enum cor_reason r) {
	return r < COR_REASON_MAX ? reasons[r].http : 500;
}

int cor_err_http(const struct cor_err *err) {
	if (err->http)
		return err->http;
	if (err->reason != COR_REASON_UNKNOWN)
		return cor_reason_http(err->reason);
	for (size_t i = 0; i < cor_countof(code_http); i++)
		if (code_http[i].code == err->code)
			return code_http[i].http;
	return 500;
}
