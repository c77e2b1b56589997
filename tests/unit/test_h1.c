/* SPDX-License-Identifier: MIT */
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
#define OK200 "HTTP/1.1 200 OK\r\n"
#define OK_CHUNKED OK200 "Transfer-Encoding: chunked\r\n\r\n"

struct message {
    const char *says;
    struct cmg_str in;
    enum cmg_rc want;
};

static const struct message requests[] = {
    /* The request line */
    { "a lower-case method is a method", S("get / HTTP/1.1\r\n" HOST "\r\n"), CMG_OK },
    { "a method of odd token characters is taken", S("!#$%&'*+-.^_`|~ / HTTP/1.1\r\n" HOST "\r\n"),
      CMG_OK },
    { "a method with a colon is refused", S("GE:T / HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a method with brackets is refused", S("GET() / HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a missing method is refused", S(" / HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a missing target is refused", S("GET HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a lone method is refused", S("GET\r\n" HOST "\r\n"), CMG_EPROTO },
    { "CONNECT is refused", S("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), CMG_EPROTO },
    { "CONNECT to a path is refused", S("CONNECT / HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "OPTIONS * is taken", S("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), CMG_OK },
    { "GET * is refused", S("GET * HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "OPTIONS with more than a star is refused", S("OPTIONS *a HTTP/1.1\r\n" HOST "\r\n"),
      CMG_EPROTO },
    { "a target that is no path is refused", S("GET x HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a target of query only is refused", S("GET ?x HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a fragment in the target is refused", S("GET /#a HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "DEL in the target is refused", S("GET /\x7f HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "NUL in the target is refused", S("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "a CR in the target is refused", S("GET /\ra HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "braces, bars and quotes in the target are taken",
      S("GET /{a}|\"^`<>\\ HTTP/1.1\r\n" HOST "\r\n"), CMG_OK },
    { "a query without '=' is taken",
      S("GET /SMS_MP/.sms_aut?MPLIST2&P01 HTTP/1.1\r\n" HOST "\r\n"), CMG_OK },
    { "an absolute target equal to Host is taken", S("GET http://a/x?y HTTP/1.1\r\n" HOST "\r\n"),
      CMG_OK },
    { "an absolute target is compared without case",
      S("GET HTTPS://A.example:443/x HTTP/1.1\r\nHost: a.Example:443\r\n\r\n"), CMG_OK },
    { "an absolute target without a path is taken", S("GET http://a HTTP/1.1\r\n" HOST "\r\n"),
      CMG_OK },
    { "an absolute target with another port is refused",
      S("GET http://a:80/ HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "an absolute target with user information is refused",
      S("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "an absolute target with a query but no path is refused",
      S("GET http://a?x HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "an absolute target without host is refused", S("GET http:///x HTTP/1.1\r\n" HOST "\r\n"),
      CMG_EPROTO },
    { "an absolute target of another scheme is refused", S("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"),
      CMG_EPROTO },
    { "an absolute target without Host is refused in HTTP/1.0 too",
      S("GET http://a/ HTTP/1.0\r\n\r\n"), CMG_EPROTO },
    { "a tab behind the target is refused", S("GET /\tHTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "two blanks before the version are refused", S("GET /  HTTP/1.1\r\n" HOST "\r\n"),
      CMG_EPROTO },
    { "a blank behind the version is refused", S("GET / HTTP/1.1 \r\n" HOST "\r\n"), CMG_EPROTO },
    { "a blank before the method is refused", S(" GET / HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "two versions are refused", S("GET / HTTP/1.1 HTTP/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP/1.01 is refused", S("GET / HTTP/1.01\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP/01.1 is refused", S("GET / HTTP/01.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP/1 is refused", S("GET / HTTP/1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP/1,1 is refused", S("GET / HTTP/1,1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP 1.1 is refused", S("GET / HTTP 1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "Hypertext is refused", S("GET / HTML/1.1\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP/9.9 is refused", S("GET / HTTP/9.9\r\n" HOST "\r\n"), CMG_EPROTO },
    { "HTTP/0.9 with a version is refused", S("GET / HTTP/0.9\r\n" HOST "\r\n"), CMG_EPROTO },
    { "the HTTP/2 preface is refused", S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), CMG_EPROTO },
    { "a TLS hello is refused at its first byte", S("\x16\x03\x01"), CMG_EPROTO },
    { "a lone LF first is refused", S("\n"), CMG_EPROTO },
    { "a lone CR first is refused", S("\r"), CMG_EPROTO },
    { "HTTP/1.0 without Host is taken", S("GET / HTTP/1.0\r\n\r\n"), CMG_OK },
    { "HTTP/1.0 with two Hosts is refused", S("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), CMG_EPROTO },

    /* Host */
    { "a Host with a port is taken", S("GET / HTTP/1.1\r\nHost: a.b-c_d~:8443\r\n\r\n"), CMG_OK },
    { "an IPv6 Host is taken", S("GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"), CMG_OK },
    { "an empty Host is refused", S("GET / HTTP/1.1\r\nHost:\r\n\r\n"), CMG_EPROTO },
    { "the same Host twice is refused", S("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), CMG_EPROTO },
    { "a Host with a comma is refused", S("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), CMG_EPROTO },
    { "a Host with a blank is refused", S("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), CMG_EPROTO },
    { "a Host with user information is refused", S("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
      CMG_EPROTO },
    { "a Host with a path is refused", S("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), CMG_EPROTO },
    { "a Host with '%' is refused", S("GET / HTTP/1.1\r\nHost: a%00\r\n\r\n"), CMG_EPROTO },
    { "a Host above ASCII is refused", S("GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n"), CMG_EPROTO },
    { "a port without digits is refused", S("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), CMG_EPROTO },
    { "a port that is a name is refused", S("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), CMG_EPROTO },
    { "a port with a sign is refused", S("GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n"), CMG_EPROTO },
    { "a port past 65535 is refused", S("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), CMG_EPROTO },
    { "two ports are refused", S("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), CMG_EPROTO },
    { "an open bracket is refused", S("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), CMG_EPROTO },
    { "empty brackets are refused", S("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), CMG_EPROTO },
    { "a name behind brackets is refused", S("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"),
      CMG_EPROTO },
    { "a lone colon as Host is refused", S("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), CMG_EPROTO },
    { "Host with a blank before the colon is refused", S("GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
      CMG_EPROTO },

    /* Fields */
    { "no blank behind the colon is fine", S(GET "X:a\r\n\r\n"), CMG_OK },
    { "blanks and tabs around a value are fine", S(GET "X: \t a b\tc \t \r\n\r\n"), CMG_OK },
    { "an empty value is fine", S(GET "X:\r\n\r\n"), CMG_OK },
    { "bytes above 0x7f in a value are fine", S(GET "X: caf\xe9\xff\x80\r\n\r\n"), CMG_OK },
    { "a tab before the colon is refused", S(GET "X\t: a\r\n\r\n"), CMG_EPROTO },
    { "a blank inside a name is refused", S(GET "X Y: a\r\n\r\n"), CMG_EPROTO },
    { "a byte above 0x7f in a name is refused", S(GET "X\xe9: a\r\n\r\n"), CMG_EPROTO },
    { "brackets in a name are refused", S(GET "X[0]: a\r\n\r\n"), CMG_EPROTO },
    { "NUL in a name is refused", S(GET "X\0: a\r\n\r\n"), CMG_EPROTO },
    { "a fold by tab is refused", S(GET "X: a\r\n\tb\r\n\r\n"), CMG_EPROTO },
    { "a line of blanks is refused", S(GET "   \r\n\r\n"), CMG_EPROTO },
    { "DEL in a value is refused", S(GET "X: a\x7f\r\n\r\n"), CMG_EPROTO },
    { "backspace deep in a long value is refused",
      S(GET "X: 0123456789abcdef0123\b56789abcdef\r\n\r\n"), CMG_EPROTO },
    { "a tab deep in a long value is fine", S(GET "X: 0123456789abcdef0123\t56789abcdef\r\n\r\n"),
      CMG_OK },
    { "ESC in the last bytes of a value is refused", S(GET "X: 0123456789a\x1b\r\n\r\n"),
      CMG_EPROTO },
    { "two CRs before LF are refused", S(GET "X: a\r\r\n\r\n"), CMG_EPROTO },
    { "one field that ends in bare LF is refused", S(GET "X: a\n\r\n"), CMG_EPROTO },
    { "a head that ends in bare LF is refused", S(GET "X: a\r\n\n"), CMG_EPROTO },
    { "LF CR is refused", S(GET "X: a\n\r\r\n"), CMG_EPROTO },
    { "a CR before the head's end is refused", S(GET "\rX: a\r\n\r\n"), CMG_EPROTO },
    { "a head cut short is not decided", S(GET "X: a\r\n"), CMG_MORE },
    { "a head without its last LF is not decided", S(GET "X: a\r\n\r"), CMG_MORE },
    { "a request line cut short is not decided", S("GET / HT"), CMG_MORE },
    { "nothing is not decided", S(""), CMG_MORE },

    /* Content-Length */
    { "a length of 2^63-1 is taken, its body awaited",
      S(POST "Content-Length: 9223372036854775807\r\n\r\n"), CMG_MORE },
    { "a length of 2^63 is refused", S(POST "Content-Length: 9223372036854775808\r\n\r\n"),
      CMG_EPROTO },
    { "a negative length is refused", S(POST "Content-Length: -1\r\n\r\n"), CMG_EPROTO },
    { "minus zero is refused", S(POST "Content-Length: -0\r\n\r\n"), CMG_EPROTO },
    { "a hexadecimal length is refused", S(POST "Content-Length: 0x5\r\n\r\nhello"), CMG_EPROTO },
    { "an octal length is refused", S(POST "Content-Length: 0o5\r\n\r\nhello"), CMG_EPROTO },
    { "a length with a leading zero is refused", S(POST "Content-Length: 05\r\n\r\nhello"),
      CMG_EPROTO },
    { "two zeros as length are refused", S(POST "Content-Length: 00\r\n\r\n"), CMG_EPROTO },
    { "a length with a fraction is refused", S(POST "Content-Length: 5.0\r\n\r\nhello"),
      CMG_EPROTO },
    { "a length with an exponent is refused", S(POST "Content-Length: 1e1\r\n\r\nhello"),
      CMG_EPROTO },
    { "a length with an underscore is refused", S(POST "Content-Length: 1_0\r\n\r\n"), CMG_EPROTO },
    { "a list of different lengths is refused", S(POST "Content-Length: 5, 6\r\n\r\nhello"),
      CMG_EPROTO },
    { "a length with a comma behind it is refused", S(POST "Content-Length: 5,\r\n\r\nhello"),
      CMG_EPROTO },
    { "a length with NUL is refused", S(POST "Content-Length: 5\0\r\n\r\nhello"), CMG_EPROTO },
    { "a length in foreign digits is refused", S(POST "Content-Length: \xd9\xa5\r\n\r\nhello"),
      CMG_EPROTO },
    { "a length in quotes is refused", S(POST "Content-Length: \"5\"\r\n\r\nhello"), CMG_EPROTO },
    { "a tab before the length is fine", S(POST "Content-Length:\t5\r\n\r\nhello"), CMG_OK },
    { "blanks behind the length are fine", S(POST "Content-Length: 5 \t\r\n\r\nhello"), CMG_OK },
    { "odd case in the name is the same name twice",
      S(POST "Content-Length: 5\r\ncONTENT-lENGTH: 5\r\n\r\nhello"), CMG_EPROTO },
    { "a length in a GET is taken with its body", S(GET "Content-Length: 5\r\n\r\nhello"), CMG_OK },
    { "a body cut short is not complete", S(POST "Content-Length: 5\r\n\r\nhell"), CMG_MORE },
    { "Content_Length frames nothing", S(POST "Content_Length: 5\r\n\r\n"), CMG_OK },

    /* Transfer-Encoding */
    { "Chunked in capitals is chunked", S(POST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"),
      CMG_OK },
    { "an empty coding is refused", S(POST "Transfer-Encoding:\r\n\r\n"), CMG_EPROTO },
    { "identity is refused", S(POST "Transfer-Encoding: identity\r\n\r\n"), CMG_EPROTO },
    { "gzip alone is refused", S(POST "Transfer-Encoding: gzip\r\n\r\n"), CMG_EPROTO },
    { "chunked twice in one field is refused",
      S(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "an empty item beside chunked is refused",
      S(POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked with a comma behind it is refused",
      S(POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked with a parameter is refused",
      S(POST "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked in quotes is refused", S(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "chunked with a form feed is refused",
      S(POST "Transfer-Encoding: chunked\f\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked with a no-break space is refused",
      S(POST "Transfer-Encoding: \xa0"
             "chunked\r\n\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "chunked folded onto a second line is refused",
      S(POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a blank before the colon of Transfer-Encoding is refused",
      S(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "Transfer-Encoding first, then Content-Length, is refused",
      S(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked, then identity in a second field, is refused",
      S(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "Transfer_Encoding frames nothing", S(POST "Transfer_Encoding: chunked\r\n\r\n"), CMG_OK },
    { "chunked in a GET is taken", S(GET "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), CMG_OK },

    /* Chunks */
    { "leading zeros in a chunk size are fine", S(CHUNKED "0005\r\nhello\r\n000\r\n\r\n"), CMG_OK },
    { "hexadecimal digits of both cases are fine",
      S(CHUNKED "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n"), CMG_OK },
    { "a chunk size of 16 zeros and a digit is refused",
      S(CHUNKED "00000000000000005\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a chunk of 2^63 bytes is refused", S(CHUNKED "8000000000000000\r\n"), CMG_EPROTO },
    { "a chunk of 2^63-1 bytes is awaited", S(CHUNKED "7fffffffffffffff\r\n"), CMG_MORE },
    { "an empty chunk size is refused", S(CHUNKED "\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a chunk size with a plus is refused", S(CHUNKED "+5\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a chunk size with an underscore is refused",
      S(CHUNKED "1_0\r\n0123456789abcdef\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a blank before a chunk size is refused", S(CHUNKED " 5\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a tab behind a chunk size is refused", S(CHUNKED "5\t\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a CR inside a chunk size is refused", S(CHUNKED "5\r5\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a chunk size that ends in bare CR is refused", S(CHUNKED "5\rhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "a chunk size that is no hex digit is refused", S(CHUNKED "g\r\n"), CMG_EPROTO },
    { "a chunk longer than it said is refused", S(CHUNKED "5\r\nhello!\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a chunk shorter than it said is refused", S(CHUNKED "5\r\nhell\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunk data that ends in LF behind another byte is refused",
      S(CHUNKED "5\r\nhelloX\n0\r\n\r\n"), CMG_EPROTO },
    { "chunk data that ends in CR before another byte is refused",
      S(CHUNKED "5\r\nhello\rX0\r\n\r\n"), CMG_EPROTO },
    { "chunk data that ends in bare LF is refused", S(CHUNKED "5\r\nhello\n0\r\n\r\n"),
      CMG_EPROTO },
    { "chunk data that ends in bare CR is refused", S(CHUNKED "5\r\nhello\r0\r\n\r\n"),
      CMG_EPROTO },
    { "a last chunk without the empty line is not complete", S(CHUNKED "5\r\nhello\r\n0\r\n"),
      CMG_MORE },
    { "an empty line of bare LF at the end is refused", S(CHUNKED "0\r\n\n"), CMG_EPROTO },
    { "a chunk size of only '0' and LF is refused", S(CHUNKED "0\n\n"), CMG_EPROTO },
    { "an extension without value is fine", S(CHUNKED "5;a\r\nhello\r\n0;b\r\n\r\n"), CMG_OK },
    { "several extensions are fine", S(CHUNKED "5;a;b=c;d=\"e;\\\"f\"\r\nhello\r\n0\r\n\r\n"),
      CMG_OK },
    { "an extension without name is refused", S(CHUNKED "5;\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a blank before an extension is refused", S(CHUNKED "5 ;a\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "a blank in an extension is refused", S(CHUNKED "5;a b\r\nhello\r\n0\r\n\r\n"), CMG_EPROTO },
    { "an extension with an empty value is refused", S(CHUNKED "5;a=\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "an open quote in an extension is refused", S(CHUNKED "5;a=\"b\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "a quote open but for its escape is refused", S(CHUNKED "5;a=\"b\\\"\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "NUL in a quoted extension is refused", S(CHUNKED "5;a=\"\0\"\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "a CR in a quoted extension is refused", S(CHUNKED "5;a=\"\r\"\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "a LF in a quoted extension is refused", S(CHUNKED "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "text behind a quoted extension is refused", S(CHUNKED "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },
    { "a comma behind a chunk size is refused", S(CHUNKED "5,a\r\nhello\r\n0\r\n\r\n"),
      CMG_EPROTO },

    /* Trailers */
    { "trailers are taken", S(CHUNKED "0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"), CMG_OK },
    { "a trailer without colon is refused", S(CHUNKED "0\r\nX\r\n\r\n"), CMG_EPROTO },
    { "a folded trailer is refused", S(CHUNKED "0\r\nX: a\r\n b\r\n\r\n"), CMG_EPROTO },
    { "a trailer in bare LF is refused", S(CHUNKED "0\r\nX: a\n\r\n"), CMG_EPROTO },
    { "a blank before a trailer's colon is refused", S(CHUNKED "0\r\nX : a\r\n\r\n"), CMG_EPROTO },
    { "NUL in a trailer is refused", S(CHUNKED "0\r\nX: \0\r\n\r\n"), CMG_EPROTO },
    { "a Content-Length of letters is refused in trailers too",
      S(CHUNKED "0\r\nContent-Length: x\r\n\r\n"), CMG_EPROTO },

    /* Connection */
    { "an unknown option strikes its field", S(GET "Connection: X-Mine\r\nX-Mine: 1\r\n\r\n"),
      CMG_OK },
    { "empty items in Connection are fine", S(GET "Connection: ,close,\r\n\r\n"), CMG_OK },
    { "Connection may not name Host", S(GET "Connection: host\r\n\r\n"), CMG_EPROTO },
    { "Connection may not name Content-Length",
      S(POST "Connection: close, Content-Length\r\nContent-Length: 0\r\n\r\n"), CMG_EPROTO },
    { "Connection may not name Transfer-Encoding", S(GET "Connection: Transfer-Encoding\r\n\r\n"),
      CMG_EPROTO },
    { "Connection may not name Authorization",
      S(GET "Connection: close\r\nConnection: Authorization\r\n\r\n"), CMG_EPROTO },
    { "Connection may not name Cookie", S(GET "Connection: cookie\r\n\r\n"), CMG_EPROTO },
    { "Connection may not name Date", S(GET "Connection: Date\r\n\r\n"), CMG_EPROTO },
    { "Connection may not name Content-Type", S(GET "Connection: Content-Type\r\n\r\n"),
      CMG_EPROTO },
    { "Connection may not name Expect", S(GET "Connection: Expect\r\n\r\n"), CMG_EPROTO },
    { "Connection may not name our own fields", S(GET "Connection: CMG-Identity\r\n\r\n"),
      CMG_EPROTO },
    { "Connection may not name our own fields by an alias",
      S(GET "Connection: cmg_Identity\r\n\r\n"), CMG_EPROTO },
    { "Connection may not name forwarding fields", S(GET "Connection: X-Forwarded-For\r\n\r\n"),
      CMG_EPROTO },
    { "something that is no token in Connection is refused", S(GET "Connection: a b\r\n\r\n"),
      CMG_EPROTO },
    { "sixteen names in Connection are taken",
      S(GET "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\r\n\r\n"), CMG_OK },
    { "seventeen names in Connection are refused",
      S(GET "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n"), CMG_EPROTO },
    { "four Connection fields are taken",
      S(GET "Connection: a\r\nConnection: a\r\nConnection: a\r\nConnection: close\r\n\r\n"),
      CMG_OK },
    { "five Connection fields are refused",
      S(GET "Connection: a\r\nConnection: a\r\nConnection: a\r\nConnection: a\r\nConnection: "
            "a\r\n\r\n"),
      CMG_EPROTO },
};

static const struct message responses[] = {
    { "a plain response is taken", S(OK200 "Content-Length: 2\r\n\r\nhi"), CMG_OK },
    { "a status without phrase is taken", S("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), CMG_OK },
    { "a status without phrase and blank is taken", S("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
      CMG_OK },
    { "a phrase above ASCII is taken", S("HTTP/1.1 404 Pas trouv\xe9\r\nContent-Length: 0\r\n\r\n"),
      CMG_OK },
    { "a phrase with a tab is taken", S("HTTP/1.1 404 a\tb\r\nContent-Length: 0\r\n\r\n"), CMG_OK },
    { "a phrase with NUL is refused", S("HTTP/1.1 404 a\0b\r\nContent-Length: 0\r\n\r\n"),
      CMG_EPROTO },
    { "a phrase with a CR is refused", S("HTTP/1.1 404 a\rb\r\nContent-Length: 0\r\n\r\n"),
      CMG_EPROTO },
    { "a status of two digits is refused", S("HTTP/1.1 20 OK\r\n\r\n"), CMG_EPROTO },
    { "a status of four digits is refused", S("HTTP/1.1 2000 OK\r\n\r\n"), CMG_EPROTO },
    { "a status below 100 is refused", S("HTTP/1.1 099 OK\r\n\r\n"), CMG_EPROTO },
    { "status 999 is taken", S("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), CMG_OK },
    { "a status of letters is refused", S("HTTP/1.1 2OO OK\r\n\r\n"), CMG_EPROTO },
    { "a missing status is refused", S("HTTP/1.1 OK\r\n\r\n"), CMG_EPROTO },
    { "a version alone is refused", S("HTTP/1.1\r\n\r\n"), CMG_EPROTO },
    { "two blanks before the status are refused", S("HTTP/1.1  200 OK\r\n\r\n"), CMG_EPROTO },
    { "a tab before the status is refused", S("HTTP/1.1\t200 OK\r\n\r\n"), CMG_EPROTO },
    { "HTTP/0.9 bytes are refused", S("<html>"), CMG_EPROTO },
    { "HTTP/2.0 as text is refused", S("HTTP/2.0 200 OK\r\n\r\n"), CMG_EPROTO },
    { "HTTP/1.2 is refused", S("HTTP/1.2 200 OK\r\n\r\n"), CMG_EPROTO },
    { "a lower-case version is refused", S("http/1.1 200 OK\r\n\r\n"), CMG_EPROTO },
    { "ICY is refused", S("ICY 200 OK\r\n\r\n"), CMG_EPROTO },
    { "an empty line before the response is refused", S("\r\n" OK200 "\r\n"), CMG_EPROTO },
    { "bare LF is refused", S("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), CMG_EPROTO },
    { "bare LF behind one field is refused", S(OK200 "Content-Length: 0\n\r\n"), CMG_EPROTO },
    { "a field without colon is refused", S(OK200 "foo\r\n\r\n"), CMG_EPROTO },
    { "an empty name is refused", S(OK200 ": a\r\n\r\n"), CMG_EPROTO },
    { "a folded field is refused", S(OK200 "X: a\r\n b\r\n\r\n"), CMG_EPROTO },
    { "a blank before the colon is refused", S(OK200 "Content-Length : 2\r\n\r\nhi"), CMG_EPROTO },
    { "NUL in a value is refused", S(OK200 "X: a\0\r\n\r\n"), CMG_EPROTO },
    { "two Content-Lengths are refused",
      S(OK200 "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi"), CMG_EPROTO },
    { "Content-Length beside chunked is refused",
      S(OK200 "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "a coding other than chunked is refused",
      S(OK200 "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked in HTTP/1.0 is refused",
      S("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "chunked is taken", S(OK_CHUNKED "2\r\nhi\r\n0\r\nX: y\r\n\r\n"), CMG_OK },
    { "chunk data without CRLF is refused", S(OK_CHUNKED "2\r\nhiXX0\r\n\r\n"), CMG_EPROTO },
    { "no length reads until the connection closes", S(OK200 "\r\nall of this"), CMG_OK },
    { "204 is taken", S("HTTP/1.1 204 No Content\r\n\r\n"), CMG_OK },
    { "204 with a zero length is taken", S("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
      CMG_OK },
    { "204 with a length is refused", S("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi"),
      CMG_EPROTO },
    { "204 with chunked is refused",
      S("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), CMG_EPROTO },
    { "100 is taken", S("HTTP/1.1 100 Continue\r\n\r\n"), CMG_OK },
    { "100 with a zero length is refused", S("HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n"),
      CMG_EPROTO },
    { "103 with chunked is refused",
      S("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"), CMG_EPROTO },
    { "304 with a length has no body", S("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
      CMG_OK },
    { "304 with chunked has no body",
      S("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"), CMG_OK },
    { "304 with two lengths is refused",
      S("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
      CMG_EPROTO },
    { "a response may not strike Content-Type",
      S(OK200 "Connection: Content-Type\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n"),
      CMG_EPROTO },
    { "a status line cut short is not decided", S("HTTP/1.1 20"), CMG_MORE },
};

static void check(const struct message *m, size_t n, const char *method)
{
    for (size_t i = 0; i < n; i++) {
        struct heard h = hear(m[i].in, method, m[i].in.n + 1);
        if (h.rc != m[i].want)
            fail_msg("%s: got %s, want %s", m[i].says, rc_name(h.rc), rc_name(m[i].want));
        if (h.rc == CMG_OK && h.used != m[i].in.n)
            fail_msg("%s: %zu of %zu bytes used", m[i].says, h.used, m[i].in.n);
        heard_clear(&h);
        if (!every_split_agrees(m[i].in, method))
            fail_msg("%s: another verdict when cut", m[i].says);
    }
}

static void requests_are_taken_or_refused_however_cut(void **state)
{
    (void)state;
    check(requests, CMG_COUNT(requests), NULL);
}

static void responses_are_taken_or_refused_however_cut(void **state)
{
    (void)state;
    check(responses, CMG_COUNT(responses), "GET");
}

/* What is understood, line by line. */
static const struct {
    const char *says;
    const char *method; /* of the request this answers; NULL: a request */
    struct cmg_str in;
    const char *want; /* lines that the description has, in this order */
} readings[] = {
    { "a request is taken apart, Host is the authority, framing fields are gone", NULL,
      S("CCM_POST /ccm_system/request?a=b HTTP/1.1\r\nHost: gw.example:8443\r\nX-One: 1\r\n"
        "Content-Length: 5\r\nx-two:  2 \r\nX-One: again\r\nTE: trailers\r\n"
        "Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nTrailer: X\r\n"
        "HTTP2-Settings: AA\r\nUpgrade: h2c\r\n\r\nhello"),
      "method=CCM_POST\ntarget=/ccm_system/request?a=b\nauthority=gw.example:8443\nscheme=\n"
      "status=0\nreason=\nfield=X-One\nvalue=1\nfield=x-two\nvalue=2\nfield=X-One\nvalue=again\n"
      "length=5\nend=0\nminor=1\nframing=length\nkeep-alive=1\nupgrade=\nbody=hello\n" },
    { "a request without a body ends with its head", NULL, S(GET "\r\n"),
      "length=-1\nend=1\nminor=1\nframing=none\nkeep-alive=1\n" },
    { "a declared zero is kept and ends the request", NULL, S(POST "Content-Length: 0\r\n\r\n"),
      "length=0\nend=1\nminor=1\nframing=length\n" },
    { "a chunked request has no length and does not end", NULL,
      S(CHUNKED "2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n"),
      "length=-1\nend=0\nminor=1\nframing=chunked\nkeep-alive=1\nupgrade=\nbody=hello\ndone=1\n" },
    { "a body may hold every byte", NULL, S(POST "Content-Length: 6\r\n\r\n\0\r\n\xff\xfe\n"),
      "framing=length\nkeep-alive=1\nupgrade=\nbody=" },
    { "HTTP/1.0 closes", NULL, S("GET / HTTP/1.0\r\n\r\n"), "authority=\nminor=0\nkeep-alive=0\n" },
    { "HTTP/1.0 keeps alive when asked", NULL,
      S("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "minor=0\nkeep-alive=1\n" },
    { "HTTP/1.0 closes when asked both", NULL,
      S("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n"), "minor=0\nkeep-alive=0\n" },
    { "HTTP/1.1 closes when asked, in whatever case", NULL, S(GET "Connection: foo, CLOSE\r\n\r\n"),
      "keep-alive=0\n" },
    { "close in a second Connection field counts", NULL,
      S(GET "Connection: foo\r\nconnection: close\r\n\r\n"), "keep-alive=0\n" },
    { "what Connection names is struck, before and behind it, and nothing else", NULL,
      S(GET "A: 1\r\nB: 2\r\nConnection: a, C\r\nc: 3\r\nD: 4\r\na: 5\r\n\r\n"),
      "reason=\nfield=B\nvalue=2\nfield=D\nvalue=4\nlength=-1\n" },
    { "an upgrade shows when Connection names it", NULL,
      S(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "upgrade=websocket\n" },
    { "an upgrade that Connection does not name is none", NULL, S(GET "Upgrade: websocket\r\n\r\n"),
      "upgrade=\n" },
    { "two upgrades are none", NULL,
      S(GET "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n"), "upgrade=\n" },
    { "an upgrade in HTTP/1.0 is none", NULL,
      S("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "upgrade=\n" },
    { "an absolute target leaves its path", NULL,
      S("GET http://A/x/y?z HTTP/1.1\r\nHost: a\r\n\r\n"), "target=/x/y?z\nauthority=a\n" },
    { "an absolute target without path is the root", NULL,
      S("GET https://a HTTP/1.1\r\nHost: a\r\n\r\n"), "target=/\n" },
    { "OPTIONS of a whole server is a star", NULL,
      S("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"), "method=OPTIONS\ntarget=*\n" },
    { "trailers are handed over, without the fields that may not come late", NULL,
      S(CHUNKED "0\r\nX-Sum: 1\r\nHost: b\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n"
                "Authorization: x\r\nCMG-Id: 1\r\ncmg_id: 1\r\nContent-Type: a/b\r\nCookie: c\r\n"
                "Connection: close\r\nTrailer: a\r\nUpgrade: h2c\r\nX-Last: 2\r\n\r\n"),
      "authority=a\nlength=-1\nkeep-alive=1\nupgrade=\n"
      "trailer=X-Sum\nvalue=1\ntrailer=X-Last\nvalue=2\nbody=\ndone=1\n" },
    { "a response keeps its phrase, loses Host and knows no authority", "GET",
      S("HTTP/1.1 401 CMGService_Invalid_Token\r\nHost: x\r\nDate: now\r\n"
        "Content-Length: 2\r\n\r\nhi"),
      "method=\ntarget=\nauthority=\nscheme=\nstatus=401\nreason=CMGService_Invalid_Token\n"
      "field=Date\nvalue=now\nlength=2\nend=0\nminor=1\nframing=length\nkeep-alive=1\nupgrade=\n"
      "body=hi\ndone=1\n" },
    { "a response without phrase has none", "GET", S("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
      "status=200\nreason=\nlength=0\nend=1\nminor=1\nframing=length\n" },
    { "a response without length reads until close", "GET", S(OK200 "\r\nrest"),
      "length=-1\nend=0\nminor=1\nframing=until-close\nkeep-alive=0\nupgrade=\nbody=rest\ndone="
      "0\n" },
    { "the response to HEAD keeps its length and ends", "HEAD",
      S(OK200 "Content-Length: 500\r\n\r\n"),
      "length=500\nend=1\nminor=1\nframing=none\nkeep-alive=1\n" },
    { "the response to HEAD without length ends", "HEAD", S(OK200 "\r\n"),
      "length=-1\nend=1\nminor=1\nframing=none\nkeep-alive=1\n" },
    { "the chunked response to HEAD ends", "HEAD", S(OK200 "Transfer-Encoding: chunked\r\n\r\n"),
      "length=-1\nend=1\nframing=none\n" },
    { "304 keeps its length and ends", "GET",
      S("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
      "length=500\nend=1\nminor=1\nframing=none\nkeep-alive=1\n" },
    { "204 ends and has no length", "GET",
      S("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
      "length=-1\nend=1\nminor=1\nframing=none\nkeep-alive=1\n" },
    { "100 ends and has no length", "POST", S("HTTP/1.1 100 Continue\r\n\r\n"),
      "status=100\nlength=-1\nend=1\nminor=1\nframing=none\nkeep-alive=1\n" },
    { "101 says to what", "GET",
      S("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ptth\r\n\r\n"),
      "status=101\nframing=none\nupgrade=ptth\n" },
    { "an HTTP/1.0 response closes", "GET", S("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
      "minor=0\nkeep-alive=0\nupgrade=\nbody=hi\n" },
};

/* Every line of `want` stands in `text`, in that order. */
static bool says_in_order(struct cmg_str text, const char *want)
{
    struct cmg_str lines = cmg_str(want);
    const char *at = text.p, *end = text.p + text.n;
    while (lines.n) {
        const char *nl = memchr(lines.p, '\n', lines.n);
        size_t n = nl ? (size_t)(nl - lines.p) + 1 : lines.n;
        for (;;) {
            if ((size_t)(end - at) < n)
                return false;
            bool found = memcmp(at, lines.p, n) == 0;
            const char *next = memchr(at, '\n', (size_t)(end - at));
            at = next ? next + 1 : end;
            if (found)
                break;
        }
        lines = cmg_str_from(lines, n);
    }
    return true;
}

static void what_a_message_says_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(readings); i++) {
        struct heard h = hear(readings[i].in, readings[i].method, readings[i].in.n);
        struct cmg_str text = cmg_buf_str(&h.text);
        if (h.rc != CMG_OK || !says_in_order(text, readings[i].want))
            fail_msg("%s: %s\n%.*s", readings[i].says, h.err.text, CMG_ARG(text));
        heard_clear(&h);
        if (!every_split_agrees(readings[i].in, readings[i].method))
            fail_msg("%s: another reading when cut", readings[i].says);
    }
}

static void a_refused_request_says_which_status_it_deserves(void **state)
{
    (void)state;
    static const struct cmg_h1_limits small = { 64, 16, 32 };
    static const struct {
        struct cmg_str in;
        unsigned want;
    } cases[] = {
        { S("GET /x y HTTP/1.1\r\n"), 400 },
        { S("\x16\x03\x01"), 400 },
        { S("GET / HTTP/1.1\r\n\r\n"), 400 },
        { S("GET / HTTP/1.2\r\n"), 505 },
        { S("PRI * HTTP/2.0\r\n"), 400 },
        { S("OPTIONS * HTTP/2.0\r\n"), 505 },
        { S("GET / HTTP/x\r\n"), 400 },
        { S("GET /0123456789abcdef HTTP/1.1\r\n"), 414 },
        { S("GET / HTTP/1.1\r\nX: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n"), 431 },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct heard h = hear_limited(cases[i].in, NULL, cases[i].in.n, &small);
        if (h.refuse != cases[i].want)
            fail_msg("%.*s: %u, want %u", CMG_ARG(cases[i].in), h.refuse, cases[i].want);
        heard_clear(&h);
    }
}

/* A head of exactly `size` bytes. */
static struct cmg_str head_of(char *out, size_t size)
{
    static const char front[] = GET "X: ";
    memset(out, 'x', size);
    memcpy(out, front, sizeof(front) - 1);
    memcpy(out + size - 4, "\r\n\r\n", 4);
    return (struct cmg_str){ out, size };
}

static void a_head_may_be_as_long_as_the_limit_and_no_byte_longer(void **state)
{
    (void)state;
    static const struct cmg_h1_limits small = { 100, 50, 50 };
    char bytes[101];

    for (size_t step = 1; step <= 101; step++) {
        struct heard fits = hear_limited(head_of(bytes, 100), NULL, step, &small);
        struct heard over = hear_limited(head_of(bytes, 101), NULL, step, &small);
        assert_int_equal(CMG_OK, fits.rc);
        assert_int_equal(CMG_ETOOBIG, over.rc);
        heard_clear(&fits);
        heard_clear(&over);
    }
}

static void a_full_buffer_without_an_end_is_too_big_at_once(void **state)
{
    (void)state;
    static const struct cmg_h1_limits small = { 100, 50, 50 };
    char bytes[101];
    struct heard h =
        hear_limited((struct cmg_str){ head_of(bytes, 101).p, 100 }, NULL, 100, &small);
    assert_int_equal(CMG_ETOOBIG, h.rc);
    heard_clear(&h);
}

static void a_target_may_be_as_long_as_the_limit_and_no_byte_longer(void **state)
{
    (void)state;
    static const struct cmg_h1_limits small = { 100, 5, 50 };
    struct cmg_str fits = CMG_STR("GET /1234 HTTP/1.1\r\n" HOST "\r\n");
    struct cmg_str over = CMG_STR("GET /12345 HTTP/1.1\r\n" HOST "\r\n");
    struct heard a = hear_limited(fits, NULL, fits.n, &small);
    struct heard b = hear_limited(over, NULL, over.n, &small);
    assert_int_equal(CMG_OK, a.rc);
    assert_int_equal(CMG_ETOOBIG, b.rc);
    heard_clear(&a);
    heard_clear(&b);
}

/* `n` fields besides Host. */
static struct cmg_buf many_fields(const char *front, size_t n)
{
    struct cmg_buf b;
    cmg_buf_init(&b, 1 << 16);
    assert_int_equal(CMG_OK, cmg_buf_put(&b, cmg_str(front)));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(CMG_OK, cmg_buf_put(&b, CMG_STR("X: y\r\n")));
    assert_int_equal(CMG_OK, cmg_buf_put(&b, CMG_STR("\r\n")));
    return b;
}

static void more_fields_than_the_ceiling_are_too_big_in_heads_and_trailers(void **state)
{
    (void)state;
    static const struct {
        const char *front;
        size_t n;
        enum cmg_rc want;
    } cases[] = {
        { GET, CMG_H1_FIELDS - 1, CMG_OK },
        { GET, CMG_H1_FIELDS, CMG_ETOOBIG },
        { CHUNKED "0\r\n", CMG_H1_FIELDS, CMG_OK },
        { CHUNKED "0\r\n", CMG_H1_FIELDS + 1, CMG_ETOOBIG },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_buf b = many_fields(cases[i].front, cases[i].n);
        static const size_t steps[] = { 1, 7, 64, 100000 };
        for (size_t k = 0; k < CMG_COUNT(steps); k++) {
            struct heard h = hear(cmg_buf_str(&b), NULL, steps[k]);
            assert_int_equal(cases[i].want, h.rc);
            heard_clear(&h);
        }
        cmg_buf_clear(&b);
    }
}

static void trailers_size_lines_and_extensions_have_a_ceiling(void **state)
{
    (void)state;
    static const struct cmg_h1_limits small = { 200, 50, 20 };
    static const struct {
        const char *says;
        struct cmg_str in;
        enum cmg_rc want;
    } cases[] = {
        { "a size line of 20 bytes", S(CHUNKED "1;0123456789abcdef\r\nx\r\n0\r\n\r\n"), CMG_OK },
        { "a size line of 21 bytes", S(CHUNKED "1;0123456789abcdefg\r\nx\r\n0\r\n\r\n"),
          CMG_ETOOBIG },
        { "a size line without end", S(CHUNKED "1;0123456789abcdefgh"), CMG_ETOOBIG },
        { "trailers of 20 bytes", S(CHUNKED "0\r\nX: 0123456789abc\r\n\r\n"), CMG_OK },
        { "trailers of 21 bytes", S(CHUNKED "0\r\nX: 0123456789abcd\r\n\r\n"), CMG_ETOOBIG },
        { "extensions of 20 bytes in all",
          S(CHUNKED "1;012345678\r\nx\r\n1;012345678\r\nx\r\n0\r\n\r\n"), CMG_OK },
        { "extensions of 21 bytes in all",
          S(CHUNKED "1;012345678\r\nx\r\n1;0123456789\r\nx\r\n0\r\n\r\n"), CMG_ETOOBIG },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        for (size_t step = 1; step <= cases[i].in.n; step++) {
            struct heard h = hear_limited(cases[i].in, NULL, step, &small);
            if (h.rc != cases[i].want)
                fail_msg("%s, %zu at a time: got %s", cases[i].says, step, rc_name(h.rc));
            heard_clear(&h);
        }
    }
}

/* Were bytes looked at twice while a line trickles in, the LFs written over what was seen
 * already would be found. */
static void a_trickling_head_is_not_searched_twice(void **state)
{
    (void)state;
    char bytes[] = GET "X-Long: 0123456789012345678901234567890123456789";
    struct cmg_h1_scan scan = { 0 };
    struct cmg_h1_msg m;

    for (size_t n = sizeof(GET); n < sizeof(bytes); n++) {
        assert_int_equal(CMG_MORE, cmg_h1_request((struct cmg_str){ bytes, n },
                                                  &cmg_h1_limits_default, &scan, &m, NULL));
        memset(bytes, '\n', n);
    }
}

static void a_malformed_line_is_refused_before_the_head_is_whole(void **state)
{
    (void)state;
    static const struct cmg_str cases[] = {
        S("GET / HTTP/1.1\n"),          S("GET / HTTP/3.0\r\n"),           S(GET "X : a\r\n"),
        S(GET "Content-Length: x\r\n"), S(GET "Transfer-Encoding: x\r\n"), S(GET "X: \0\r\n"),
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct heard h = hear(cases[i], NULL, 1);
        assert_int_equal(CMG_EPROTO, h.rc);
        heard_clear(&h);
    }
}

static void bytes_behind_a_message_are_left_alone(void **state)
{
    (void)state;
    static const struct {
        struct cmg_str in;
        size_t used;
    } cases[] = {
        { S(GET "\r\n\0\n\rnext"), sizeof(GET) - 1 + 2 },
        { S(POST "Content-Length: 2\r\n\r\nhinext"), sizeof(POST) - 1 + 19 + 2 + 2 },
        { S(CHUNKED "2\r\nhi\r\n0\r\n\r\n\nnext"), sizeof(CHUNKED) - 1 + 12 },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        for (size_t step = 1; step <= cases[i].in.n; step++) {
            struct heard h = hear(cases[i].in, NULL, step);
            assert_int_equal(CMG_OK, h.rc);
            assert_int_equal(cases[i].used, h.used);
            heard_clear(&h);
        }
    }
}

static void a_finished_body_stays_finished(void **state)
{
    (void)state;
    struct cmg_h1_msg m;
    struct cmg_h1_scan scan = { 0 };
    struct cmg_h1_body b;
    struct cmg_field trailers[CMG_H1_FIELDS];
    struct cmg_str in = CMG_STR(CHUNKED), body = CMG_STR("0\r\n\r\nGET"), data;
    size_t used, n;
    bool done;

    assert_int_equal(CMG_OK, cmg_h1_request(in, &cmg_h1_limits_default, &scan, &m, NULL));
    cmg_h1_body_init(&b, &m, &cmg_h1_limits_default);
    assert_int_equal(CMG_OK, cmg_h1_body_read(&b, body, &used, &data, &done, trailers, &n, NULL));
    assert_true(done);
    assert_int_equal(5, used);
    assert_int_equal(CMG_OK, cmg_h1_body_read(&b, cmg_str_from(body, 5), &used, &data, &done,
                                              trailers, &n, NULL));
    assert_true(done);
    assert_int_equal(0, used);
    assert_int_equal(0, data.n);
}

/* ---- Writing ---- */

static const struct cmg_field two_fields[] = {
    { S("X-One"), S("1") },
    { S("x-two"), S("") },
};

static struct cmg_head request_head(const char *method, const char *target, const char *authority)
{
    return (struct cmg_head){
        .method = cmg_str(method),
        .target = cmg_str(target),
        .authority = cmg_str(authority),
        .fields = two_fields,
        .nfields = CMG_COUNT(two_fields),
        .length = -1,
        .end = true,
    };
}

static struct cmg_head response_head(unsigned status, int64_t length, bool end)
{
    return (struct cmg_head){ .status = status, .length = length, .end = end };
}

static void assert_written(struct cmg_buf *out, const char *want)
{
    struct cmg_str got = cmg_buf_str(out);
    if (!cmg_str_eq(got, cmg_str(want)))
        fail_msg("wrote:\n%.*s\nwant:\n%s", CMG_ARG(got), want);
    cmg_buf_clear(out);
}

static void a_request_head_is_written_with_the_framing_it_needs(void **state)
{
    (void)state;
    static const struct {
        int64_t length;
        bool end;
        const char *framing;
    } cases[] = {
        { -1, true, "" },
        { 0, true, "Content-Length: 0\r\n" },
        { 0, false, "Content-Length: 0\r\n" },
        { 123, false, "Content-Length: 123\r\n" },
        { INT64_MAX, false, "Content-Length: 9223372036854775807\r\n" },
        { -1, false, "Transfer-Encoding: chunked\r\n" },
    };
    struct cmg_buf out;
    cmg_buf_init(&out, 4096);
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_head head = request_head("CCM_POST", "/a?b", "host:1");
        char want[256];
        head.length = cases[i].length;
        head.end = cases[i].end;
        assert_int_equal(CMG_OK, cmg_h1_put_request(&out, &head, CMG_STR("E: 1\r\n"), NULL));
        snprintf(want, sizeof(want),
                 "CCM_POST /a?b HTTP/1.1\r\nHost: host:1\r\nX-One: 1\r\nx-two: \r\n%sE: 1\r\n\r\n",
                 cases[i].framing);
        assert_written(&out, want);
    }
}

static void what_may_not_be_written_in_a_request_is_refused_and_leaves_no_trace(void **state)
{
    (void)state;
    static const struct cmg_field bad_name[] = { { S("X"), S("1") }, { S("X\r\n"), S("1") } };
    static const struct cmg_field empty_name[] = { { S(""), S("1") } };
    static const struct cmg_field blank_name[] = { { S("X Y"), S("1") } };
    static const struct cmg_field injected[] = { { S("X"), S("1\r\nEvil: 1") } };
    static const struct cmg_field nul[] = { { S("X"), S("0123456789\0") } };
    static const struct cmg_field padded[] = { { S("X"), S("1 ") } };
    static const struct {
        const char *says;
        struct cmg_str method, target, authority;
        const struct cmg_field *fields;
        size_t nfields;
        int64_t length;
    } cases[] = {
        { "empty method", S(""), S("/"), S("a"), NULL, 0, -1 },
        { "method with a blank", S("G T"), S("/"), S("a"), NULL, 0, -1 },
        { "method with CRLF", S("GET\r\n"), S("/"), S("a"), NULL, 0, -1 },
        { "CONNECT", S("CONNECT"), S("/"), S("a"), NULL, 0, -1 },
        { "empty target", S("GET"), S(""), S("a"), NULL, 0, -1 },
        { "target with a blank", S("GET"), S("/ "), S("a"), NULL, 0, -1 },
        { "target with CRLF", S("GET"), S("/\r\nX: y"), S("a"), NULL, 0, -1 },
        { "target that is no path", S("GET"), S("a"), S("a"), NULL, 0, -1 },
        { "star for GET", S("GET"), S("*"), S("a"), NULL, 0, -1 },
        { "absolute target", S("GET"), S("http://a/"), S("a"), NULL, 0, -1 },
        { "no authority", S("GET"), S("/"), S(""), NULL, 0, -1 },
        { "authority with CRLF", S("GET"), S("/"), S("a\r\nX: y"), NULL, 0, -1 },
        { "authority with user information", S("GET"), S("/"), S("u@a"), NULL, 0, -1 },
        { "name with CRLF", S("GET"), S("/"), S("a"), bad_name, 2, -1 },
        { "empty name", S("GET"), S("/"), S("a"), empty_name, 1, -1 },
        { "name with a blank", S("GET"), S("/"), S("a"), blank_name, 1, -1 },
        { "value with CRLF", S("GET"), S("/"), S("a"), injected, 1, -1 },
        { "value with NUL", S("GET"), S("/"), S("a"), nul, 1, -1 },
        { "value with a blank at its end", S("GET"), S("/"), S("a"), padded, 1, -1 },
        { "a length that never comes", S("GET"), S("/"), S("a"), NULL, 0, 5 },
    };
    struct cmg_buf out;
    cmg_buf_init(&out, 4096);
    assert_int_equal(CMG_OK, cmg_buf_put(&out, CMG_STR("before")));
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_err err = { 0 };
        struct cmg_head head = {
            .method = cases[i].method,
            .target = cases[i].target,
            .authority = cases[i].authority,
            .fields = cases[i].fields,
            .nfields = cases[i].nfields,
            .length = cases[i].length,
            .end = true,
        };
        if (cmg_h1_put_request(&out, &head, CMG_STR(""), &err) != CMG_EPROTO || !err.text[0])
            fail_msg("%s: written", cases[i].says);
        assert_int_equal(6, out.n);
    }
    cmg_buf_clear(&out);
}

static void fields_of_the_connection_are_never_written(void **state)
{
    (void)state;
    static const struct cmg_field fields[] = {
        { S("Host"), S("evil") },       { S("content-length"), S("5") },
        { S("Connection"), S("a") },    { S("TRANSFER-ENCODING"), S("chunked") },
        { S("Keep-Alive"), S("1") },    { S("Upgrade"), S("h2c") },
        { S("TE"), S("trailers") },     { S("Trailer"), S("x") },
        { S("HTTP2-Settings"), S("") }, { S("Proxy-Connection"), S("close") },
        { S("X-Stays"), S("1") },
    };
    struct cmg_head head = request_head("GET", "/", "a");
    struct cmg_buf out;

    head.fields = fields;
    head.nfields = CMG_COUNT(fields);
    cmg_buf_init(&out, 4096);
    assert_int_equal(CMG_OK, cmg_h1_put_request(&out, &head, CMG_STR(""), NULL));
    assert_written(&out, "GET / HTTP/1.1\r\nHost: a\r\nX-Stays: 1\r\n\r\n");
}

static void a_response_head_is_written_with_the_framing_it_needs(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        const char *method;
        unsigned status;
        int64_t length;
        bool end;
        unsigned minor;
        bool close;
        enum cmg_h1_framing framing;
        const char *want;
    } cases[] = {
        { "a length", "GET", 200, 5, false, 1, false, CMG_H1_LENGTH,
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" },
        { "no length", "GET", 200, -1, false, 1, false, CMG_H1_CHUNKED,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { "no length for HTTP/1.0", "GET", 200, -1, false, 0, false, CMG_H1_UNTIL_CLOSE,
          "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" },
        { "a length for HTTP/1.0 that keeps alive", "GET", 200, 5, false, 0, false, CMG_H1_LENGTH,
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n" },
        { "no body and no length", "GET", 404, -1, true, 1, true, CMG_H1_LENGTH,
          "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" },
        { "HEAD with a length", "HEAD", 200, 500, true, 1, false, CMG_H1_NONE,
          "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" },
        { "HEAD without length", "HEAD", 200, -1, true, 1, false, CMG_H1_NONE,
          "HTTP/1.1 200 OK\r\n\r\n" },
        { "304 with a length", "GET", 304, 500, true, 1, false, CMG_H1_NONE,
          "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n" },
        { "204", "GET", 204, 0, true, 1, false, CMG_H1_NONE, "HTTP/1.1 204 No Content\r\n\r\n" },
        { "100 never closes", "POST", 100, -1, true, 1, true, CMG_H1_NONE,
          "HTTP/1.1 100 Continue\r\n\r\n" },
        { "an unregistered status", "GET", 799, 0, true, 1, false, CMG_H1_LENGTH,
          "HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n" },
    };
    struct cmg_buf out;
    cmg_buf_init(&out, 4096);
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_head head = response_head(cases[i].status, cases[i].length, cases[i].end);
        enum cmg_h1_framing framing;
        assert_int_equal(CMG_OK,
                         cmg_h1_put_response(&out, &head, cmg_str(cases[i].method), cases[i].minor,
                                             cases[i].close, CMG_STR(""), &framing, NULL));
        if (framing != cases[i].framing)
            fail_msg("%s: framing %d", cases[i].says, framing);
        assert_written(&out, cases[i].want);
    }
}

static void a_response_carries_its_own_phrase_and_the_extra_lines(void **state)
{
    (void)state;
    struct cmg_head head = response_head(403, 0, true);
    enum cmg_h1_framing framing;
    struct cmg_buf out;

    head.reason = CMG_STR("CMGConnector_Clientcertificaterequired");
    head.fields = two_fields;
    head.nfields = 2;
    cmg_buf_init(&out, 4096);
    assert_int_equal(CMG_OK, cmg_h1_put_response(&out, &head, CMG_STR("GET"), 1, false,
                                                 CMG_STR("E: 1\r\n"), &framing, NULL));
    assert_written(&out, "HTTP/1.1 403 CMGConnector_Clientcertificaterequired\r\nX-One: 1\r\n"
                         "x-two: \r\nContent-Length: 0\r\nE: 1\r\n\r\n");
}

static void what_may_not_be_written_in_a_response_is_refused(void **state)
{
    (void)state;
    static const struct cmg_field injected[] = { { S("X"), S("1\nEvil: 1") } };
    struct cmg_head cases[] = {
        response_head(99, 0, true),  response_head(1000, 0, true), response_head(200, 5, true),
        response_head(200, 0, true), response_head(200, 0, true),
    };
    enum cmg_h1_framing framing;
    struct cmg_buf out;

    cases[3].reason = CMG_STR("OK\r\nEvil: 1");
    cases[4].fields = injected;
    cases[4].nfields = 1;
    cmg_buf_init(&out, 4096);
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        if (cmg_h1_put_response(&out, &cases[i], CMG_STR("GET"), 1, false, CMG_STR(""), &framing,
                                NULL) != CMG_EPROTO)
            fail_msg("case %zu was written", i);
        assert_int_equal(0, out.n);
    }
    cmg_buf_clear(&out);
}

static void a_head_that_does_not_fit_its_buffer_is_too_big(void **state)
{
    (void)state;
    struct cmg_head head = request_head("GET", "/", "a");
    struct cmg_head answer = response_head(200, 0, true);
    enum cmg_h1_framing framing;
    struct cmg_buf out;

    cmg_buf_init(&out, 20);
    assert_int_equal(CMG_ETOOBIG, cmg_h1_put_request(&out, &head, CMG_STR(""), NULL));
    assert_int_equal(CMG_ETOOBIG, cmg_h1_put_response(&out, &answer, CMG_STR("GET"), 1, false,
                                                      CMG_STR(""), &framing, NULL));
    assert_int_equal(CMG_ETOOBIG, cmg_h1_put_chunk(&out, CMG_STR("0123456789abcdef")));
    assert_int_equal(CMG_ETOOBIG, cmg_h1_put_last_chunk(&out, two_fields, 2));
    assert_int_equal(0, out.n);
}

static void chunks_are_written_with_their_size_in_hex(void **state)
{
    (void)state;
    struct cmg_buf out;
    char big[0x1a0];

    memset(big, 'x', sizeof(big));
    cmg_buf_init(&out, 4096);
    assert_int_equal(CMG_OK, cmg_h1_put_chunk(&out, CMG_STR("")));
    assert_int_equal(0, out.n);
    assert_int_equal(CMG_OK, cmg_h1_put_chunk(&out, CMG_STR("hello")));
    assert_written(&out, "5\r\nhello\r\n");
    assert_int_equal(CMG_OK, cmg_h1_put_chunk(&out, (struct cmg_str){ big, sizeof(big) }));
    assert_int_equal(5 + sizeof(big) + 2, out.n);
    assert_memory_equal("1a0\r\nx", cmg_buf_str(&out).p, 6);
    cmg_buf_clear(&out);
}

static void the_last_chunk_has_only_trailers_that_may_come_late(void **state)
{
    (void)state;
    static const struct cmg_field trailers[] = {
        { S("X-Sum"), S("1") },
        { S("Content-Length"), S("5") },
        { S("Authorization"), S("x") },
        { S("TE"), S("trailers") },
    };
    static const struct cmg_field bad[] = { { S("X"), S("\n") } };
    struct cmg_buf out;

    cmg_buf_init(&out, 4096);
    assert_int_equal(CMG_OK, cmg_h1_put_last_chunk(&out, NULL, 0));
    assert_written(&out, "0\r\n\r\n");
    assert_int_equal(CMG_OK, cmg_h1_put_last_chunk(&out, trailers, CMG_COUNT(trailers)));
    assert_written(&out, "0\r\nX-Sum: 1\r\n\r\n");
    assert_int_equal(CMG_EPROTO, cmg_h1_put_last_chunk(&out, bad, 1));
    assert_int_equal(0, out.n);
    cmg_buf_clear(&out);
}

/* ---- The vocabulary ---- */

static void names_values_and_tokens_are_told_from_what_is_none(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c, value[3] = { 'a', byte, 'b' };
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool token = alnum || (c && strchr("!#$%&'*+-.^_`|~", c));
        bool fine = c == '\t' || (c >= ' ' && c != 0x7f);
        assert_int_equal(token, cmg_token_ok((struct cmg_str){ &byte, 1 }));
        assert_int_equal(token, cmg_field_name_ok((struct cmg_str){ &byte, 1 }));
        assert_int_equal(fine, cmg_field_value_ok((struct cmg_str){ value, 3 }));
        assert_int_equal(fine && c != ' ' && c != '\t',
                         cmg_field_value_ok((struct cmg_str){ &byte, 1 }));
    }
    assert_false(cmg_token_ok(CMG_STR("")));
    assert_false(cmg_field_name_ok(CMG_STR("")));
    assert_true(cmg_field_value_ok(CMG_STR("")));
}

/* Whole words of a value are judged at once: every byte at every place of two of them. */
static void a_bad_byte_is_found_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t at = 0; at < 19; at++) {
        for (int c = 0; c < 256; c++) {
            char value[19];
            memset(value, 0xa5, sizeof(value));
            value[at] = (char)c;
            bool edge = at == 0 || at == 18;
            bool want = c == '\t' || c == ' ' ? !edge : c > ' ' && c != 0x7f;
            assert_int_equal(want, cmg_field_value_ok((struct cmg_str){ value, sizeof(value) }));
        }
    }
}

static void fields_are_found_without_case_and_the_first_one_wins(void **state)
{
    (void)state;
    static const struct cmg_field f[] = {
        { S("A"), S("1") },
        { S("bee"), S("2") },
        { S("BEE"), S("3") },
    };
    assert_ptr_equal(&f[1], cmg_field_find(f, 3, CMG_STR("Bee")));
    assert_null(cmg_field_find(f, 3, CMG_STR("be")));
    assert_null(cmg_field_find(f, 0, CMG_STR("A")));
}

static void hop_by_hop_fields_are_known_in_any_case(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "Connection", "KEEP-ALIVE", "proxy-connection", "Transfer-Encoding",
        "te",         "TRAILER",    "Upgrade",          "http2-settings"
    };
    static const char *const no[] = { "Host", "Content-Length", "TEX", "Transfer_Encoding", "" };
    for (size_t i = 0; i < CMG_COUNT(yes); i++)
        assert_true(cmg_field_is_hop_by_hop(cmg_str(yes[i])));
    for (size_t i = 0; i < CMG_COUNT(no); i++)
        assert_false(cmg_field_is_hop_by_hop(cmg_str(no[i])));
}

static void an_alias_differs_in_case_and_underscores_only(void **state)
{
    (void)state;
    assert_true(cmg_field_is_alias(CMG_STR("X_Forwarded-FOR"), CMG_STR("x-forwarded-for")));
    assert_true(cmg_field_is_alias(CMG_STR("host"), CMG_STR("host")));
    assert_false(cmg_field_is_alias(CMG_STR("x-forwarded-fo"), CMG_STR("x-forwarded-for")));
    assert_true(cmg_field_is_alias(CMG_STR("x.forwarded~for"), CMG_STR("x-forwarded-for")));
}

static void registered_statuses_have_their_phrase(void **state)
{
    (void)state;
    assert_string_equal("OK", cmg_reason(200));
    assert_string_equal("Service Unavailable", cmg_reason(503));
    assert_string_equal("Request Header Fields Too Large", cmg_reason(431));
    assert_string_equal("", cmg_reason(299));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_taken_or_refused_however_cut),
        cmocka_unit_test(responses_are_taken_or_refused_however_cut),
        cmocka_unit_test(what_a_message_says_is_understood),
        cmocka_unit_test(a_refused_request_says_which_status_it_deserves),
        cmocka_unit_test(a_head_may_be_as_long_as_the_limit_and_no_byte_longer),
        cmocka_unit_test(a_full_buffer_without_an_end_is_too_big_at_once),
        cmocka_unit_test(a_target_may_be_as_long_as_the_limit_and_no_byte_longer),
        cmocka_unit_test(more_fields_than_the_ceiling_are_too_big_in_heads_and_trailers),
        cmocka_unit_test(trailers_size_lines_and_extensions_have_a_ceiling),
        cmocka_unit_test(a_trickling_head_is_not_searched_twice),
        cmocka_unit_test(a_malformed_line_is_refused_before_the_head_is_whole),
        cmocka_unit_test(bytes_behind_a_message_are_left_alone),
        cmocka_unit_test(a_finished_body_stays_finished),
        cmocka_unit_test(a_request_head_is_written_with_the_framing_it_needs),
        cmocka_unit_test(what_may_not_be_written_in_a_request_is_refused_and_leaves_no_trace),
        cmocka_unit_test(fields_of_the_connection_are_never_written),
        cmocka_unit_test(a_response_head_is_written_with_the_framing_it_needs),
        cmocka_unit_test(a_response_carries_its_own_phrase_and_the_extra_lines),
        cmocka_unit_test(what_may_not_be_written_in_a_response_is_refused),
        cmocka_unit_test(a_head_that_does_not_fit_its_buffer_is_too_big),
        cmocka_unit_test(chunks_are_written_with_their_size_in_hex),
        cmocka_unit_test(the_last_chunk_has_only_trailers_that_may_come_late),
        cmocka_unit_test(names_values_and_tokens_are_told_from_what_is_none),
        cmocka_unit_test(a_bad_byte_is_found_wherever_it_stands),
        cmocka_unit_test(fields_are_found_without_case_and_the_first_one_wins),
        cmocka_unit_test(hop_by_hop_fields_are_known_in_any_case),
        cmocka_unit_test(an_alias_differs_in_case_and_underscores_only),
        cmocka_unit_test(registered_statuses_have_their_phrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
