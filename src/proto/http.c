/* SPDX-License-Identifier: MIT */
#include "cmg/proto/http.h"

#include "cmg/base/alloc.h"
#include "chars.h"

/* clang-format off */
#define DIGIT(c) ((c) >= '0' && (c) <= '9')
#define ALPHA(c) (((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z'))
#define VISIBLE(c) ((c) > ' ' && (c) != 0x7f) /* and all of 0x80 to 0xff */
#define TOKEN(c)                                                                             \
    (DIGIT(c) || ALPHA(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' ||    \
     (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define HOST(c) (DIGIT(c) || ALPHA(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define LEADS_OVERLONG(c) ((c) == 0xc0 || (c) == 0xc1 || (c) == 0xe0 || (c) == 0xf0 || (c) >= 0xf8)
#define PATH(c)                                                                              \
    (VISIBLE(c) && (c) != '#' && (c) != '%' && (c) != '/' && (c) != '\\' && !LEADS_OVERLONG(c))

#define ONE(c)                                                                               \
    (uint8_t)((TOKEN(c) ? CMG_CHAR_TOKEN : 0) | (VISIBLE(c) && (c) != '#' ? CMG_CHAR_TARGET : 0) | \
              (VISIBLE(c) || (c) == ' ' || (c) == '\t' ? CMG_CHAR_VALUE : 0) |               \
              (HOST(c) ? CMG_CHAR_HOST : 0) | (PATH(c) ? CMG_CHAR_PATH : 0))
#define FOUR(c) ONE(c), ONE((c) + 1), ONE((c) + 2), ONE((c) + 3)
#define ROW(c) FOUR(c), FOUR((c) + 4), FOUR((c) + 8), FOUR((c) + 12)

const uint8_t cmg_chars[256] = {
    ROW(0x00), ROW(0x10), ROW(0x20), ROW(0x30), ROW(0x40), ROW(0x50), ROW(0x60), ROW(0x70),
    ROW(0x80), ROW(0x90), ROW(0xa0), ROW(0xb0), ROW(0xc0), ROW(0xd0), ROW(0xe0), ROW(0xf0),
};
/* clang-format on */

const struct cmg_field *cmg_field_find(const struct cmg_field *f, size_t n, struct cmg_str name)
{
    for (size_t i = 0; i < n; i++)
        if (f[i].name.n == name.n && cmg_str_ieq(f[i].name, name))
            return &f[i];
    return NULL;
}

bool cmg_field_is_hop_by_hop(struct cmg_str name)
{
    static const struct cmg_str names[] = {
        { "connection", 10 },        { "keep-alive", 10 },       { "te", 2 },
        { "transfer-encoding", 17 }, { "upgrade", 7 },           { "trailer", 7 },
        { "http2-settings", 14 },    { "proxy-connection", 16 },
    };
    for (size_t i = 0; i < CMG_COUNT(names); i++)
        if (cmg_str_ieq(name, names[i]))
            return true;
    return false;
}

bool cmg_token_ok(struct cmg_str token)
{
    return token.n > 0 && cmg_chars_all(token, CMG_CHAR_TOKEN);
}

bool cmg_field_name_ok(struct cmg_str name)
{
    return cmg_token_ok(name);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

bool cmg_field_value_ok(struct cmg_str value)
{
    if (value.n && (blank(value.p[0]) || blank(value.p[value.n - 1])))
        return false;
    return cmg_chars_value(value);
}

bool cmg_field_is_alias(struct cmg_str name, struct cmg_str want)
{
    if (name.n != want.n)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (cmg_field_fold(name.p[i]) != want.p[i])
            return false;
    return true;
}

/* IANA's registry of HTTP status codes. */
static const struct {
    unsigned status;
    const char *phrase;
} reasons[] = {
    { 100, "Continue" },
    { 101, "Switching Protocols" },
    { 102, "Processing" },
    { 103, "Early Hints" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 203, "Non-Authoritative Information" },
    { 204, "No Content" },
    { 205, "Reset Content" },
    { 206, "Partial Content" },
    { 207, "Multi-Status" },
    { 208, "Already Reported" },
    { 226, "IM Used" },
    { 300, "Multiple Choices" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 305, "Use Proxy" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 407, "Proxy Authentication Required" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 423, "Locked" },
    { 424, "Failed Dependency" },
    { 425, "Too Early" },
    { 426, "Upgrade Required" },
    { 428, "Precondition Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 506, "Variant Also Negotiates" },
    { 507, "Insufficient Storage" },
    { 508, "Loop Detected" },
    { 511, "Network Authentication Required" },
};

const char *cmg_reason(unsigned status)
{
    for (size_t i = 0; i < CMG_COUNT(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].phrase;
    return "";
}
