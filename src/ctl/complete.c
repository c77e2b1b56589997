/* SPDX-License-Identifier: MIT */
/* The table once more, as a script for bash: commands, their options, and those values that the
 * table spells out, as "debug|info". Every other value is taken for a file's name. It wants nothing
 * but bash: bash-completion loads it, and so does `source`. */
#include <string.h>

#include "ctl/commands.h"

/* Words that can be typed as they are: "[debug|info]", but not "[TOKEN|-]". */
static bool spelled_out(const char *text)
{
    return text && strchr(text, '|') &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz-|[]") == strlen(text);
}

static void words(const char *text, FILE *out)
{
    for (; *text; text++)
        if (*text != '[' && *text != ']')
            fputc(*text == '|' ? ' ' : *text, out);
}

static bool said_before(const struct ctl_command *const *commands,
                        const struct ctl_command *const *at)
{
    for (; commands != at; commands++)
        if ((*commands)->noun && (*at)->noun && !strcmp((*commands)->noun, (*at)->noun))
            return true;
    return false;
}

/* What may stand first. */
static void first_words(const struct ctl_command *const *commands, FILE *out)
{
    fputs("    '') words='", out);
    for (const struct ctl_command *const *at = commands; *at; at++)
        if (!said_before(commands, at))
            fprintf(out, "%s ", (*at)->noun ? (*at)->noun : (*at)->verb);
    fputs("--help --version' ;;\n", out);
}

static void verbs(const struct ctl_command *const *commands, const char *noun, FILE *out)
{
    fprintf(out, "    '%s') words='", noun);
    for (; *commands; commands++)
        if ((*commands)->noun && !strcmp((*commands)->noun, noun))
            fprintf(out, "%s ", (*commands)->verb);
    fputs("--help' ;;\n", out);
}

static void options(const struct ctl_command *c, FILE *out)
{
    char name[CTL_NAME];
    fprintf(out, "    '%s') words='", ctl_name(c, name));
    for (const struct ctl_option *o = c->options; o && o->name; o++)
        fprintf(out, "--%s%s ", o->name, o->value ? "=" : "");
    fputs("--help'", out);
    if (spelled_out(c->operands)) {
        fputs("; operands='", out);
        words(c->operands, out);
        fputc('\'', out);
    } else if (c->operands) {
        fputs("; files=1", out);
    }
    fputs(" ;;\n", out);
}

/* Of options whose values are spelled out, or are no file names. */
static void values(const struct ctl_command *c, FILE *out)
{
    char name[CTL_NAME];
    for (const struct ctl_option *o = c->options; o && o->name; o++) {
        if (!o->value || !(spelled_out(o->value) || o->max))
            continue;
        fprintf(out, "    '%s --%s') values='", ctl_name(c, name), o->name);
        if (spelled_out(o->value))
            words(o->value, out);
        fputs("' ;;\n", out);
    }
}

static const char head[] =
    "# bash completion for cmgctl, made by: cmgctl completion bash\n"
    "_cmgctl() {\n"
    "    local cur prev option='' command='' words='' operands='' values='-' files='' i\n"
    "    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    COMPREPLY=()\n"
    "    # bash makes three words of --option=value.\n"
    "    if [[ $cur == = ]]; then cur='' option=$prev\n"
    "    elif [[ $prev == = ]]; then option=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    elif [[ $prev == --* && $cur != -* ]]; then option=$prev\n"
    "    fi\n"
    "    for ((i = 1; i < COMP_CWORD && i < 3; i++)); do\n"
    "        [[ ${COMP_WORDS[i]} == -* ]] && break\n"
    "        case \"${command:+$command }${COMP_WORDS[i]}\" in\n"
    "        ";
static const char know[] = ") command=${command:+$command }${COMP_WORDS[i]} ;;\n"
                           "        *) break ;;\n"
                           "        esac\n"
                           "    done\n"
                           "    case \"$command\" in\n";
static const char middle[] = "    esac\n"
                             "    case \"$command $option\" in\n";
/* An option without a value leaves `values` as it was only when the table does not know that it
 * takes one; so those that do are told apart by the "=" that `words` has behind them. */
static const char tail[] =
    "    esac\n"
    "    if [[ -n $option && \" $words \" == *\" $option= \"* ]]; then\n"
    "        if [[ $values == - ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "        else\n"
    "            mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$cur\")\n"
    "        fi\n"
    "        return\n"
    "    fi\n"
    "    if [[ -n $files && $cur != -* ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "        return\n"
    "    fi\n"
    "    [[ -n $operands && $cur != -* ]] && words=$operands\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
    "    return 0\n"
    "}\n"
    "complete -F _cmgctl cmgctl\n";

static void all_names(const struct ctl_command *const *commands, FILE *out)
{
    char name[CTL_NAME];
    for (const struct ctl_command *const *at = commands; *at; at++) {
        if ((*at)->noun && !said_before(commands, at))
            fprintf(out, "'%s' | ", (*at)->noun);
        fprintf(out, "'%s'%s", ctl_name(*at, name), at[1] ? " | " : "");
    }
}

void ctl_completion(const struct ctl_command *const *commands, FILE *out)
{
    fputs(head, out);
    all_names(commands, out);
    fputs(know, out);
    first_words(commands, out);
    for (const struct ctl_command *const *at = commands; *at; at++) {
        if ((*at)->noun && !said_before(commands, at))
            verbs(commands, (*at)->noun, out);
        options(*at, out);
    }
    fputs(middle, out);
    for (const struct ctl_command *const *at = commands; *at; at++)
        values(*at, out);
    fputs(tail, out);
}

static enum ctl_exit completion_bash(const struct ctl_args *a)
{
    (void)a;
    ctl_completion(ctl_commands, stdout);
    return CTL_OK;
}

const struct ctl_command ctl_completion_bash = {
    .noun = "completion",
    .verb = "bash",
    .summary = "Print what makes bash complete cmgctl's commands and options.",
    .doc = "Packages install it. For one shell: source <(cmgctl completion bash).",
    .run = completion_bash,
};
