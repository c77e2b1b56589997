/* SPDX-License-Identifier: MIT */
/* Fifty requests on which HTTP/1.1 servers are known to differ: each is taken whole, body
 * included, or refused, and always the same way however it is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "h1_hear.h"

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    const char *says;
    struct cmg_str in;
    enum cmg_rc want;
} vectors[] = {
    { "a plain GET is taken", S("GET /x HTTP/1.1\r\n" HOST "\r\n"), CMG_OK },
    { "CCM_POST with a body is taken",
      S("CCM_POST /ccm HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"), CMG_OK },
    { "BITS_POST with an empty body is taken",
      S("BITS_POST /ccm HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"), CMG_OK },
    { "PROPFIND is taken", S("PROPFIND / HTTP/1.1\r\n" HOST "\r\n"), CMG_OK },
    { "a chunked body is taken", S(CHUNKED "5\r\nhello\r\n0\r\n\r\n"), CMG_OK },
    { "Content-Length beside Transfer-Encoding is refused",
      S(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "Content-Length twice is refused, equal or not",
      S(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), CMG_EPROTO },
    { "two different Content-Lengths are refused",
      S(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), CMG_EPROTO },
    { "a signed Content-Length is refused", S(POST "Content-Length: +5\r\n\r\nhello"), CMG_EPROTO },
    { "a list of Content-Lengths is refused", S(POST "Content-Length: 5, 5\r\n\r\nhello"),
      CMG_EPROTO },
    { "a Content-Length with a blank inside is refused", S(POST "Content-Length: 5 6\r\n\r\nhello"),
      CMG_EPROTO },
    { "an empty Content-Length is refused", S(POST "Content-Length: \r\n\r\n"), CMG_EPROTO },
    { "a Content-Length that wraps at 64 bits is refused",
      S(POST "Content-Length: 18446744073709551621\r\n\r\nhello"), CMG_EPROTO },
    { "a coding that ends in chunked is refused",
      S(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked before another coding is refused",
      S(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked behind another coding is refused",
      S(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked behind a vertical tab is refused",
      S(POST "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "Transfer-Encoding twice is refused",
      S(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "Transfer-Encoding in HTTP/1.0 is refused",
      S("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a blank before the colon is refused", S(POST "Content-Length : 5\r\n\r\nhello"),
      CMG_EPROTO },
    { "a folded field is refused", S(GET "X: a\r\n b\r\n\r\n"), CMG_EPROTO },
    { "a first field that starts with a blank is refused",
      S("GET / HTTP/1.1\r\n X: a\r\n" HOST "\r\n"), CMG_EPROTO },
    { "bare LF everywhere is refused", S("GET / HTTP/1.1\nHost: a\n\n"), CMG_EPROTO },
    { "a bare CR in a value is refused", S(GET "X: a\rY: b\r\n\r\n"), CMG_EPROTO },
    { "NUL in a value is refused", S(GET "X: a\0b\r\n\r\n"), CMG_EPROTO },
    { "HTTP/1.1 without Host is refused", S("GET / HTTP/1.1\r\n\r\n"), CMG_EPROTO },
    { "two Hosts are refused", S(GET "Host: b\r\n\r\n"), CMG_EPROTO },
    { "a chunk size with 0x is refused", S(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a blank behind a chunk size is refused", S(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a negative chunk size is refused", S(CHUNKED "-1\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a chunk size that wraps at 64 bits is refused",
      S(CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a chunk extension that ends in bare LF is refused", S(CHUNKED "5;a\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "a chunk extension is passed over", S(CHUNKED "5;a=b\r\nhello\r\n0\r\n\r\n"), CMG_OK },
    { "a chunk size that ends in bare LF is refused", S(CHUNKED "5\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "chunk data without CRLF behind it is refused", S(CHUNKED "5\r\nhelloXX0\r\n\r\n"),
      CMG_EPROTO },
    { "HTTP/1.2 is refused", S("GET / HTTP/1.2\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP/2.0 as text is refused", S("GET / HTTP/2.0\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a version in lower case is refused", S("GET / http/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP/0.9 is refused", S("GET /\r\n"), CMG_EPROTO },
    { "an absolute target with another host than Host is refused",
      S("GET http://b/x HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "an empty line before the request is refused", S("\r\n" GET "\r\n"), CMG_EPROTO },
    { "two blanks in the request line are refused", S("GET  / HTTP/1.1\r\n" HOST "\r\n"),
      CMG_EPROTO },
    { "tabs in the request line are refused", S("GET\t/\tHTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a blank in the target is refused", S("GET /a b HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a byte above 0x7f in the target is taken", S("GET /\xe9 HTTP/1.1\r\n" HOST "\r\n"), CMG_OK },
    { "a control character in the target is refused", S("GET /\x01 HTTP/1.1\r\n" HOST "\r\n"),
      CMG_EPROTO },
    { "a control character in a name is refused", S(GET "X\x01: a\r\n\r\n"), CMG_EPROTO },
    { "an empty name is refused", S(GET ": a\r\n\r\n"), CMG_EPROTO },
    { "a field without a colon is refused", S(GET "foo\r\n\r\n"), CMG_EPROTO },
    { "a Content-Length among the trailers changes nothing",
      S(CHUNKED "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"), CMG_OK },
};

static void each_is_taken_or_refused(void **state)
{
    (void)state;
    assert_int_equal(50, CMG_COUNT(vectors));
    for (size_t i = 0; i < CMG_COUNT(vectors); i++) {
        struct heard h = hear(vectors[i].in, NULL, vectors[i].in.n);
        if (h.rc != vectors[i].want)
            fail_msg("%s: got %s, want %s", vectors[i].says, rc_name(h.rc),
                     rc_name(vectors[i].want));
        if (h.rc == CMG_OK && h.used != vectors[i].in.n)
            fail_msg("%s: %zu of %zu bytes used", vectors[i].says, h.used, vectors[i].in.n);
        if (h.rc != CMG_OK && !h.err.text[0])
            fail_msg("%s: refused without a reason", vectors[i].says);
        heard_clear(&h);
    }
}

static void each_reads_the_same_in_pieces_of_every_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(vectors); i++)
        if (!every_split_agrees(vectors[i].in, NULL))
            fail_msg("%s: another verdict when cut", vectors[i].says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_taken_or_refused),
        cmocka_unit_test(each_reads_the_same_in_pieces_of_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
