/* SPDX-License-Identifier: MIT */
#include "strict_json.h"

/* Counted before jansson sees it, because its own ceiling is a constant 2048 calls deep. Up to
 * the first mistake in the text both see the same brackets, and jansson stops there. */
static bool shallow(struct cmg_str text)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if ((c == '{' || c == '[') && ++depth > CMG_JSON_DEPTH_MAX)
            return false;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return true;
}

json_t *cmg_strict_json(struct cmg_str text)
{
    json_error_t at;
    if (text.n == 0 || !shallow(text))
        return NULL;
    json_t *o = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &at);
    if (json_is_object(o))
        return o;
    json_decref(o);
    return NULL;
}

struct cmg_str cmg_json_text(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    return (struct cmg_str){ json_string_value(value), json_string_length(value) };
}
