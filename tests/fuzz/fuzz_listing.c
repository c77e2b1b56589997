/* SPDX-License-Identifier: MIT */
/* A list of blobs that passes has only names that may be shared, all of the content that was asked
 * for, and however the bytes are cut, it is the same list or the same refusal. The first byte says
 * where. */
#include "cmg/storage/listing.h"
#include "fuzz.h"

#define PREFIX "ps1/"

static enum cmg_rc feed(struct cmg_listing *l, struct cmg_str in, size_t cut)
{
    struct cmg_err err = { 0 };
    enum cmg_rc rc = cmg_listing_feed(l, (struct cmg_str){ in.p, cut }, false, &err);
    if (rc == CMG_OK)
        rc = cmg_listing_feed(l, cmg_str_from(in, cut), true, &err);
    hold(rc == CMG_OK || (err.text[0] && err.code == rc), "a refusal has a reason");
    hold(rc == CMG_OK || rc == CMG_EPROTO || rc == CMG_ETOOBIG, "a refusal is one of these");
    return rc;
}

static void judge(const struct cmg_listing *l)
{
    const char *marker = cmg_listing_marker(l);
    hold(!marker || (*marker && strlen(marker) <= CMG_MARKER_MAX), "a marker has an end");
    hold(cmg_listing_count(l) <= CMG_LISTING_MAX, "a list has an end");
    for (size_t i = 0; i < cmg_listing_count(l); i++) {
        const struct cmg_blob *b = cmg_listing_at(l, i);
        hold(!strncmp(b->name, PREFIX, strlen(PREFIX)), "only what was asked for");
        hold(cmg_blob_name_ok(cmg_str(b->name)), "a name that may be shared");
        hold(b->size >= 0 && b->modified >= 0, "numbers");
        hold(!strpbrk(b->etag, " \r\n\t") && !strpbrk(b->md5, " \r\n\t"), "words");
    }
}

static void same(const struct cmg_listing *a, const struct cmg_listing *b)
{
    hold(cmg_listing_count(a) == cmg_listing_count(b), "as many");
    for (size_t i = 0; i < cmg_listing_count(a); i++) {
        const struct cmg_blob *x = cmg_listing_at(a, i), *y = cmg_listing_at(b, i);
        hold(!strcmp(x->name, y->name) && x->size == y->size && x->modified == y->modified &&
                 !strcmp(x->etag, y->etag) && !strcmp(x->md5, y->md5),
             "the same");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (!n)
        return 0;
    struct cmg_str in = { (const char *)p + 1, n - 1 };
    struct cmg_listing *whole = cmg_listing_new(CMG_STR(PREFIX));
    struct cmg_listing *cut = cmg_listing_new(CMG_STR(PREFIX));
    enum cmg_rc rc = feed(whole, in, 0);
    hold(rc == feed(cut, in, in.n * p[0] / 256), "cut or not, the verdict is one");
    if (rc == CMG_OK) {
        judge(whole);
        same(whole, cut);
    }
    cmg_listing_free(whole);
    cmg_listing_free(cut);
    return 0;
}
