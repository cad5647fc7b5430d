// SPDX-License-Identifier: Apache-2.0
// libcurl, opened with the first pull (base/lib.h says why).
#pragma once

/* The checks of option types are macros around the function's name. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/lib.h"

#define CURL_FUNCTIONS(F)                                                                          \
	F(curl_, easy_cleanup)                                                                     \
	F(curl_, easy_escape) F(curl_, easy_getinfo) F(curl_, easy_init) F(curl_, easy_perform)    \
		F(curl_, easy_reset) F(curl_, easy_setopt) F(curl_, easy_strerror) F(curl_, free)  \
			F(curl_, global_init) F(curl_, slist_append) F(curl_, slist_free_all)

struct image_curl {
	CURL_FUNCTIONS(COR_LIB_MEMBER)
};

/* The same for everybody, from any thread; NULL with err when there is no such library. */
const struct image_curl *cor_image_curl(struct cor_err *err);
