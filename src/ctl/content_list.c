/* SPDX-License-Identifier: MIT */
/* cmgctl content list and remove: what is published, and the end of that. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmg/base/alloc.h"
#include "ctl/commands.h"
#include "ctl/content_session.h"
#include "ctl/progress.h"
#include "ctl/sweep.h"

enum { REMOVE_PARALLEL = 8 };

struct listed {
    struct content_session session;
    const struct ctl_args *args;
    struct cmg_listing *listing; /* owned */
    bool removes;
    const char **names; /* owned; to remove */
    struct sweep *sweep;
    struct progress progress; /* no bar: a line for each */
};

static void on_wait(void *arg, const char *why, int64_t wait_ms)
{
    (void)arg;
    fprintf(stderr, "%s; trying again in %.1f s\n", why, (double)wait_ms / 1000);
}

static void on_removed(void *arg, const struct cmg_err *err)
{
    struct listed *l = arg;
    content_end(&l->session, err);
}

static void remove_all(struct listed *l)
{
    size_t n = cmg_listing_count(l->listing);
    l->names = cmg_alloc((n + 1) * sizeof(*l->names));
    for (size_t i = 0; i < n; i++)
        l->names[i] = cmg_listing_at(l->listing, i)->name;
    l->sweep = sweep_new(l->session.loop, l->session.blobs, l->names, n, REMOVE_PARALLEL,
                         &l->progress, on_removed, l);
}

static void on_list(void *arg, struct cmg_listing *taken, bool missing, const struct cmg_err *err)
{
    struct listed *l = arg;
    struct cmg_err none;
    l->listing = taken;
    if (missing)
        cmg_fail(&none, CMG_EDENIED, "storage %s: there is no container %s, or no such account",
                 cmg_account_name(l->session.store.account), l->session.store.container);
    else if (!err && l->session.prefix[0] && !cmg_listing_count(taken))
        cmg_fail(&none, CMG_EDENIED, "content %s is not published there", ctl_text(l->args, "id"));
    else if (!err && l->removes) {
        remove_all(l);
        return;
    } else {
        content_end(&l->session, err);
        return;
    }
    content_end(&l->session, &none);
}

/* --- printing ------------------------------------------------------------------------------- */

static void print_blobs(const struct cmg_listing *l)
{
    for (size_t i = 0; i < cmg_listing_count(l); i++)
        printf("%12" PRId64 "  %s\n", cmg_listing_at(l, i)->size, cmg_listing_at(l, i)->name);
}

static struct cmg_str content_of(const struct cmg_blob *b)
{
    return (struct cmg_str){ b->name, strcspn(b->name, "/") };
}

/* The service lists by name, so those of a content are together. */
static void print_contents(const struct cmg_listing *l)
{
    size_t count = cmg_listing_count(l), files = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cmg_blob *b = cmg_listing_at(l, i);
        struct cmg_str content = content_of(b);
        files++;
        bytes += b->size;
        if (i + 1 < count && cmg_str_eq(content, content_of(cmg_listing_at(l, i + 1))))
            continue;
        char size[PROGRESS_BYTES];
        printf("%-32.*s %6zu files %12s\n", CMG_ARG(content), files, progress_bytes(bytes, size));
        files = 0;
        bytes = 0;
    }
}

static void print_json(const struct cmg_listing *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < cmg_listing_count(l); i++) {
        const struct cmg_blob *b = cmg_listing_at(l, i);
        json_t *one = json_pack("{s:s, s:I}", "name", b->name, "size", (json_int_t)b->size);
        if (*b->md5)
            json_object_set_new(one, "md5", json_string(b->md5));
        json_array_append_new(list, one);
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

static void print(const struct listed *l)
{
    if (l->removes)
        printf("%s: %zu files removed\n", ctl_text(l->args, "id"), sweep_count(l->sweep));
    else if (ctl_has(l->args, "json"))
        print_json(l->listing);
    else if (l->session.prefix[0])
        print_blobs(l->listing);
    else
        print_contents(l->listing);
}

/* --- the commands --------------------------------------------------------------------------- */

static enum ctl_exit run(const struct ctl_args *a, bool removes)
{
    struct listed l = { .args = a, .removes = removes, .progress = { .out = stderr } };
    enum ctl_exit status = content_session_open(&l.session, a, on_wait, &l);
    if (status == CTL_OK) {
        blobs_list(l.session.blobs, l.session.prefix, on_list, &l);
        if (content_run(&l.session))
            print(&l);
        else
            status = content_failed(&l.session);
    }
    content_session_stop(&l.session);
    sweep_free(l.sweep);
    content_session_clear(&l.session);
    free(l.names);
    cmg_listing_free(l.listing);
    return status;
}

static enum ctl_exit run_list(const struct ctl_args *a)
{
    return run(a, false);
}

static enum ctl_exit run_remove(const struct ctl_args *a)
{
    return run(a, true);
}

static const struct ctl_option list_options[] = {
    { .name = "id",
      .value = "CONTENT",
      .check = content_check_id,
      .doc = "List the files of this content; without it, all contents." },
    STORE_OPTIONS,
    CONTENT_TRIES_OPTION,
    { .name = "json", .doc = "Files as JSON." },
    { 0 },
};

static const struct ctl_option remove_options[] = {
    CONTENT_ID_OPTION,
    STORE_OPTIONS,
    CONTENT_TRIES_OPTION,
    { 0 },
};

const struct ctl_command ctl_content_list = {
    .noun = "content",
    .verb = "list",
    .summary = "List what is published in blob storage.",
    .options = list_options,
    .run = run_list,
};

const struct ctl_command ctl_content_remove = {
    .noun = "content",
    .verb = "remove",
    .summary = "Remove all files of a content from blob storage.",
    .options = remove_options,
    .run = run_remove,
};
