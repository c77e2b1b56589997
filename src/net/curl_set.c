/* SPDX-License-Identifier: MIT */
#include "cmg/net/curl_set.h"

CURLcode cmg_curl_numbers(CURL *curl, const struct cmg_curl_number *v, size_t n)
{
    CURLcode rc = CURLE_OK;
    for (size_t i = 0; i < n && rc == CURLE_OK; i++)
        rc = curl_easy_setopt(curl, v[i].option, v[i].value);
    return rc;
}

CURLcode cmg_curl_texts(CURL *curl, const struct cmg_curl_text *v, size_t n)
{
    CURLcode rc = CURLE_OK;
    for (size_t i = 0; i < n && rc == CURLE_OK; i++)
        rc = curl_easy_setopt(curl, v[i].option, v[i].value);
    return rc;
}

const char *cmg_curl_ca(const char *ca_file)
{
    return ca_file ? ca_file : "/etc/ssl/certs/ca-certificates.crt";
}
