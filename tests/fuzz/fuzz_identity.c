/* SPDX-License-Identifier: MIT */
/* What is read can be written, is then read to the same, and cannot break out of a field: it is
 * printable ASCII. And any bytes as a name stay inside their quotes. */
#include "cmg/auth/identity.h"
#include "fuzz.h"

static void printable(const char *text, size_t n)
{
    hold(n == strlen(text) && n < CMG_IDENTITY_TEXT, "its length is told");
    for (size_t i = 0; i < n; i++)
        hold(text[i] >= 0x20 && text[i] <= 0x7e, "it is printable ASCII");
}

static void as_an_identity(struct cmg_str in)
{
    struct cmg_identity who, back;
    struct cmg_err err = { 0 };
    char text[CMG_IDENTITY_TEXT], again[CMG_IDENTITY_TEXT];
    enum cmg_rc rc = cmg_identity_read(in, &who, &err);

    hold(rc == CMG_OK || (rc == CMG_EPROTO && err.text[0]), "a refusal has a reason");
    if (rc != CMG_OK) {
        hold(who.how == CMG_BY_NOTHING && !who.name[0] && !who.id[0], "a refusal is nobody");
        return;
    }
    printable(text, cmg_identity_write(&who, text));
    hold(cmg_identity_read(cmg_str(text), &back, &err) == CMG_OK, "it can be read again");
    cmg_identity_write(&back, again);
    hold(strcmp(text, again) == 0, "it is written alike again");
    hold(strcmp(who.name, back.name) == 0 && strcmp(who.id, back.id) == 0, "it is the same");
}

static void as_a_name(struct cmg_str in)
{
    struct cmg_identity who = { .how = CMG_BY_CERTIFICATE, .id = "i", .until = 7 }, back;
    char text[CMG_IDENTITY_TEXT];

    cmg_str_put(who.name, sizeof(who.name), in);
    printable(text, cmg_identity_write(&who, text));
    hold(cmg_identity_read(cmg_str(text), &back, NULL) == CMG_OK, "any name can be read");
    hold(strlen(back.name) == strlen(who.name), "a name keeps its length");
    hold(strcmp(back.id, "i") == 0 && back.until == 7 && !back.tenant[0] && !back.sha256[0],
         "a name says nothing else");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char *copy = fuzz_copy((const char *)p, n);
    as_an_identity((struct cmg_str){ copy, n });
    as_a_name((struct cmg_str){ copy, n });
    free(copy);
    return 0;
}
