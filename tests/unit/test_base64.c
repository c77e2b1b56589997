/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"

struct pair {
    struct cmg_str bytes;
    const char *padded, *url;
};

/* RFC 4648 section 10, and the two characters in which the alphabets differ. */
static const struct pair pairs[] = {
    { { "", 0 }, "", "" },
    { { "f", 1 }, "Zg==", "Zg" },
    { { "fo", 2 }, "Zm8=", "Zm8" },
    { { "foo", 3 }, "Zm9v", "Zm9v" },
    { { "foob", 4 }, "Zm9vYg==", "Zm9vYg" },
    { { "fooba", 5 }, "Zm9vYmE=", "Zm9vYmE" },
    { { "foobar", 6 }, "Zm9vYmFy", "Zm9vYmFy" },
    { { "\xfb\xff\xfe", 3 }, "+//+", "-__-" },
    { { "\0\0", 2 }, "AAA=", "AAA" },
    { { "\xff\xff\xff\xff", 4 }, "/////w==", "_____w" },
};

static void same(enum cmg_base64 kind, struct cmg_str bytes, const char *text)
{
    char out[32];
    unsigned char back[16];
    size_t n = 99;

    assert_int_equal(strlen(text), cmg_base64_size(kind, bytes.n));
    assert_int_equal(strlen(text), cmg_base64_put(kind, bytes, out));
    assert_string_equal(text, out);
    assert_int_equal(CMG_OK, cmg_base64_get(kind, cmg_str(text), back, &n));
    assert_int_equal(bytes.n, n);
    assert_memory_equal(bytes.p, back, n);
}

static void bytes_become_the_text_that_the_rfc_says_and_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(pairs); i++) {
        same(CMG_BASE64, pairs[i].bytes, pairs[i].padded);
        same(CMG_BASE64URL, pairs[i].bytes, pairs[i].url);
    }
}

static const struct {
    const char *says;
    enum cmg_base64 kind;
    struct cmg_str text;
} refused[] = {
    { "no padding", CMG_BASE64, { "Zg", 2 } },
    { "half of the padding", CMG_BASE64, { "Zg=", 3 } },
    { "three signs of padding", CMG_BASE64, { "Z===", 4 } },
    { "nothing but padding", CMG_BASE64, { "====", 4 } },
    { "padding after a whole group", CMG_BASE64, { "Zm9v====", 8 } },
    { "padding in the middle", CMG_BASE64, { "Zg==Zg==", 8 } },
    { "text behind one sign of padding", CMG_BASE64, { "Zm=v", 4 } },
    { "bits behind the last byte", CMG_BASE64, { "Zh==", 4 } },
    { "bits behind the last byte, two bytes", CMG_BASE64, { "Zm9=", 4 } },
    { "the other alphabet's minus", CMG_BASE64, { "-//+", 4 } },
    { "the other alphabet's underscore", CMG_BASE64, { "+_/+", 4 } },
    { "a line end", CMG_BASE64, { "Zm9v\n", 5 } },
    { "a line end that fills the group", CMG_BASE64, { "Zm9vZm9\n", 8 } },
    { "a blank", CMG_BASE64, { "Zm 9", 4 } },
    { "a NUL", CMG_BASE64, { "Zm\0v", 4 } },
    { "a byte above ASCII", CMG_BASE64, { "Zm9\xf6", 4 } },
    { "padding", CMG_BASE64URL, { "Zg==", 4 } },
    { "one sign of padding", CMG_BASE64URL, { "Zm8=", 4 } },
    { "a single character", CMG_BASE64URL, { "Z", 1 } },
    { "a single character after a group", CMG_BASE64URL, { "Zm9vZ", 5 } },
    { "bits behind the last byte", CMG_BASE64URL, { "Zh", 2 } },
    { "bits behind the last byte, two bytes", CMG_BASE64URL, { "Zm9", 3 } },
    { "the other alphabet's plus", CMG_BASE64URL, { "+__-", 4 } },
    { "the other alphabet's slash", CMG_BASE64URL, { "-/_-", 4 } },
    { "a dot", CMG_BASE64URL, { "Zm.v", 4 } },
    { "a line end", CMG_BASE64URL, { "Zm8\n", 4 } },
    { "a blank in front", CMG_BASE64URL, { " Zm8", 4 } },
    { "a NUL at the end", CMG_BASE64URL, { "Zm8\0", 4 } },
};

static void a_second_text_for_the_same_bytes_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(refused); i++) {
        unsigned char out[16];
        size_t n = 99;
        if (cmg_base64_get(refused[i].kind, refused[i].text, out, &n) != CMG_EPROTO || n != 0)
            fail_msg("%s is taken", refused[i].says);
    }
}

/* Every byte in the last place: only the alphabet's, and of these only those without bits that
 * belong to no byte. */
static void one_character_of_four_stands_for_a_byte_at_the_end(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[4] = { 'A', (char)c, '=', '=' };
        unsigned char out[3];
        size_t n;
        bool expected = c && strchr("AQgw", c);
        assert_int_equal(
            expected, cmg_base64_get(CMG_BASE64, (struct cmg_str){ text, 4 }, out, &n) == CMG_OK);
        assert_int_equal(expected, cmg_base64_get(CMG_BASE64URL, (struct cmg_str){ text, 2 }, out,
                                                  &n) == CMG_OK);
    }
}

/* Blocks of their exact size, so that a byte too many is caught. */
static void there_and_back(enum cmg_base64 kind, struct cmg_str bytes)
{
    char *text = cmg_alloc(cmg_base64_size(kind, bytes.n) + 1);
    size_t n = cmg_base64_put(kind, bytes, text), room = cmg_base64_room(n), back = 0;
    unsigned char *out = cmg_alloc(room ? room : 1);
    assert_int_equal(CMG_OK, cmg_base64_get(kind, (struct cmg_str){ text, n }, out, &back));
    assert_int_equal(bytes.n, back);
    assert_memory_equal(bytes.p, out, back);
    free(out);
    free(text);
}

static void the_rooms_that_are_promised_are_enough_for_every_length(void **state)
{
    (void)state;
    for (size_t size = 0; size < 70; size++) {
        char *bytes = cmg_alloc(size ? size : 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)(i * 37 + size);
        there_and_back(CMG_BASE64, (struct cmg_str){ bytes, size });
        there_and_back(CMG_BASE64URL, (struct cmg_str){ bytes, size });
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_the_text_that_the_rfc_says_and_come_back),
        cmocka_unit_test(a_second_text_for_the_same_bytes_is_refused),
        cmocka_unit_test(one_character_of_four_stands_for_a_byte_at_the_end),
        cmocka_unit_test(the_rooms_that_are_promised_are_enough_for_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
