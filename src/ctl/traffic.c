/* SPDX-License-Identifier: MIT */
/* cmgctl traffic: what went through, by endpoint and period, under the names that
 * ProxyTrafficStateDetails has. */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/commands.h"
#include "ctl/ink.h"
#include "ctl/progress.h"

enum { COLUMNS = 8, RIGHT = 0xfc }; /* all but the first two are numbers */

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "?";
}

static json_int_t number(const json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

static void endpoint(struct table *t, const json_t *row)
{
    char in[PROGRESS_BYTES], out[PROGRESS_BYTES];
    json_int_t failed = number(row, "FailedRequests");
    table_cell(t, INK_PLAIN, "%s", text(row, "Name"));
    table_cell(t, INK_PLAIN, "%s", text(row, "TargetHost"));
    table_cell(t, INK_PLAIN, "%lld", (long long)number(row, "TotalRequests"));
    table_cell(t, INK_PLAIN, "%lld", (long long)number(row, "TotalRequestsWithBearerToken"));
    table_cell(t, failed ? INK_WARN : INK_PLAIN, "%lld", (long long)failed);
    table_cell(t, INK_PLAIN, "%lld", (long long)number(row, "MaxConcurrentRequests"));
    table_cell(t, INK_PLAIN, "%s", progress_bytes(number(row, "TotalRequestBytes"), in));
    table_cell(t, INK_PLAIN, "%s", progress_bytes(number(row, "TotalResponseBytes"), out));
}

static void period(const json_t *p, bool running, bool coloured)
{
    static const char *const heads[COLUMNS] = { "endpoint", "target",  "requests", "with token",
                                                "failed",   "at once", "received", "sent" };
    const json_t *rows = json_object_get(p, "EndPoints");
    char line[256];
    snprintf(line, sizeof(line), "%.64s, %.32s to %.32s%s", text(p, "ServerName"),
             text(p, "StartTime"), running ? "now" : text(p, "EndTime"),
             running ? ", not over yet" : "");
    ink_put(stdout, coloured, INK_HEAD, line);
    printf(": %lld requests at one time at most\n", (long long)number(p, "MaxConcurrentRequests"));
    if (!json_array_size(rows))
        return;
    struct table *t = table_new(COLUMNS, RIGHT);
    for (size_t i = 0; i < COLUMNS; i++)
        table_cell(t, INK_FAINT, "%s", heads[i]);
    for (size_t i = 0; i < json_array_size(rows); i++)
        endpoint(t, json_array_get(rows, i));
    table_print(t, 2, coloured, stdout);
    table_free(t);
}

static void show(const json_t *j)
{
    const json_t *all = json_object_get(j, "Periods"), *running = json_object_get(j, "Running");
    bool coloured = ink_wanted(stdout);
    for (size_t i = json_array_size(all); i--;) /* the latest comes first */
        period(json_array_get(all, i), false, coloured);
    if (running)
        period(running, true, coloured);
}

static enum ctl_exit traffic_of(const struct door *d, const struct ctl_args *a)
{
    char target[64];
    struct answer answer;
    struct cmg_err err;
    bool xml = ctl_has(a, "xml"), raw = xml || ctl_has(a, "json");
    snprintf(target, sizeof(target), "/traffic?format=%s&periods=%lld", xml ? "xml" : "json",
             (long long)ctl_number(a, "periods"));
    if (ask(d, NULL, target, &answer, &err) != CMG_OK)
        return ask_failed(&err);
    enum ctl_exit status = CTL_OK;
    json_t *j = raw && answer.status == 200 ? NULL : answer_json(d, &answer, 200, &err);
    if (j)
        show(j);
    else if (raw && answer.status == 200)
        answer_print(&answer);
    else
        status = ctl_failed(&err);
    json_decref(j);
    answer_clear(&answer);
    return status;
}

static enum ctl_exit traffic(const struct ctl_args *a)
{
    struct doors doors;
    if (ctl_has(a, "xml") && ctl_has(a, "json"))
        return ctl_misused(a, "either --xml or --json");
    enum ctl_exit worst = doors_choose(a, ctl_has(a, "xml"), &doors);
    for (size_t i = 0; i < doors.n && worst != CTL_USAGE; i++) {
        enum ctl_exit one = traffic_of(&doors.at[i], a);
        worst = one > worst ? one : worst;
    }
    return worst;
}

static const struct ctl_option options[] = {
    ASK_OPTIONS,
    { .name = "periods",
      .value = "N",
      .doc = "How many periods that are over, the latest ones.",
      .def = "1",
      .min = 1,
      .max = 288 },
    { .name = "json", .doc = "Print the report as JSON." },
    { .name = "xml", .doc = "Print the report as XML, as ProxyTrafficStateDetails." },
    { 0 },
};

const struct ctl_command ctl_traffic = {
    .verb = "traffic",
    .summary = "Show what went through, by endpoint, in the last periods.",
    .doc = "A period is five minutes, or [traffic] interval; they are kept for a day.",
    .options = options,
    .run = traffic,
};
