/* SPDX-License-Identifier: MIT */
/* Lists of blocks: the one that makes a blob of them, and the one that says what is there. */
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"
#include "cmg/storage/request.h"
#include "xml.h"

#define ROOT "BlockList"

enum { ID_TEXT = (CMG_BLOCK_ID_MAX + 2) / 3 * 4 + 1, LISTED_MAX = 2 * CMG_BLOCKS_MAX };

enum cmg_rc cmg_block_list_put(struct cmg_buf *b, const struct cmg_str *blocks, size_t n)
{
    char id[ID_TEXT];
    enum cmg_rc rc = n > CMG_BLOCKS_MAX ? CMG_ETOOBIG : CMG_OK;
    if (rc == CMG_OK)
        rc = cmg_buf_printf(b, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for (size_t i = 0; rc == CMG_OK && i < n; i++) {
        if (!blocks[i].n || blocks[i].n > CMG_BLOCK_ID_MAX)
            abort();
        cmg_base64_put(CMG_BASE64, blocks[i], id);
        rc = cmg_buf_printf(b, "<Latest>%s</Latest>", id);
    }
    return rc == CMG_OK ? cmg_buf_put(b, CMG_STR("</BlockList>")) : rc;
}

struct reader {
    struct cmg_block *v; /* owned */
    size_t n, room;
    struct cmg_block block; /* the one being read */
};

static enum cmg_rc on_id(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct reader *r = arg;
    unsigned char id[ID_TEXT];
    size_t n = 0;
    if (r->block.nid || text.n >= ID_TEXT || cmg_base64_get(CMG_BASE64, text, id, &n) != CMG_OK ||
        !n || n > CMG_BLOCK_ID_MAX)
        return cmg_fail(err, CMG_EPROTO, "list of blocks: not the name of a block");
    memcpy(r->block.id, id, n);
    r->block.nid = n;
    return CMG_OK;
}

static enum cmg_rc on_size(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct reader *r = arg;
    r->block.size = cmg_str_number(text);
    if (r->block.size < 0)
        return cmg_fail(err, CMG_EPROTO, "list of blocks: not a size");
    return CMG_OK;
}

static enum cmg_rc add(struct reader *r, bool committed, struct cmg_err *err)
{
    if (!r->block.nid)
        return cmg_fail(err, CMG_EPROTO, "list of blocks: one without a name");
    if (r->n == LISTED_MAX)
        return cmg_fail(err, CMG_EPROTO, "list of blocks: more than %d", LISTED_MAX);
    if (r->n == r->room) {
        r->room = r->room ? 2 * r->room : 16;
        r->v = cmg_realloc(r->v, r->room * sizeof(*r->v));
    }
    r->block.committed = committed;
    r->v[r->n++] = r->block;
    r->block = (struct cmg_block){ .nid = 0 };
    return CMG_OK;
}

static enum cmg_rc on_committed(void *arg, struct cmg_str text, struct cmg_err *err)
{
    (void)text;
    return add(arg, true, err);
}

static enum cmg_rc on_uncommitted(void *arg, struct cmg_str text, struct cmg_err *err)
{
    (void)text;
    return add(arg, false, err);
}

static const struct cmg_xml_rule rules[] = {
    { ROOT "/CommittedBlocks/Block/Name", on_id },
    { ROOT "/CommittedBlocks/Block/Size", on_size },
    { ROOT "/CommittedBlocks/Block", on_committed },
    { ROOT "/UncommittedBlocks/Block/Name", on_id },
    { ROOT "/UncommittedBlocks/Block/Size", on_size },
    { ROOT "/UncommittedBlocks/Block", on_uncommitted },
    { NULL, NULL },
};

enum cmg_rc cmg_block_list_read(struct cmg_str text, struct cmg_block **blocks, size_t *n,
                                struct cmg_err *err)
{
    struct reader r = { .n = 0 };
    struct cmg_xml *x = cmg_xml_new("list of blocks", ROOT, rules, &r);
    enum cmg_rc rc = cmg_xml_feed(x, text, true, err);
    cmg_xml_free(x);
    if (rc != CMG_OK) {
        free(r.v);
        return rc;
    }
    *blocks = r.v;
    *n = r.n;
    return CMG_OK;
}
