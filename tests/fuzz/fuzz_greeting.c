/* SPDX-License-Identifier: MIT */
#include "cmg/proto/greeting.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cmg_greeting g, back;
    struct cmg_err err = { 0 };
    enum cmg_rc rc = cmg_greeting_read((struct cmg_str){ (const char *)p, n }, &g, &err);

    if (rc != CMG_OK) {
        hold(rc == CMG_EPROTO && err.text[0], "a refusal has a reason");
        hold(!g.name && !g.site && !g.version && !g.connection_id && !g.endpoints.v,
             "a refusal owns nothing");
        return 0;
    }
    hold(g.endpoints.n <= CMG_ENDPOINTS_MAX, "endpoints are in bounds");
    for (size_t i = 0; i < g.endpoints.n; i++)
        hold(cmg_endpoint_find(&g.endpoints, cmg_str(g.endpoints.v[i].id)) == &g.endpoints.v[i],
             "every endpoint is found");

    char *json = cmg_greeting_write(&g), first[40], second[40];
    hold(cmg_greeting_read(cmg_str(json), &back, &err) == CMG_OK, "it can be read again");
    char *again = cmg_greeting_write(&back);
    hold(strcmp(json, again) == 0, "it is written alike again");
    cmg_greeting_etag(&g.endpoints, first);
    cmg_greeting_etag(&back.endpoints, second);
    hold(strcmp(first, second) == 0, "it has the same tag again");
    free(again);
    free(json);
    cmg_greeting_clear(&back);
    cmg_greeting_clear(&g);
    return 0;
}
