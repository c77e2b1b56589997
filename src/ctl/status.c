/* SPDX-License-Identifier: MIT */
/* cmgctl status: what a daemon says of itself. */
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "ctl/ask.h"
#include "ctl/commands.h"
#include "ctl/view.h"

/* The program's own name, where the door was given by its path. */
static const char *name_of(const struct door *d, const json_t *j)
{
    const json_t *process = json_object_get(j, "process");
    const char *said = json_string_value(json_object_get(j, "program"));
    said = said ? said : json_string_value(json_object_get(process, "program"));
    return said ? said : d->program;
}

struct look {
    const struct door *door;
    bool ready;
    json_t *why; /* owned; what /ready said */
    struct answer status;
};

static void look_clear(struct look *l)
{
    json_decref(l->why);
    answer_clear(&l->status);
}

static enum cmg_rc look_at(struct look *l, struct cmg_err *err)
{
    struct answer ready;
    enum cmg_rc rc = ask(l->door, NULL, "/ready", &ready, err);
    if (rc != CMG_OK)
        return rc;
    l->ready = ready.status == 200;
    l->why = json_loadb(ready.body, ready.n, 0, NULL);
    answer_clear(&ready);
    return ask(l->door, NULL, "/status", &l->status, err);
}

/* What is looked at every day. Both daemons' names: each has some of them. */
static const struct {
    const char *list, *columns[TABLE_COLUMNS_MAX];
} briefs[] = {
    { "channels",
      { "cmg", "instance", "state", "road", "since", "round_trip_us", "last_error.why" } },
    { "connection_points",
      { "name", "site", "connected", "up", "counts.requests", "counts.in_flight", "counts.failures",
        "counts.mean_us" } },
    { "endpoints",
      { "label", "id", "role", "server", "requests", "in_flight", "failures", "mean_us",
        "counts.requests", "counts.in_flight", "counts.failures", "counts.mean_us" } },
    { "refusals", { "status", "phrase", "refused" } },
    { "tenants", { "tenant", "id", "enabled", "keys", "fetched", "error" } },
    { "certificates", { "use", "subject", "not_after" } },
};

static void line(const json_t *object, const char *key, const char *before, int64_t now)
{
    char text[VIEW_TEXT];
    const json_t *value = json_object_get(object, key);
    view_value(key, value, now, text);
    if (!value || !*text)
        return;
    fputs(before, stdout);
    ink_put(stdout, false, INK_PLAIN, text);
}

static void brief(const json_t *status, bool coloured)
{
    int64_t now = cmg_clock_unix();
    const json_t *process = json_object_get(status, "process");
    const json_t *conf = json_object_get(status, "configuration");
    const json_t *last = json_object_get(conf, "last_reload");
    line(process, "version", "version ", now);
    line(process, "uptime_s", ", up for ", now);
    line(process, "pid", ", pid ", now);
    line(process, "resident_bytes", ", ", now);
    putchar('\n');
    line(conf, "file", "", now);
    line(conf, "loaded", ", in force since ", now);
    line(last, "result", ", last reload: ", now);
    line(last, "why", ": ", now);
    putchar('\n');
    for (size_t i = 0; i < CMG_COUNT(briefs); i++)
        view_table(briefs[i].list, json_object_get(status, briefs[i].list), briefs[i].columns, now,
                   coloured, stdout);
    fputs("\n--all shows everything.\n", stdout);
}

static enum ctl_exit show(const struct look *l, bool all, struct cmg_err *err)
{
    bool coloured = ink_wanted(stdout);
    json_t *status = answer_json(l->door, &l->status, 200, err);
    if (!status)
        return ctl_failed(err);
    ink_put(stdout, coloured, INK_HEAD, name_of(l->door, status));
    fputs(": ", stdout);
    ink_put(stdout, coloured, l->ready ? INK_GOOD : INK_BAD, l->ready ? "ready" : "not ready");
    const char *why = json_string_value(json_object_get(l->why, "why"));
    if (!l->ready && why) {
        fputs(", ", stdout);
        ink_put(stdout, false, INK_PLAIN, why);
    }
    putchar('\n');
    if (all)
        view_json(status, cmg_clock_unix(), coloured, stdout);
    else
        brief(status, coloured);
    json_decref(status);
    return l->ready ? CTL_OK : CTL_FAILED;
}

static enum ctl_exit status_of(const struct door *d, const struct ctl_args *a)
{
    struct look l = { .door = d };
    struct cmg_err err;
    enum ctl_exit status;
    if (look_at(&l, &err) != CMG_OK)
        status = ask_failed(&err);
    else if (ctl_has(a, "json") && l.status.status == 200)
        answer_print(&l.status), status = l.ready ? CTL_OK : CTL_FAILED;
    else
        status = show(&l, ctl_has(a, "all"), &err);
    look_clear(&l);
    return status;
}

static enum ctl_exit status(const struct ctl_args *a)
{
    struct doors doors;
    enum ctl_exit worst = doors_choose(a, false, &doors);
    for (size_t i = 0; i < doors.n && worst != CTL_USAGE; i++) {
        if (i && !ctl_has(a, "json"))
            putchar('\n');
        enum ctl_exit one = status_of(&doors.at[i], a);
        worst = one > worst ? one : worst;
    }
    return worst;
}

static const struct ctl_option status_options[] = {
    ASK_OPTIONS,
    { .name = "all",
      .doc = "Show everything that the daemon says, not only what is looked at "
             "every day." },
    { .name = "json", .doc = "Print what the daemon answers, as it came." },
    { 0 },
};

const struct ctl_command ctl_status = {
    .verb = "status",
    .summary = "Show how the daemons of this machine are: channels, endpoints, certificates.",
    .doc = "Exit status 0 says that it is ready to serve, 1 that it is not, 3 that no daemon "
           "answers.",
    .options = status_options,
    .run = status,
};
