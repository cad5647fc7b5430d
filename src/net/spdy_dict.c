// SPDX-License-Identifier: Apache-2.0
// The dictionary that SPDY/3 header blocks are compressed with: a constant of the protocol. It is
// kept as the words it consists of and put together at first use: each word of the first part has
// its length in front (four bytes, big endian), the second part is plain text.
#include "net/spdy_priv.h"

static const char *const words[] = {
	"options", "head", "post", "put", "delete", "trace", "accept", "accept-charset",
	"accept-encoding", "accept-language", "accept-ranges", "age", "allow", "authorization",
	"cache-control", "connection", "content-base", "content-encoding", "content-language",
	"content-length", "content-location", "content-md5", "content-range", "content-type", "date",
	"etag", "expect", "expires", "from", "host", "if-match", "if-modified-since",
	"if-none-match", "if-range", "if-unmodified-since", "last-modified", "location",
	"max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer",
	"retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary",
	"via", "warning", "www-authenticate", "method", "get", "status", "200 OK", "version",
	"HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin",
};

static const char *const texts[] = {
	"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505",
	"203 Non-Authoritative Information", "204 No Content", "301 Moved Permanently",
	"400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found",
	"500 Internal Server Error", "501 Not Implemented", "503 Service Unavailable",
	"Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 ",
	"Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT",
	"chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,",
	"text/plain,text/javascript,public", "privatemax-age=gzip,deflate,sdch",
	"charset=utf-8charset=iso-8859-1,utf-,*,enq=0.",
};

struct cor_str cor_spdy_dictionary(void) {
	static char dict[COR_SPDY_DICT_SIZE];
	static size_t n;

	if (n)
		return (struct cor_str){ dict, n };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]);

		n += 3;
		dict[n++] = (char)len;
		memcpy(dict + n, words[i], len);
		n += len;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		memcpy(dict + n, texts[i], strlen(texts[i]));
		n += strlen(texts[i]);
	}
	cor_assert(n == COR_SPDY_DICT_SIZE);
	return (struct cor_str){ dict, n };
}
