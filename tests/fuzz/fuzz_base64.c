/* SPDX-License-Identifier: MIT */
/* One text for one run of bytes: what decodes encodes to the very same text, and every run of
 * bytes comes back from its text. */
#include "cmg/proto/base64.h"
#include "fuzz.h"

static void decodes_to_one_text(enum cmg_base64 kind, struct cmg_str text)
{
    size_t n = 0, room = cmg_base64_room(text.n);
    char *bytes = malloc(room ? room : 1), *back;
    if (!bytes || cmg_base64_get(kind, text, bytes, &n) != CMG_OK) {
        free(bytes);
        return;
    }
    hold(n <= room, "the room is enough");
    back = malloc(cmg_base64_size(kind, n) + 1);
    hold(back && cmg_base64_put(kind, (struct cmg_str){ bytes, n }, back) == text.n,
         "the text is as long as it was");
    hold(text.n == 0 || memcmp(back, text.p, text.n) == 0, "there is one text only");
    free(back);
    free(bytes);
}

static void comes_back(enum cmg_base64 kind, struct cmg_str bytes)
{
    size_t size = cmg_base64_size(kind, bytes.n), n = 0;
    char *text = malloc(size + 1), *back = malloc(bytes.n + 3);

    hold(text && back, "there is memory");
    hold(cmg_base64_put(kind, bytes, text) == size, "the size is as promised");
    hold(cmg_base64_get(kind, (struct cmg_str){ text, size }, back, &n) == CMG_OK,
         "what is written can be read");
    hold(n == bytes.n && (n == 0 || memcmp(back, bytes.p, n) == 0), "the bytes come back");
    free(back);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cmg_str in = { (const char *)p, n };
    decodes_to_one_text(CMG_BASE64, in);
    decodes_to_one_text(CMG_BASE64URL, in);
    comes_back(CMG_BASE64, in);
    comes_back(CMG_BASE64URL, in);
    return 0;
}
