/* SPDX-License-Identifier: MIT */
/* Lists of blobs, as they come, and manifests, as they leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/storage/manifest.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
#define LIST(blobs, more)                                                                  \
    "\xef\xbb\xbf" HEAD "<EnumerationResults ServiceEndpoint=\"https://x/\"><Blobs>" blobs \
    "</Blobs>" more "</EnumerationResults>"
#define BLOB(name, properties) \
    "<Blob><Name>" name "</Name><Properties>" properties "</Properties></Blob>"
#define SIZE "<Content-Length>7</Content-Length>"
#define FULL                                                                              \
    "<Last-Modified>Sat, 31 Jan 2026 10:00:00 GMT</Last-Modified><Etag>0x8DE</Etag>" SIZE \
    "<Content-Type>a/b</Content-Type><Content-MD5>XUFAKrxLKna5cZ2REBfFkg==</Content-MD5>"

static struct cmg_listing *read_all(const char *xml, enum cmg_rc want, const char *says)
{
    struct cmg_err err = { 0 };
    struct cmg_listing *l = cmg_listing_new(CMG_STR("ps1/"));
    enum cmg_rc rc = cmg_listing_feed(l, cmg_str(xml), true, &err);
    if (rc != want)
        fail_msg("%s: got %d (%s), want %d", says, rc, err.text, want);
    assert_true(rc == CMG_OK || (err.text[0] && err.code == rc));
    return l;
}

static void a_page_is_read(void **state)
{
    (void)state;
    struct cmg_listing *l =
        read_all(LIST(BLOB("ps1/a &amp; b.bin", FULL) BLOB("ps1/sub/c", "<Etag>\"q\"</Etag>" SIZE)
                          BLOB("ps1/sub/", "<Content-Length>0</Content-Length>")
                              BLOB("ps1/dir", SIZE "<ResourceType>directory</ResourceType>")
                                  BLOB("ps1/z", SIZE "<Content-MD5/>"),
                      "<NextMarker>2!8&lt;</NextMarker>"),
                 CMG_OK, "a page");
    assert_int_equal(3, cmg_listing_count(l));
    const struct cmg_blob *b = cmg_listing_at(l, 0);
    assert_string_equal("ps1/a & b.bin", b->name);
    assert_string_equal("\"0x8DE\"", b->etag);
    assert_string_equal("XUFAKrxLKna5cZ2REBfFkg==", b->md5);
    assert_int_equal(7, b->size);
    assert_int_equal(1769853600, b->modified);
    b = cmg_listing_at(l, 1);
    assert_string_equal("ps1/sub/c", b->name);
    assert_string_equal("\"q\"", b->etag);
    assert_string_equal("", b->md5);
    assert_int_equal(0, b->modified);
    assert_string_equal("ps1/z", cmg_listing_at(l, 2)->name);
    assert_string_equal("2!8<", cmg_listing_marker(l));

    struct cmg_err err = { 0 };
    assert_int_equal(
        CMG_OK,
        cmg_listing_feed(l, CMG_STR(LIST(BLOB("ps1/zz", SIZE), "<NextMarker/>")), true, &err));
    assert_int_equal(4, cmg_listing_count(l));
    assert_null(cmg_listing_marker(l));
    cmg_listing_free(l);
}

static const struct {
    const char *says, *xml;
    enum cmg_rc want;
} pages[] = {
    { "none at all", LIST("", ""), CMG_OK },
    { "elements that nobody knows", LIST(BLOB("ps1/a", SIZE "<X><Y/>y</X>"), "<Z><Blob/></Z>"),
      CMG_OK },
    { "a comment and an instruction", LIST("<!-- x --><?y z?>" BLOB("ps1/a", SIZE), ""), CMG_OK },
    { "nothing", "", CMG_EPROTO },
    { "no XML", "BlobNotFound", CMG_EPROTO },
    { "another document", HEAD "<Error><Code>X</Code></Error>", CMG_EPROTO },
    { "cut short", HEAD "<EnumerationResults><Blobs>", CMG_EPROTO },
    { "something behind it", LIST("", "") "x", CMG_EPROTO },
    { "a document type", HEAD "<!DOCTYPE EnumerationResults><EnumerationResults/>", CMG_EPROTO },
    { "an entity",
      HEAD "<!DOCTYPE x [<!ENTITY a \"b\">]><EnumerationResults>&a;</EnumerationResults>",
      CMG_EPROTO },
    { "entities that grow",
      HEAD "<!DOCTYPE x [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>"
           "<EnumerationResults>&b;</EnumerationResults>",
      CMG_EPROTO },
    { "an external entity",
      HEAD "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>"
           "<EnumerationResults><Blobs>" BLOB("ps1/&a;", SIZE) "</Blobs></EnumerationResults>",
      CMG_EPROTO },
    { "an entity that is not declared", LIST(BLOB("ps1/&a;", SIZE), ""), CMG_EPROTO },
    { "a name that is not UTF-8", LIST(BLOB("ps1/\xff", SIZE), ""), CMG_EPROTO },
    { "a blob of another content", LIST(BLOB("ps2/a", SIZE), ""), CMG_EPROTO },
    { "the prefix alone", LIST(BLOB("ps1/", SIZE), ""), CMG_EPROTO },
    { "a name that leads elsewhere", LIST(BLOB("ps1/../ps2/a", SIZE), ""), CMG_EPROTO },
    { "a name with a line end", LIST(BLOB("ps1/a&#10;b", SIZE), ""), CMG_EPROTO },
    { "no name", LIST("<Blob><Properties>" SIZE "</Properties></Blob>", ""), CMG_EPROTO },
    { "an empty name", LIST(BLOB("", SIZE), ""), CMG_EPROTO },
    { "two names",
      LIST("<Blob><Name>ps1/a</Name><Name>ps1/b</Name><Properties>" SIZE "</Properties></Blob>",
           ""),
      CMG_EPROTO },
    { "a name with an element in it", LIST(BLOB("ps1/a<x/>b", SIZE), ""), CMG_EPROTO },
    { "no size", LIST(BLOB("ps1/a", ""), ""), CMG_EPROTO },
    { "two sizes", LIST(BLOB("ps1/a", SIZE SIZE), ""), CMG_EPROTO },
    { "a negative size", LIST(BLOB("ps1/a", "<Content-Length>-1</Content-Length>"), ""),
      CMG_EPROTO },
    { "a size that is none", LIST(BLOB("ps1/a", "<Content-Length>7x</Content-Length>"), ""),
      CMG_EPROTO },
    { "a time that is none", LIST(BLOB("ps1/a", SIZE "<Last-Modified>now</Last-Modified>"), ""),
      CMG_EPROTO },
    { "a time that no calendar has",
      LIST(BLOB("ps1/a", SIZE "<Last-Modified>Mon, 30 Feb 2026 10:00:00 GMT</Last-Modified>"), ""),
      CMG_EPROTO },
    { "an MD5 that is none", LIST(BLOB("ps1/a", SIZE "<Content-MD5>x</Content-MD5>"), ""),
      CMG_EPROTO },
    { "an ETag with a blank", LIST(BLOB("ps1/a", SIZE "<Etag>a b</Etag>"), ""), CMG_EPROTO },
    { "two markers", LIST("", "<NextMarker>a</NextMarker><NextMarker>b</NextMarker>"), CMG_EPROTO },
    { "a blob outside of its place", LIST("", BLOB("ps2/a", SIZE)), CMG_OK },
};

static void an_answer_is_not_believed(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(pages); i++)
        cmg_listing_free(read_all(pages[i].xml, pages[i].want, pages[i].says));
}

/* Whatever way the bytes are cut, the list is the same. */
static void every_split_reads_alike(void **state)
{
    (void)state;
    static const char xml[] = LIST(BLOB("ps1/\xc3\xa4 &lt;", FULL), "<NextMarker>n</NextMarker>");
    for (size_t cut = 0; cut < sizeof(xml); cut++) {
        struct cmg_listing *l = cmg_listing_new(CMG_STR("ps1/"));
        struct cmg_err err = { 0 };
        assert_int_equal(CMG_OK, cmg_listing_feed(l, (struct cmg_str){ xml, cut }, false, &err));
        assert_int_equal(
            CMG_OK,
            cmg_listing_feed(l, (struct cmg_str){ xml + cut, sizeof(xml) - 1 - cut }, true, &err));
        assert_int_equal(1, cmg_listing_count(l));
        assert_string_equal("ps1/\xc3\xa4 <", cmg_listing_at(l, 0)->name);
        assert_string_equal("n", cmg_listing_marker(l));
        cmg_listing_free(l);
    }
}

static void a_name_or_a_marker_has_an_end(void **state)
{
    (void)state;
    char xml[16384], text[8192];
    struct {
        size_t n;
        const char *form;
        enum cmg_rc want;
    } rows[] = {
        { CMG_BLOB_NAME_MAX - 4, LIST(BLOB("ps1/%s", SIZE), ""), CMG_OK },
        { CMG_BLOB_NAME_MAX - 3, LIST(BLOB("ps1/%s", SIZE), ""), CMG_EPROTO },
        { 8000, LIST(BLOB("ps1/%s", SIZE), ""), CMG_EPROTO },
        { CMG_MARKER_MAX, LIST("", "<NextMarker>%s</NextMarker>"), CMG_OK },
        { CMG_MARKER_MAX + 1, LIST("", "<NextMarker>%s</NextMarker>"), CMG_EPROTO },
    };
    for (size_t i = 0; i < CMG_COUNT(rows); i++) {
        memset(text, 'a', rows[i].n);
        text[rows[i].n] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(xml, sizeof(xml), rows[i].form, text);
#pragma GCC diagnostic pop
        cmg_listing_free(read_all(xml, rows[i].want, rows[i].form));
    }
}

static void depth_and_numbers_have_ceilings(void **state)
{
    (void)state;
    struct cmg_err err = { 0 };
    struct cmg_listing *l = cmg_listing_new(CMG_STR("ps1/"));
    enum cmg_rc rc = cmg_listing_feed(l, CMG_STR("<EnumerationResults>"), false, &err);
    for (int i = 0; rc == CMG_OK && i < 100000; i++)
        rc = cmg_listing_feed(l, CMG_STR("<a>"), false, &err);
    assert_int_equal(CMG_EPROTO, rc);
    cmg_listing_free(l);

    l = cmg_listing_new(CMG_STR("ps1/"));
    rc = cmg_listing_feed(l, CMG_STR("<EnumerationResults><Blobs>"), false, &err);
    for (int i = 0; rc == CMG_OK && i <= CMG_LISTING_MAX; i++)
        rc = cmg_listing_feed(l, CMG_STR(BLOB("ps1/a", SIZE)), false, &err);
    assert_int_equal(CMG_ETOOBIG, rc);
    assert_int_equal(CMG_LISTING_MAX, cmg_listing_count(l));
    cmg_listing_free(l);

    l = cmg_listing_new(CMG_STR("ps1/"));
    int pages_read = 0;
    while (cmg_listing_feed(l, CMG_STR(LIST("", "<NextMarker>x</NextMarker>")), true, &err) ==
           CMG_OK)
        pages_read++;
    assert_int_equal(CMG_LISTING_PAGES_MAX, pages_read);
    assert_int_equal(CMG_ETOOBIG, err.code);
    cmg_listing_free(l);
}

/* Manifests ----------------------------------------------------------------------------- */

static const struct cmg_blob blob = {
    .size = 7, .modified = 1769853600, .etag = "\"0x8<\"", .md5 = "XUFAKrxLKna5cZ2REBfFkg=="
};
static const struct cmg_blob bare = { .size = 0 };
static const char *const urls[] = { "https://x/a?b=1&c=2", "https://y/a?b=1&c=2" };

static struct cmg_buf written(enum cmg_manifest_form form, size_t max, enum cmg_rc want)
{
    struct cmg_buf out;
    cmg_buf_init(&out, max);
    struct cmg_manifest *m = cmg_manifest_new(form, &out, "PS1.3", 1769940000);
    cmg_manifest_add(m, "a & \"b\" <\xc3\xa4>.bin", &blob, urls, 2);
    cmg_manifest_add(m, "sub/empty", &bare, urls + 1, 1);
    assert_int_equal(want, cmg_manifest_end(m));
    return out;
}

static void says(struct cmg_buf *out, const char *want)
{
    if (!cmg_str_eq(cmg_buf_str(out), cmg_str(want)))
        fail_msg("%.*s", CMG_ARG(cmg_buf_str(out)));
    cmg_buf_clear(out);
}

static void a_manifest_is_a_dav_listing(void **state)
{
    (void)state;
    struct cmg_buf out = written(CMG_MANIFEST_XML, 4096, CMG_OK);
    says(&out,
         HEAD "\n<D:multistatus xmlns:D=\"DAV:\" xmlns:C=\"urn:cmg:content\" C:content=\"PS1.3\" "
              "C:until=\"2026-02-01T10:00:00Z\">\n"
              "<D:response>\n<D:href>https://x/a?b=1&amp;c=2</D:href>\n<D:propstat>\n<D:prop>\n"
              "<D:displayname>a &amp; &quot;b&quot; &lt;\xc3\xa4&gt;.bin</D:displayname>\n"
              "<D:getcontentlength>7</D:getcontentlength>\n"
              "<D:getlastmodified>Sat, 31 Jan 2026 10:00:00 GMT</D:getlastmodified>\n"
              "<D:getetag>&quot;0x8&lt;&quot;</D:getetag>\n<D:resourcetype/>\n"
              "<C:md5>XUFAKrxLKna5cZ2REBfFkg==</C:md5>\n"
              "<C:alternate>https://y/a?b=1&amp;c=2</C:alternate>\n</D:prop>\n"
              "<D:status>HTTP/1.1 200 OK</D:status>\n</D:propstat>\n</D:response>\n"
              "<D:response>\n<D:href>https://y/a?b=1&amp;c=2</D:href>\n<D:propstat>\n<D:prop>\n"
              "<D:displayname>sub/empty</D:displayname>\n"
              "<D:getcontentlength>0</D:getcontentlength>\n<D:resourcetype/>\n</D:prop>\n"
              "<D:status>HTTP/1.1 200 OK</D:status>\n</D:propstat>\n</D:response>\n"
              "</D:multistatus>\n");
}

static void a_manifest_is_json_where_that_is_asked_for(void **state)
{
    (void)state;
    struct cmg_buf out = written(CMG_MANIFEST_JSON, 4096, CMG_OK);
    says(&out, "{\"content\":\"PS1.3\",\"until\":\"2026-02-01T10:00:00Z\",\"blobs\":["
               "{\"name\":\"a & \\\"b\\\" <\xc3\xa4>.bin\",\"size\":7,"
               "\"modified\":\"2026-01-31T10:00:00Z\",\"etag\":\"\\\"0x8<\\\"\","
               "\"md5\":\"XUFAKrxLKna5cZ2REBfFkg==\","
               "\"urls\":[\"https://x/a?b=1&c=2\",\"https://y/a?b=1&c=2\"]},"
               "{\"name\":\"sub/empty\",\"size\":0,\"urls\":[\"https://y/a?b=1&c=2\"]}]}");
}

static void a_manifest_has_a_ceiling(void **state)
{
    (void)state;
    for (size_t max = 0; max < 500; max += 50) {
        struct cmg_buf xml = written(CMG_MANIFEST_XML, max, CMG_ETOOBIG);
        cmg_buf_clear(&xml);
        struct cmg_buf json = written(CMG_MANIFEST_JSON, max / 2, CMG_ETOOBIG);
        cmg_buf_clear(&json);
    }
}

static const struct {
    const char *accept;
    enum cmg_manifest_form want;
} accepts[] = {
    { "", CMG_MANIFEST_XML },
    { "*/*", CMG_MANIFEST_XML },
    { "text/html, */*;q=0.1", CMG_MANIFEST_XML },
    { "application/json", CMG_MANIFEST_JSON },
    { "text/html, Application/JSON; q=0.5", CMG_MANIFEST_JSON },
    { "application/json;q=0, text/html", CMG_MANIFEST_XML },
    { "application/json;q=0.000", CMG_MANIFEST_XML },
    { "application/json;q=0.001", CMG_MANIFEST_JSON },
    { "application/xml, application/json", CMG_MANIFEST_XML },
    { "text/xml;q=0, application/json", CMG_MANIFEST_JSON },
    { "application/json-patch", CMG_MANIFEST_XML },
    { ";,;,", CMG_MANIFEST_XML },
};

static void accept_chooses_the_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(accepts); i++)
        if (cmg_manifest_form(cmg_str(accepts[i].accept)) != accepts[i].want)
            fail_msg("%s", accepts[i].accept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_read),
        cmocka_unit_test(an_answer_is_not_believed),
        cmocka_unit_test(every_split_reads_alike),
        cmocka_unit_test(a_name_or_a_marker_has_an_end),
        cmocka_unit_test(depth_and_numbers_have_ceilings),
        cmocka_unit_test(a_manifest_is_a_dav_listing),
        cmocka_unit_test(a_manifest_is_json_where_that_is_asked_for),
        cmocka_unit_test(a_manifest_has_a_ceiling),
        cmocka_unit_test(accept_chooses_the_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
