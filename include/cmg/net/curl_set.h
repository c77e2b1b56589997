/* SPDX-License-Identifier: MIT */
/* Options of a libcurl handle as tables, for the two places that make handles: connections that
 * libcurl makes for us, and what it fetches. */
#ifndef CMG_NET_CURL_SET_H
#define CMG_NET_CURL_SET_H

#include <stddef.h>

#include <curl/curl.h>

struct cmg_curl_number {
    CURLoption option;
    long value;
};
struct cmg_curl_text {
    CURLoption option;
    const char *value;
};

/* The first that fails ends it. */
CURLcode cmg_curl_numbers(CURL *curl, const struct cmg_curl_number *v, size_t n);
CURLcode cmg_curl_texts(CURL *curl, const struct cmg_curl_text *v, size_t n);

/* `ca_file`, or Debian's roots when it is NULL: naming a file must replace those that libcurl has
 * built in, not add to them. */
const char *cmg_curl_ca(const char *ca_file);

#endif
