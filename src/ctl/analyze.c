/* SPDX-License-Identifier: MIT */
/* cmgctl analyze: a daemon looks at everything that it needs, one finding a line as they come. */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/commands.h"
#include "ctl/ink.h"

enum { ANALYZE_MS = 150 * 1000, CHECK_WIDTH = 16, TEXT_WIDTH = 8 };

enum verdict { PASS, WARN, FAIL, VERDICTS };

struct analysis {
    bool json, coloured;
    bool whole; /* the line with the totals has come */
    unsigned n[VERDICTS];
};

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

/* An unknown verdict is one of a newer daemon: nobody is told that all is well. */
static enum verdict verdict_of(const json_t *j)
{
    const char *v = text(j, "verdict");
    return !strcmp(v, "pass") ? PASS : !strcmp(v, "fail") ? FAIL : WARN;
}

static void detail(const struct analysis *n, const char *what, const char *says)
{
    if (!*says)
        return;
    fprintf(stdout, "%*s", TEXT_WIDTH, "");
    ink_put(stdout, n->coloured, INK_FAINT, what);
    fputs(": ", stdout);
    ink_put(stdout, false, INK_PLAIN, says);
    fputc('\n', stdout);
}

static void finding(const struct analysis *n, const json_t *j, enum verdict v)
{
    static const struct {
        const char *word;
        enum ink ink;
    } looks[] = {
        [PASS] = { "ok", INK_GOOD }, [WARN] = { "warn", INK_WARN }, [FAIL] = { "FAIL", INK_BAD }
    };
    const char *check = text(j, "check"), *subject = text(j, "subject");
    int pad = CHECK_WIDTH - (int)ink_columns(cmg_str(check));
    ink_put(stdout, n->coloured, looks[v].ink, looks[v].word);
    fprintf(stdout, "%*s", TEXT_WIDTH - (int)strlen(looks[v].word), "");
    ink_put(stdout, n->coloured, INK_HEAD, check);
    fprintf(stdout, "%*s", pad > 0 ? pad + 1 : 1, "");
    ink_put(stdout, false, INK_PLAIN, subject);
    fputs(*subject ? ": " : "", stdout);
    ink_put(stdout, false, INK_PLAIN, text(j, "says"));
    fputc('\n', stdout);
    if (v == PASS)
        return;
    detail(n, "means", text(j, "means"));
    detail(n, "do", text(j, "do"));
}

static bool on_line(void *arg, struct cmg_str line)
{
    struct analysis *n = arg;
    json_t *j = json_loadb(line.p, line.n, 0, NULL);
    if (j && json_object_get(j, "verdict")) {
        enum verdict v = verdict_of(j);
        n->n[v]++;
        if (!n->json)
            finding(n, j, v);
    } else if (j) {
        n->whole = true;
    }
    if (n->json)
        fprintf(stdout, "%.*s\n", CMG_ARG(line));
    fflush(stdout);
    json_decref(j);
    return !ferror(stdout);
}

static void totals(const struct analysis *n)
{
    static const char *const words[] = { "passed", "to look at", "failed" };
    static const enum ink inks[] = { INK_GOOD, INK_WARN, INK_BAD };
    fputc('\n', stdout);
    for (unsigned v = 0; v < VERDICTS; v++) {
        char out[48];
        snprintf(out, sizeof(out), "%s%u %s", v ? ", " : "", n->n[v], words[v]);
        ink_put(stdout, n->coloured && n->n[v], inks[v], out);
    }
    fputc('\n', stdout);
}

static enum ctl_exit outcome(const struct door *d, const struct analysis *n,
                             const struct answer *answer)
{
    struct cmg_err err;
    if (answer->status != 200) {
        json_decref(answer_json(d, answer, 200, &err));
        return ctl_failed(&err);
    }
    if (!n->json)
        totals(n);
    if (!n->whole) {
        fflush(stdout);
        fprintf(stderr, "cmgctl: the analysis ended before its end: %s may have stopped\n",
                d->program);
        return CTL_FAILED;
    }
    return n->n[FAIL] ? CTL_FAILED : CTL_OK;
}

static enum ctl_exit analyze_one(const struct door *d, bool json)
{
    struct analysis n = { .json = json, .coloured = ink_wanted(stdout) };
    struct answer answer;
    struct cmg_err err;
    enum cmg_rc rc = ask_lines(d, "/analyze", ANALYZE_MS, on_line, &n, &answer, &err);
    enum ctl_exit status = rc == CMG_OK ? outcome(d, &n, &answer) : ask_failed(&err);
    answer_clear(&answer);
    return status;
}

static enum ctl_exit analyze(const struct ctl_args *a)
{
    struct doors doors;
    enum ctl_exit worst = doors_choose(a, false, &doors);
    for (size_t i = 0; i < doors.n && worst != CTL_USAGE; i++) {
        if (doors.n > 1 && !ctl_has(a, "json"))
            printf("%s%s\n", i ? "\n" : "", doors.at[i].program);
        enum ctl_exit one = analyze_one(&doors.at[i], ctl_has(a, "json"));
        worst = one > worst ? one : worst;
    }
    return worst;
}

static const struct ctl_option options[] = {
    ASK_OPTIONS,
    { .name = "json", .doc = "Print one JSON object a finding, as the daemon sends them." },
    { 0 },
};

const struct ctl_command ctl_analyze = {
    .verb = "analyze",
    .summary = "Test everything that the daemon needs, and say what to do about what fails.",
    .doc = "The daemon itself looks, with its own proxy, roots and certificates, and without "
           "disturbing its channels. That takes up to a minute; findings are printed as they come. "
           "Exit status 0 says that nothing failed.",
    .options = options,
    .run = analyze,
};
