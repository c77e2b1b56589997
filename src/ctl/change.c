/* SPDX-License-Identifier: MIT */
/* cmgctl reload, drain, log-level: what is changed in a daemon while it runs. */
#include <string.h>
#include <time.h>

#include "cmg/base/clock.h"
#include "ctl/ask.h"
#include "ctl/commands.h"
#include "ctl/ink.h"

enum { TARGET_MAX = 256, POLL_MS = 250 };

static const char *text(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

/* "log.level, channel.max"; false: there are none. */
static bool print_names(const char *before, const json_t *array)
{
    size_t i;
    const json_t *name;
    json_array_foreach((json_t *)(uintptr_t)array, i, name)
    {
        fputs(i ? ", " : before, stdout);
        ink_put(stdout, false, INK_PLAIN, json_string_value(name) ? json_string_value(name) : "?");
    }
    return json_array_size(array) > 0;
}

/* --- reload --------------------------------------------------------------------------------- */

static enum ctl_exit reloaded(const struct door *d, const json_t *j)
{
    printf("%s: reloaded", d->program);
    if (!print_names(", changed: ", json_object_get(j, "changed")))
        fputs(", no option has changed; certificates and keys were read again", stdout);
    putchar('\n');
    return CTL_OK;
}

static enum ctl_exit not_reloaded(const struct door *d, const json_t *j)
{
    const char *result = text(j, "result"), *why = text(j, "why");
    fflush(stdout);
    fprintf(stderr, "cmgctl: %s goes on with what it had: ", d->program);
    if (!strcmp(result, "needs_restart"))
        fputs("a change needs a restart: systemctl restart", stderr);
    else
        ink_put(stderr, false, INK_PLAIN, why ? why : result);
    fputc('\n', stderr);
    if (print_names("needs a restart: ", json_object_get(j, "needs_restart")))
        putchar('\n');
    return CTL_FAILED;
}

static enum ctl_exit reload(const struct ctl_args *a)
{
    struct doors doors;
    struct answer answer;
    struct cmg_err err;
    enum ctl_exit status = doors_choose(a, true, &doors);
    if (status != CTL_OK)
        return status;
    const struct door *d = &doors.at[0];
    if (ask(d, "POST", "/reload", &answer, &err) != CMG_OK)
        return ask_failed(&err);
    json_t *j = json_loadb(answer.body, answer.n, 0, NULL);
    const char *result = text(j, "result");
    if (!result) { /* refused before it was tried */
        json_decref(answer_json(d, &answer, 0, &err));
        status = ctl_failed(&err);
    } else {
        status = strcmp(result, "reloaded") ? not_reloaded(d, j) : reloaded(d, j);
    }
    json_decref(j);
    answer_clear(&answer);
    return status;
}

static const struct ctl_option reload_options[] = { ASK_OPTIONS, { 0 } };

const struct ctl_command ctl_reload = {
    .verb = "reload",
    .summary = "Make a daemon read its configuration again; wait, and say how it went.",
    .doc = "Other than systemctl reload it says what has changed, and fails when the daemon "
           "refuses what is in the file: that is then not in force, and all goes on as before.",
    .options = reload_options,
    .run = reload,
};

/* --- drain ---------------------------------------------------------------------------------- */

static bool answers(const struct door *d)
{
    struct answer answer;
    struct cmg_err err;
    bool there = ask(d, NULL, "/health", &answer, &err) == CMG_OK;
    if (there)
        answer_clear(&answer);
    return there;
}

static void wait_for_end(const struct door *d)
{
    const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
    while (answers(d))
        nanosleep(&pause, NULL);
    printf("%s has ended\n", d->program);
}

static enum ctl_exit drain(const struct ctl_args *a)
{
    struct doors doors;
    struct answer answer;
    struct cmg_err err;
    enum ctl_exit status = doors_choose(a, true, &doors);
    if (status != CTL_OK)
        return status;
    const struct door *d = &doors.at[0];
    if (ask(d, "POST", "/drain", &answer, &err) != CMG_OK)
        return ask_failed(&err);
    json_t *j = answer_json(d, &answer, 202, &err);
    if (j) {
        printf("%s takes nothing new, and ends when what it has is done\n", d->program);
        fflush(stdout);
        if (ctl_has(a, "wait"))
            wait_for_end(d);
    }
    status = j ? CTL_OK : ctl_failed(&err);
    json_decref(j);
    answer_clear(&answer);
    return status;
}

static const struct ctl_option drain_options[] = {
    ASK_OPTIONS,
    { .name = "wait", .doc = "Return when the daemon has ended." },
    { 0 },
};

const struct ctl_command ctl_drain = {
    .verb = "drain",
    .summary = "Make a daemon finish what it has, take nothing new, and end.",
    .doc = "The same as SIGTERM. systemd does not start it again: systemctl start does.",
    .options = drain_options,
    .run = drain,
};

/* --- log-level ------------------------------------------------------------------------------ */

/* It goes into a query as it is. */
static enum cmg_rc check_plain(const char *value, struct cmg_err *err)
{
    static const char fine[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.";
    if (*value && strspn(value, fine) == strlen(value) && strlen(value) <= 64)
        return CMG_OK;
    return cmg_fail(err, CMG_EDENIED, "must be letters and digits");
}

static void show_level(const struct door *d, const json_t *j)
{
    const json_t *over = json_object_get(j, "override"), *s = json_object_get(over, "for_s");
    const char *level = text(j, "level"), *request = text(over, "request");
    printf("%s: ", d->program);
    ink_put(stdout, false, INK_PLAIN, level ? level : "?");
    if (request) {
        printf(", and %s for requests ", text(over, "level") ? text(over, "level") : "?");
        ink_put(stdout, false, INK_PLAIN, request);
        fputs("...", stdout);
    }
    if (s)
        printf(", for %lld seconds more", (long long)json_integer_value(s));
    if (json_is_object(over))
        printf(" (configured: %s)", text(j, "configured") ? text(j, "configured") : "?");
    putchar('\n');
}

static void level_target(const struct ctl_args *a, char out[TARGET_MAX])
{
    const char *request = ctl_text(a, "request"), *time = ctl_text(a, "for");
    snprintf(out, TARGET_MAX, "/log-level?level=%s%s%s%s%s", ctl_operand(a, 0),
             request ? "&request=" : "", request ? request : "", time ? "&for=" : "",
             time ? time : "");
}

static enum ctl_exit level_of(const struct door *d, const char *method, const char *target)
{
    struct answer answer;
    struct cmg_err err;
    if (ask(d, method, target, &answer, &err) != CMG_OK)
        return ask_failed(&err);
    json_t *j = answer_json(d, &answer, 200, &err);
    if (j)
        show_level(d, j);
    enum ctl_exit status = j ? CTL_OK : ctl_failed(&err);
    json_decref(j);
    answer_clear(&answer);
    return status;
}

static enum ctl_exit log_level(const struct ctl_args *a)
{
    char target[TARGET_MAX];
    struct doors doors;
    struct cmg_err err;
    const char *level = ctl_operand(a, 0);
    if (!level && (ctl_has(a, "request") || ctl_has(a, "for")))
        return ctl_misused(a, "say which level");
    if (level && check_plain(level, &err) != CMG_OK)
        return ctl_misused(a, "a level %s", err.text);
    enum ctl_exit worst = doors_choose(a, level != NULL, &doors);
    if (worst == CTL_OK && level) {
        level_target(a, target);
        return level_of(&doors.at[0], "POST", target);
    }
    for (size_t i = 0; i < doors.n && worst != CTL_USAGE; i++) {
        enum ctl_exit one = level_of(&doors.at[i], NULL, "/log-level");
        worst = one > worst ? one : worst;
    }
    return worst;
}

static const struct ctl_option level_options[] = {
    ASK_OPTIONS,
    { .name = "request",
      .value = "PREFIX",
      .doc = "Only for requests whose id begins so; all else stays at the level that it has.",
      .check = check_plain },
    { .name = "for",
      .value = "TIME",
      .doc = "How long: 30s, 10m, 2h. Without it, until it is changed or the daemon ends.",
      .check = check_plain },
    { 0 },
};

const struct ctl_command ctl_log_level = {
    .verb = "log-level",
    .operands = "[error|warn|notice|info|debug|configured]",
    .operands_max = 1,
    .summary = "Show how much a daemon logs, or change it without a restart.",
    .doc = "'configured' goes back to what the configuration says.",
    .options = level_options,
    .run = log_level,
};
