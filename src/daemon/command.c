/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <getopt.h>
#include <stdio.h>

enum action { RUN, CHECK, PRINT_CONFIG, PRINT_SAMPLE, PRINT_MANUAL, VERSION, HELP, USAGE };

static const char summary_of_options[] =
    "  -c, --config=FILE   read FILE\n"
    "      --check         read and check the configuration, say what is wrong, and end\n"
    "      --print-config  print the configuration in force, defaults included\n"
    "      --print-sample  print a documented sample configuration\n"
    "      --print-manual  print the description of all options, for scdoc\n"
    "      --version       print the version\n"
    "  -h, --help          print this\n";

static void help(const struct cmg_service *s, FILE *out)
{
    fprintf(out,
            "Usage: %s [OPTION]...\n"
            "%s\n\n"
            "%s\n"
            "Without --config the configuration is %s.\n\n"
            "Signals: SIGHUP reads the configuration again; where it is refused, or a change\n"
            "needs a restart, the old one stays. SIGTERM and SIGINT finish what is in flight,\n"
            "then end; a second one ends at once.\n\n"
            "Exit status: 0, 1 run-time failure, 2 wrong usage, 78 configuration refused.\n",
            s->program, s->summary, summary_of_options, s->default_config);
}

static enum action parse(const struct cmg_service *s, int argc, char **argv, const char **path)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "check", no_argument, NULL, CHECK },
        { "print-config", no_argument, NULL, PRINT_CONFIG },
        { "print-sample", no_argument, NULL, PRINT_SAMPLE },
        { "print-manual", no_argument, NULL, PRINT_MANUAL },
        { "version", no_argument, NULL, VERSION },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    enum action action = RUN;
    *path = s->default_config;
    for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (c == 'c')
            *path = optarg;
        else if (c == 'h')
            action = HELP;
        else if (c == '?')
            return USAGE;
        else
            action = (enum action)c;
    }
    if (optind == argc)
        return action;
    fprintf(stderr, "%s: '%s' is one argument too many\n", s->program, argv[optind]);
    return USAGE;
}

void *cmg_command_load(const struct cmg_service *s, const char *path)
{
    struct cmg_err err;
    void *conf = cmg_config_load(s->config, path, &err);
    if (!conf)
        fprintf(stderr, "%s%s: %s\n", cmg_logsink_is_journal() ? "<3>" : "", s->program, err.text);
    return conf;
}

static int with_conf(const struct cmg_service *s, enum action action, const char *path)
{
    void *conf = cmg_command_load(s, path);
    if (!conf)
        return CMG_EXIT_CONFIG;
    if (action == CHECK)
        printf("%s: ok\n", path);
    else
        cmg_config_print(s->config, conf, stdout);
    cmg_config_free(s->config, conf);
    return CMG_EXIT_OK;
}

static int without_conf(const struct cmg_service *s, enum action action)
{
    char title[160];
    if (action == PRINT_SAMPLE) {
        snprintf(title, sizeof(title), "%s.ini - %s", s->program, s->summary);
        cmg_config_print_sample(s->config, title, stdout);
    } else if (action == PRINT_MANUAL) {
        cmg_config_print_manual(s->config, stdout);
    } else if (action == VERSION) {
        printf("%s %s\n", s->program, CMG_VERSION);
    } else {
        help(s, stdout);
    }
    return CMG_EXIT_OK;
}

int cmg_command(const struct cmg_service *s, int argc, char **argv, const char **path)
{
    enum action action = parse(s, argc, argv, path);
    if (action == RUN)
        return -1;
    if (action == USAGE) {
        fprintf(stderr, "Try '%s --help'.\n", s->program);
        return CMG_EXIT_USAGE;
    }
    int status = action == CHECK || action == PRINT_CONFIG ? with_conf(s, action, *path)
                                                           : without_conf(s, action);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "%s: cannot write to standard output\n", s->program);
    return CMG_EXIT_FAILURE;
}
