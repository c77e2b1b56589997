/* SPDX-License-Identifier: MIT */
/* cmgctl token block, unblock, list. The gateway notices by itself that the file has changed. */
#include <stdlib.h>

#include <jansson.h>

#include "cmg/auth/blocklist.h"
#include "cmg/base/alloc.h"
#include "cmg/net/file.h"
#include "ctl/blocked.h"
#include "ctl/commands.h"
#include "ctl/files.h"
#include "ctl/site.h"

enum { GUIDS_MAX = 1000 };

#define LIST_OPTION                                                                  \
    {                                                                                \
        .name = "list", .value = "FILE", .required = true,                           \
        .doc = "The block list: what [site-tokens] block-list of the gateway names." \
    }

static enum ctl_exit guids_of(const struct ctl_args *a, char (*out)[37])
{
    for (size_t i = 0; i < ctl_operands(a); i++)
        if (!ctl_guid(ctl_operand(a, i), out[i]))
            return ctl_misused(a, "'%.80s' is not a GUID: 8-4-4-4-12 hex digits",
                               ctl_operand(a, i));
    return CTL_OK;
}

/* What the gateway would refuse is neither built upon nor written. */
static enum cmg_rc check_list(const char *path, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_err why;
    struct cmg_blocklist *list = cmg_blocklist_read(text, &why);
    if (!list)
        return cmg_fail(err, CMG_ECONF, "%s: %s", path, why.text);
    cmg_blocklist_free(list);
    return CMG_OK;
}

static enum cmg_rc write_list(const struct ctl_edit *e, const char *text, struct cmg_err *err)
{
    enum cmg_rc rc = check_list(e->path, cmg_str(text), err);
    return rc == CMG_OK ? ctl_edit_write(e, cmg_str(text), err) : rc;
}

static enum cmg_rc block_all(const struct ctl_edit *e, char (*guids)[37], size_t n,
                             const char *comment, struct cmg_err *err)
{
    char *text = cmg_strndup(e->text, e->n);
    size_t added = 0;
    for (size_t i = 0; i < n; i++) {
        if (blocked_has(cmg_str(text), guids[i])) {
            fprintf(stderr, "cmgctl: %s is blocked already\n", guids[i]);
            continue;
        }
        char *more = blocked_add(cmg_str(text), guids[i], comment);
        free(text);
        text = more;
        added++;
    }
    enum cmg_rc rc = added ? write_list(e, text, err) : CMG_OK;
    free(text);
    return rc;
}

static enum cmg_rc unblock_all(const struct ctl_edit *e, char (*guids)[37], size_t n,
                               struct cmg_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!blocked_has((struct cmg_str){ e->text, e->n }, guids[i]))
            return cmg_fail(err, CMG_EDENIED, "%s is not in %s; nothing was changed", guids[i],
                            e->path);
    char *text = cmg_strndup(e->text, e->n);
    for (size_t i = 0; i < n; i++) {
        char *less = blocked_remove(cmg_str(text), guids[i]);
        free(text);
        text = less;
    }
    enum cmg_rc rc = write_list(e, text, err);
    free(text);
    return rc;
}

static enum ctl_exit change(const struct ctl_args *a, bool block)
{
    struct cmg_err err;
    struct ctl_edit e;
    size_t n = ctl_operands(a);
    char(*guids)[37] = cmg_alloc(n * sizeof(*guids));
    enum ctl_exit status = guids_of(a, guids);
    if (status == CTL_OK) {
        enum cmg_rc rc = ctl_edit_begin(&e, ctl_text(a, "list"), block ? 0644 : 0,
                                        CMG_BLOCKLIST_BYTES_MAX, &err);
        if (rc == CMG_OK) {
            rc = check_list(e.path, (struct cmg_str){ e.text, e.n }, &err);
            if (rc == CMG_OK)
                rc = block ? block_all(&e, guids, n, ctl_text(a, "comment"), &err)
                           : unblock_all(&e, guids, n, &err);
            ctl_edit_end(&e);
        }
        status = rc == CMG_OK ? CTL_OK : ctl_failed(&err);
    }
    free(guids);
    return status;
}

static enum ctl_exit run_block(const struct ctl_args *a)
{
    return change(a, true);
}

static enum ctl_exit run_unblock(const struct ctl_args *a)
{
    return change(a, false);
}

static void print_lines(struct cmg_str text)
{
    for (struct blocked_line line; blocked_next(&text, &line);)
        if (line.guid[0])
            printf("%s%s%.*s\n", line.guid, line.comment.n ? "  " : "", CMG_ARG(line.comment));
}

static void print_json(struct cmg_str text)
{
    json_t *list = json_array();
    for (struct blocked_line line; blocked_next(&text, &line);) {
        if (!line.guid[0])
            continue;
        json_t *one = json_pack("{s:s}", "guid", line.guid);
        if (line.comment.n) /* NULL, when it is not UTF-8, is not set */
            json_object_set_new(one, "comment", json_stringn(line.comment.p, line.comment.n));
        json_array_append_new(list, one);
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

static enum ctl_exit run_list(const struct ctl_args *a)
{
    struct cmg_err err;
    const char *path = ctl_text(a, "list");
    struct cmg_str text = { NULL, 0 };
    char *p = cmg_file_read(path, CMG_FILE_PUBLIC, CMG_BLOCKLIST_BYTES_MAX, &text.n, &err);
    text.p = p;
    enum cmg_rc rc = p ? check_list(path, text, &err) : CMG_ECONF;
    if (rc == CMG_OK && ctl_has(a, "json"))
        print_json(text);
    else if (rc == CMG_OK)
        print_lines(text);
    free(p);
    return rc == CMG_OK ? CTL_OK : ctl_failed(&err);
}

static const struct ctl_option block_options[] = {
    LIST_OPTION,
    { .name = "comment",
      .value = "TEXT",
      .doc = "Written behind each GUID, for whoever reads the list.",
      .check = blocked_comment_ok },
    { 0 },
};
static const struct ctl_option unblock_options[] = { LIST_OPTION, { 0 } };
static const struct ctl_option list_options[] = {
    LIST_OPTION,
    { .name = "json", .doc = "As JSON." },
    { 0 },
};

const struct ctl_command ctl_token_block = {
    .noun = "token",
    .verb = "block",
    .operands = "GUID...",
    .operands_min = 1,
    .operands_max = GUIDS_MAX,
    .summary = "Refuse tokens, or all tokens of clients, from now on.",
    .doc = "A GUID is the UniqueId of one token, as 'token new' says it, or that of a client. The "
           "gateway notices a change within seconds. The list is made when it is not there.",
    .options = block_options,
    .run = run_block,
};
const struct ctl_command ctl_token_unblock = {
    .noun = "token",
    .verb = "unblock",
    .operands = "GUID...",
    .operands_min = 1,
    .operands_max = GUIDS_MAX,
    .summary = "Take GUIDs off a block list.",
    .options = unblock_options,
    .run = run_unblock,
};
const struct ctl_command ctl_token_list = {
    .noun = "token",
    .verb = "list",
    .summary = "Print the GUIDs of a block list.",
    .options = list_options,
    .run = run_list,
};
