/* SPDX-License-Identifier: MIT */
/* cmgctl content publish: lists what is there, makes the container where there is none, uploads,
 * and last takes away what the folder does not have. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/loop.h"
#include "ctl/commands.h"
#include "ctl/content_session.h"
#include "ctl/sweep.h"
#include "ctl/upload.h"

#define MIB (INT64_C(1024) * 1024)

enum { BLOCK_MIN = 64 * 1024, MEMORY_MAX_MIB = 4096 };

struct publish {
    struct content_session session;
    const struct ctl_args *args;
    struct folder folder;
    int64_t block_bytes;
    unsigned parallel;
    bool dry_run, prune;

    struct cmg_listing *listing; /* owned; NULL until it is there */
    struct plan_step *steps;     /* owned; those of files first */
    size_t nsteps;
    const char **superfluous; /* owned; names of blobs */
    struct upload *upload;
    struct sweep *sweep;
    struct progress progress;
    struct cmg_timer *redraw;
    int64_t began_ms;
};

/* --- step after step ------------------------------------------------------------------------ */

static void on_removed(void *arg, const struct cmg_err *err)
{
    struct publish *p = arg;
    content_end(&p->session, err);
}

static void remove_superfluous(struct publish *p)
{
    size_t n = p->nsteps - p->folder.n;
    p->superfluous = cmg_alloc((n + 1) * sizeof(*p->superfluous));
    for (size_t i = 0; i < n; i++)
        p->superfluous[i] = p->steps[p->folder.n + i].blob->name;
    p->sweep = sweep_new(p->session.loop, p->session.blobs, p->superfluous, n, p->parallel,
                         &p->progress, on_removed, p);
}

static void say_superfluous(struct publish *p)
{
    for (size_t i = p->folder.n; i < p->nsteps; i++)
        progress_say(&p->progress, "would remove %s", p->steps[i].blob->name);
}

static void on_uploaded(void *arg, const struct cmg_err *err)
{
    struct publish *p = arg;
    if (!err && p->prune && !p->dry_run) {
        remove_superfluous(p);
        return;
    }
    if (!err && p->prune)
        say_superfluous(p);
    content_end(&p->session, err);
}

static void begin_upload(struct publish *p)
{
    p->steps = plan_steps(&p->folder, p->listing, strlen(p->session.prefix), &p->nsteps);
    p->upload = upload_new(&(struct upload_conf){ .loop = p->session.loop,
                                                  .blobs = p->session.blobs,
                                                  .folder = &p->folder,
                                                  .steps = p->steps,
                                                  .nsteps = p->folder.n,
                                                  .prefix = p->session.prefix,
                                                  .block_bytes = p->block_bytes,
                                                  .parallel = p->parallel,
                                                  .dry_run = p->dry_run,
                                                  .progress = &p->progress },
                           on_uploaded, p);
}

static void on_container(void *arg, const struct blobs_answer *a)
{
    struct publish *p = arg;
    if (a->rc == CMG_OK)
        begin_upload(p);
    else
        content_end(&p->session, &a->err);
}

static void on_list(void *arg, struct cmg_listing *taken, bool missing, const struct cmg_err *err)
{
    struct publish *p = arg;
    p->listing = taken;
    if (err)
        content_end(&p->session, err);
    else if (missing && !p->dry_run) /* 409: somebody else was faster */
        blobs_start(p->session.blobs,
                    &(struct blobs_ask){ .op = { .verb = CMG_BLOB_CREATE_CONTAINER },
                                         .fine = 409,
                                         .on_done = on_container,
                                         .arg = p });
    else
        begin_upload(p);
}

static void on_redraw(void *arg)
{
    struct publish *p = arg;
    progress_draw(&p->progress, cmg_clock_ms(), p->upload ? upload_name(p->upload) : NULL);
    cmg_timer_set(p->redraw, PROGRESS_DRAW_MS);
}

static void on_wait(void *arg, const char *why, int64_t wait_ms)
{
    struct publish *p = arg;
    progress_say(&p->progress, "%s; trying again in %.1f s", why, (double)wait_ms / 1000);
}

/* --- what it came to ------------------------------------------------------------------------ */

static struct upload_result result(const struct publish *p)
{
    return p->upload ? upload_result(p->upload) : (struct upload_result){ 0 };
}

static void print_json(const struct publish *p, bool ok)
{
    struct upload_result r = result(p);
    json_t *out = json_pack(
        "{s:b, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "published",
        ok && !p->dry_run, "dry_run", p->dry_run, "content", ctl_text(p->args, "id"), "prefix",
        p->session.prefix, "files", (json_int_t)p->folder.n, "bytes", (json_int_t)p->folder.bytes,
        "files_sent", (json_int_t)r.sent, "files_same", (json_int_t)r.same, "files_removed",
        (json_int_t)(p->sweep ? sweep_count(p->sweep) : 0), "blocks_sent",
        (json_int_t)r.blocks_sent, "blocks_there", (json_int_t)r.blocks_there, "bytes_sent",
        (json_int_t)r.bytes_sent, "bytes_there", (json_int_t)r.bytes_there, "seconds",
        (double)(cmg_clock_ms() - p->began_ms) / 1000);
    json_dumpf(out, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(out);
}

static void print_words(const struct publish *p)
{
    struct upload_result r = result(p);
    char all[PROGRESS_BYTES], sent[PROGRESS_BYTES], rate[PROGRESS_BYTES];
    int64_t ms = cmg_clock_ms() - p->began_ms;
    if (p->dry_run) {
        printf("%s: %zu files, %s: %zu would be sent, %zu are there\n", ctl_text(p->args, "id"),
               p->folder.n, progress_bytes(p->folder.bytes, all), r.sent, r.same);
        return;
    }
    printf("%s: %zu files, %s: %zu sent, %zu were there, %zu removed; %s in %.1f s, %s/s\n",
           ctl_text(p->args, "id"), p->folder.n, progress_bytes(p->folder.bytes, all), r.sent,
           r.same, p->sweep ? sweep_count(p->sweep) : 0, progress_bytes(r.bytes_sent, sent),
           (double)ms / 1000, progress_bytes(ms ? r.bytes_sent * 1000 / ms : r.bytes_sent, rate));
}

/* What was sent is not lost: files that are done are skipped, and so are blocks. */
static void print_how_to_go_on(const struct publish *p)
{
    struct upload_result r = result(p);
    if (!p->dry_run && p->upload)
        fprintf(stderr,
                "cmgctl: %zu of %zu files are published; the same command goes on where this one "
                "stopped\n",
                r.sent + r.same, p->folder.n);
}

/* --- the command ---------------------------------------------------------------------------- */

static enum ctl_exit read_arguments(struct publish *p, const struct ctl_args *a)
{
    struct cmg_err err;
    p->parallel = (unsigned)ctl_number(a, "parallel");
    p->block_bytes = plan_bytes(ctl_text(a, "block-size"));
    p->dry_run = ctl_has(a, "dry-run");
    p->prune = ctl_has(a, "prune");
    if (p->block_bytes * (p->parallel + 1) > MEMORY_MAX_MIB * MIB)
        return ctl_misused(a, "--parallel times --block-size is held in memory: at most %d MiB",
                           MEMORY_MAX_MIB);
    if (folder_open(&p->folder, ctl_operand(a, 0), &err) != CMG_OK)
        return ctl_failed(&err);
    for (size_t i = 0; i < p->folder.n; i++)
        if (plan_fits(&p->folder.files[i], p->block_bytes, &err) != CMG_OK)
            return ctl_failed(&err);
    if (p->folder.n)
        return CTL_OK;
    cmg_fail(&err, CMG_ECONF, "%s has no files: there is nothing to publish", ctl_operand(a, 0));
    return ctl_failed(&err);
}

static void clear(struct publish *p)
{
    cmg_timer_free(p->redraw);
    content_session_stop(&p->session);
    upload_free(p->upload);
    sweep_free(p->sweep);
    content_session_clear(&p->session);
    free(p->steps);
    free(p->superfluous);
    cmg_listing_free(p->listing);
    folder_close(&p->folder);
}

static enum ctl_exit publish(struct publish *p, const struct ctl_args *a)
{
    p->began_ms = cmg_clock_ms();
    progress_init(&p->progress, stderr, p->folder.bytes);
    p->redraw = cmg_timer_new(p->session.loop, on_redraw, p);
    cmg_timer_set(p->redraw, 0);
    blobs_list(p->session.blobs, p->session.prefix, on_list, p);
    bool ok = content_run(&p->session);

    progress_end(&p->progress);
    if (ctl_has(a, "json"))
        print_json(p, ok);
    else if (ok)
        print_words(p);
    if (ok)
        return CTL_OK;
    enum ctl_exit status = content_failed(&p->session);
    print_how_to_go_on(p);
    return status;
}

static enum ctl_exit run_publish(const struct ctl_args *a)
{
    struct publish p = { .args = a, .folder = { .fd = -1 } };
    enum ctl_exit status = read_arguments(&p, a);
    if (status == CTL_OK)
        status = content_session_open(&p.session, a, on_wait, &p);
    if (status == CTL_OK)
        status = publish(&p, a);
    clear(&p);
    return status;
}

static enum cmg_rc check_block_size(const char *value, struct cmg_err *err)
{
    int64_t bytes = plan_bytes(value);
    if (bytes >= BLOCK_MIN && bytes <= 1024 * MIB)
        return CMG_OK;
    return cmg_fail(err, CMG_EDENIED, "must be a size from 64K to 1024M");
}

static const struct ctl_option publish_options[] = {
    CONTENT_ID_OPTION,
    STORE_OPTIONS,
    { .name = "parallel",
      .value = "N",
      .doc = "Requests at one time.",
      .def = "4",
      .min = 1,
      .max = UPLOAD_PARALLEL_MAX },
    { .name = "block-size",
      .value = "SIZE",
      .doc = "Larger files are sent in pieces of so much. That many are in memory as there are "
             "requests at one time, and one more.",
      .def = "8M",
      .check = check_block_size },
    CONTENT_TRIES_OPTION,
    { .name = "prune",
      .doc = "In the end, remove blobs of this content that DIR has no file for." },
    { .name = "dry-run", .doc = "Compare and say what would be done, and change nothing." },
    { .name = "json", .doc = "Print the summary as JSON." },
    { 0 },
};

const struct ctl_command ctl_content_publish = {
    .noun = "content",
    .verb = "publish",
    .operands = "DIR",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "Upload a folder to the blob storage that clients get content from.",
    .doc =
        "Every file of DIR, those in folders beneath included, becomes a blob by its name, behind "
        "the id of the content in lower case. The container is made, private, where there is "
        "none. Files whose blob has their size and MD5 already are not sent again. A command that "
        "was stopped, by whatever, is simply given again: it sends neither whole files nor blocks "
        "twice. Clients see a file when all of it is there. DIR must not change meanwhile: a file "
        "that does ends the command. Links that lead out of DIR are refused.",
    .options = publish_options,
    .run = run_publish,
};
