/* SPDX-License-Identifier: MIT */
/* What the values of both daemons' options must look like: for `check` in their tables. */
#ifndef CMG_DAEMON_CHECKS_H
#define CMG_DAEMON_CHECKS_H

#include "cmg/base/err.h"

CMG_MUST_CHECK enum cmg_rc cmg_check_name(const char *value, struct cmg_err *err); /* DNS name */
CMG_MUST_CHECK enum cmg_rc cmg_check_host(const char *value, struct cmg_err *err); /* or address */
CMG_MUST_CHECK enum cmg_rc cmg_check_address(const char *value, struct cmg_err *err); /* IP */
/* 127.0.0.1:PORT or [::1]:PORT */
CMG_MUST_CHECK enum cmg_rc cmg_check_loopback(const char *value, struct cmg_err *err);
/* The full name of a unix socket, or none. */
CMG_MUST_CHECK enum cmg_rc cmg_check_socket(const char *value, struct cmg_err *err);
CMG_MUST_CHECK enum cmg_rc cmg_check_site(const char *value, struct cmg_err *err); /* site code */

/* http[s]://host:port, and nothing else. */
CMG_MUST_CHECK enum cmg_rc cmg_check_proxy_url(const char *value, struct cmg_err *err);
/* http[s]://host[:port][/prefix] */
CMG_MUST_CHECK enum cmg_rc cmg_check_url(const char *value, struct cmg_err *err);
/* A name of something, as tokens carry it: printable, no blank, quote or backslash. */
CMG_MUST_CHECK enum cmg_rc cmg_check_uri(const char *value, struct cmg_err *err);
CMG_MUST_CHECK enum cmg_rc cmg_check_guid(const char *value, struct cmg_err *err);
CMG_MUST_CHECK enum cmg_rc cmg_check_storage_account(const char *value, struct cmg_err *err);
CMG_MUST_CHECK enum cmg_rc cmg_check_storage_container(const char *value, struct cmg_err *err);

CMG_MUST_CHECK enum cmg_rc cmg_check_endpoint_id(const char *value, struct cmg_err *err);
CMG_MUST_CHECK enum cmg_rc cmg_check_endpoint_path(const char *value, struct cmg_err *err);
CMG_MUST_CHECK enum cmg_rc cmg_check_endpoint_auth(const char *value, struct cmg_err *err);

#endif
