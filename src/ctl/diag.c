/* SPDX-License-Identifier: MIT */
/* cmgctl diag: all that a support case needs to know, in one file. Nothing that fails ends it: a
 * daemon that does not run is what such cases are about. */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "ctl/ask.h"
#include "ctl/bundle.h"
#include "ctl/commands.h"
#include "ctl/run.h"

enum { OUTPUT_MAX = 64 * 1024 * 1024, RUN_MS = 60 * 1000, ANALYZE_MS = 150 * 1000 };

struct diag {
    struct bundle *bundle;
    struct cmg_err err; /* the first that made the archive useless: the disk is full */
};

static void say(const char *what, const char *program)
{
    fprintf(stderr, "cmgctl: %s%s%s\n", what, program ? " of " : "", program ? program : "");
}

static void add(struct diag *d, const char *file, struct cmg_str text)
{
    struct cmg_err err;
    if (bundle_add(d->bundle, file, text, &err) != CMG_OK && d->err.code == CMG_OK)
        d->err = err;
}

static void add_missing(struct diag *d, const char *file, const struct cmg_err *why)
{
    char text[sizeof(why->text) + 32];
    snprintf(text, sizeof(text), "could not be had: %s\n", why->text);
    add(d, file, cmg_str(text));
}

/* --- from programs -------------------------------------------------------------------------- */

static void add_output(struct diag *d, const char *file, const char *const *argv)
{
    struct cmg_buf out;
    struct cmg_err err;
    int status = 0;
    cmg_buf_init(&out, OUTPUT_MAX);
    enum cmg_rc rc = run_program(argv, RUN_MS, &out, &status, &err);
    if (rc == CMG_OK && (status || !out.n))
        (void)!cmg_buf_printf(&out, "\n(%s ended with status %d)\n", argv[0], status);
    if (rc == CMG_EIO)
        add_missing(d, file, &err);
    else
        add(d, file, cmg_buf_str(&out));
    cmg_buf_clear(&out);
}

/* --- from a daemon -------------------------------------------------------------------------- */

static void file_of(const struct door *door, const char *name, char out[160])
{
    snprintf(out, 160, "%s/%s", strncmp(door->program, "cmg-", 4) ? "daemon" : door->program, name);
}

/* Returns what was answered, for the caller; its body may be NULL. */
static struct answer add_answer(struct diag *d, const struct door *door, const char *target,
                                const char *name)
{
    char file[160];
    struct answer a = { 0 };
    struct cmg_err err;
    file_of(door, name, file);
    if (ask(door, NULL, target, &a, &err) != CMG_OK)
        add_missing(d, file, &err);
    else
        add(d, file, (struct cmg_str){ a.body, a.n });
    return a;
}

static bool on_line(void *arg, struct cmg_str line)
{
    struct cmg_buf *all = arg;
    return cmg_buf_put(all, line) == CMG_OK && cmg_buf_put(all, CMG_STR("\n")) == CMG_OK;
}

static void add_analysis(struct diag *d, const struct door *door)
{
    char file[160];
    struct cmg_buf all;
    struct answer a;
    struct cmg_err err;
    file_of(door, "analyze.jsonl", file);
    cmg_buf_init(&all, OUTPUT_MAX);
    enum cmg_rc rc = ask_lines(door, "/analyze", ANALYZE_MS, on_line, &all, &a, &err);
    if (rc != CMG_OK)
        add_missing(d, file, &err);
    else if (a.status == 200)
        add(d, file, cmg_buf_str(&all));
    else
        add(d, file, (struct cmg_str){ a.body, a.n });
    answer_clear(&a);
    cmg_buf_clear(&all);
}

/* --- of one program ------------------------------------------------------------------------- */

/* What the daemon that runs was configured by; else the file that it would read. */
static char *configuration_of(const struct answer *status)
{
    json_t *j = json_loadb(status->body ? status->body : "", status->n, 0, NULL);
    const json_t *conf = json_object_get(j, "configuration");
    const json_t *file = json_object_get(conf, "file");
    char *path = json_is_string(file) ? cmg_strdup(json_string_value(file)) : NULL;
    json_decref(j);
    return path;
}

static void add_configuration(struct diag *d, const struct door *door, const char *config)
{
    char program[4096], file[160], given[4200];
    run_find(door->program, program, sizeof(program));
    snprintf(given, sizeof(given), "--config=%s", config ? config : "");
    const char *const print[] = { program, "--print-config", config ? given : NULL, NULL };
    file_of(door, "configuration.ini", file);
    add_output(d, file, print);
    const char *const check[] = { program, "--check", config ? given : NULL, NULL };
    file_of(door, "check.txt", file);
    add_output(d, file, check);
}

static void add_unit(struct diag *d, const char *program)
{
    char file[160];
    const char *const unit[] = { "systemctl", "show", "--no-pager", program, NULL };
    const char *const journal[] = {
        "journalctl", "--no-pager", "--quiet", "--lines=5000", "--output=short-iso-precise",
        "--unit",     program,      NULL
    };
    snprintf(file, sizeof(file), "%s/unit.txt", program);
    add_output(d, file, unit);
    snprintf(file, sizeof(file), "%s/journal.txt", program);
    add_output(d, file, journal);
}

static void add_limits(struct diag *d, const struct door *door, const struct answer *status)
{
    char file[160], path[64];
    json_t *j = json_loadb(status->body ? status->body : "", status->n, 0, NULL);
    const json_t *process = json_object_get(j, "process");
    json_int_t pid = json_integer_value(json_object_get(process, "pid"));
    snprintf(path, sizeof(path), "/proc/%lld/limits", (long long)pid);
    const char *const limits[] = { "cat", path, NULL };
    file_of(door, "limits.txt", file);
    if (pid > 0)
        add_output(d, file, limits);
    json_decref(j);
}

static void add_daemon(struct diag *d, const struct ctl_args *a, const struct door *door)
{
    say("status, metrics and traffic", door->program);
    struct answer status = add_answer(d, door, "/status", "status.json");
    char *config = configuration_of(&status);
    const char *given = ctl_text(a, "config");
    const char *const more[][2] = { { "/ready", "ready.json" },
                                    { "/health", "health.json" },
                                    { "/metrics", "metrics.txt" },
                                    { "/traffic?format=json&periods=288", "traffic.json" } };
    for (size_t i = 0; i < CMG_COUNT(more); i++) {
        struct answer answer = add_answer(d, door, more[i][0], more[i][1]);
        answer_clear(&answer);
    }
    if (!ctl_has(a, "no-analyze")) {
        say("analysis, which may take a minute,", door->program);
        add_analysis(d, door);
    }
    if (!strncmp(door->program, "cmg-", 4)) {
        say("configuration and journal", door->program);
        add_configuration(d, door, given ? given : config);
        add_unit(d, door->program);
    }
    add_limits(d, door, &status);
    answer_clear(&status);
    free(config);
}

/* --- of the machine ------------------------------------------------------------------------- */

static void add_machine(struct diag *d)
{
    static const char *const packages[] = {
        "dpkg-query",  "--show",        "cmg*",        "libssl3",  "libevent-core-2.1-7",
        "libcurl4",    "libnghttp2-14", "libjansson4", "libinih1", "libexpat1",
        "libsystemd0", "libc6",         "systemd",     "openssl",  NULL
    };
    static const struct {
        const char *file;
        const char *argv[8];
    } about[] = {
        { "machine/uname.txt", { "uname", "-a" } },
        { "machine/release.txt", { "cat", "/etc/os-release" } },
        { "machine/clock.txt", { "timedatectl", "show" } },
        { "machine/memory.txt", { "cat", "/proc/meminfo" } },
        { "machine/load.txt", { "cat", "/proc/loadavg", "/proc/uptime" } },
        { "machine/sockets.txt", { "ss", "-s" } },
        { "machine/listening.txt", { "ss", "-ltn" } },
        { "machine/limits.txt", { "cat", "/proc/self/limits" } },
        { "machine/disk.txt", { "df", "-h" } },
        { "machine/etc-cmg.txt", { "ls", "-lan", "/etc/cmg" } },
    };
    say("the machine", NULL);
    for (size_t i = 0; i < CMG_COUNT(about); i++)
        add_output(d, about[i].file, about[i].argv);
    add_output(d, "machine/packages.txt", packages);
}

static const char readme[] =
    "Made by cmgctl diag, version " CMG_VERSION ".\n\n"
    "A folder for each daemon, and machine/. What could not be had says so in its file.\n"
    "Passwords, tokens and keys are not in here; nor are the names of the files that hold keys "
    "and\n"
    "passwords. What is: names and addresses of servers, and, in journal.txt, names and addresses\n"
    "of clients. Look through it before you hand it on.\n";

static bool is_installed(const char *program)
{
    char path[4096];
    return run_find(program, path, sizeof(path));
}

/* One that does not run is of interest, too, if it is installed. */
static void add_daemons(struct diag *d, const struct ctl_args *a, const struct doors *doors)
{
    static const char *const programs[] = { "cmg-gateway", "cmg-connection-point" };
    bool named = ctl_has(a, "socket") || ctl_has(a, "gateway") || ctl_has(a, "connection-point");
    for (size_t i = 0; i < doors->n && named; i++)
        add_daemon(d, a, &doors->at[i]);
    for (size_t i = 0; i < CMG_COUNT(programs) && !named; i++) {
        struct door door = { .program = programs[i] };
        snprintf(door.path, sizeof(door.path), "/run/%s/admin.sock", programs[i]);
        if (is_installed(programs[i]) || access(door.path, F_OK) == 0)
            add_daemon(d, a, &door);
    }
}

/* Behind a socket that was named: who it is, the daemon says itself. */
static const char *who(const struct door *door, char out[64])
{
    struct answer a;
    struct cmg_err err;
    if (strncmp(door->program, "cmg-", 4) == 0 || ask(door, NULL, "/health", &a, &err) != CMG_OK)
        return door->program;
    json_t *j = json_loadb(a.body, a.n, 0, NULL);
    const char *said = json_string_value(json_object_get(j, "program"));
    bool ours = said && (!strcmp(said, "cmg-gateway") || !strcmp(said, "cmg-connection-point"));
    snprintf(out, 64, "%s", ours ? said : door->program);
    json_decref(j);
    answer_clear(&a);
    return out;
}

static void default_name(char *out, size_t size)
{
    struct utsname u;
    char when[32];
    time_t now = (time_t)cmg_clock_unix();
    struct tm tm;
    strftime(when, sizeof(when), "%Y%m%d-%H%M%S", gmtime_r(&now, &tm));
    snprintf(out, size, "cmg-diag-%.64s-%s", uname(&u) == 0 ? u.nodename : "host", when);
}

static enum ctl_exit diag(const struct ctl_args *a)
{
    char name[128], archive[160], program[64];
    struct doors doors;
    struct diag d = { 0 };
    enum ctl_exit status = doors_choose(a, false, &doors);
    if (status != CTL_OK)
        return status;
    default_name(name, sizeof(name));
    snprintf(archive, sizeof(archive), "%s.tar.gz", name);
    const char *to = ctl_operand(a, 0) ? ctl_operand(a, 0) : archive;
    d.bundle = bundle_new(name, &d.err);
    if (!d.bundle)
        return ctl_failed(&d.err);
    doors.at[0].program = who(&doors.at[0], program);
    add(&d, "README.txt", cmg_str(readme));
    add_daemons(&d, a, &doors);
    add_machine(&d);
    if (d.err.code == CMG_OK && bundle_write(d.bundle, to, &d.err) == CMG_OK)
        printf("%s\n", to);
    bundle_free(d.bundle);
    return d.err.code == CMG_OK ? CTL_OK : ctl_failed(&d.err);
}

static const struct ctl_option options[] = {
    ASK_OPTIONS,
    { .name = "config",
      .value = "FILE",
      .doc = "The configuration of a daemon that does not run, if it is not the usual file." },
    { .name = "no-analyze", .doc = "Leave out the analysis." },
    { 0 },
};

const struct ctl_command ctl_diag = {
    .verb = "diag",
    .operands = "[FILE]",
    .operands_max = 1,
    .summary = "Gather what a support case needs into one .tar.gz, without secrets.",
    .doc = "Status, metrics, traffic, analysis, configuration, the last 5000 lines of the journal, "
           "versions and limits. Run it as root. What a daemon that does not run cannot tell is "
           "left out. Keys, passwords and tokens are not in it; names and addresses are.",
    .options = options,
    .run = diag,
};
