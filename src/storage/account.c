/* SPDX-License-Identifier: MIT */
#include "cmg/storage/account.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/auth/digest.h"
#include "cmg/base/alloc.h"
#include "cmg/base/utf8.h"
#include "cmg/proto/base64.h"
#include "signing.h"

enum { KEY_TEXT_MAX = 256, KEY_MAX = 192, KEY_MIN = 16 }; /* Azure's keys have 64 bytes */

struct cmg_account {
    char name[CMG_ACCOUNT_NAME_MAX + 1];
    char url[CMG_STORAGE_URL_MAX];
    size_t path_at; /* where in url its path begins; at its NUL where there is none */
    unsigned char key[KEY_MAX];
    size_t nkey;
    struct cmg_sas *sas; /* owned */
};

/* Names -------------------------------------------------------------------------------- */

static bool is_small(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool account_ok(struct cmg_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_small(name.p[i]))
            return false;
    return name.n >= 3 && name.n <= CMG_ACCOUNT_NAME_MAX;
}

bool cmg_container_ok(struct cmg_str name)
{
    if (name.n < 3 || name.n > CMG_CONTAINER_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        bool hyphen = name.p[i] == '-' && i && i + 1 < name.n && name.p[i - 1] != '-';
        if (!hyphen && !is_small(name.p[i]))
            return false;
    }
    return true;
}

/* How many bytes the character at the front has; 0: it is not UTF-8, a control character, or one
 * that XML cannot have. */
static size_t character(struct cmg_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t n = cmg_utf8(s);
    bool control = n && (p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0));
    bool not_xml = n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe; /* U+FFFE, U+FFFF */
    return control || not_xml ? 0 : n;
}

bool cmg_blob_name_ok(struct cmg_str name)
{
    if (!name.n || name.n > CMG_BLOB_NAME_MAX)
        return false;
    for (size_t i = 0, n; i < name.n; i += n) {
        n = character(cmg_str_from(name, i));
        if (!n || name.p[i] == '\\')
            return false;
    }
    /* No segment is empty or ends in a dot: "." and ".." are gone with them. */
    for (size_t i = 0; i <= name.n; i++)
        if ((i == name.n || name.p[i] == '/') &&
            (!i || name.p[i - 1] == '/' || name.p[i - 1] == '.'))
            return false;
    return true;
}

/* URLs --------------------------------------------------------------------------------- */

static bool all_of(struct cmg_str s, const char *others)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_small(cmg_lower(s.p[i])) && (!s.p[i] || !strchr(others, s.p[i])))
            return false;
    return s.n > 0;
}

/* Where the path begins; 0: not a URL that we could sign. */
static size_t path_of(struct cmg_str url)
{
    size_t at = cmg_str_istarts(url, CMG_STR("https://"))  ? 8
                : cmg_str_istarts(url, CMG_STR("http://")) ? 7
                                                           : 0;
    size_t end = at;
    while (end < url.n && url.p[end] != '/')
        end++;
    if (!at || !all_of((struct cmg_str){ url.p + at, end - at }, ".-:[]"))
        return 0;
    struct cmg_str path = cmg_str_from(url, end);
    return path.n && !all_of(path, "/-._~") ? 0 : end;
}

struct cmg_account *cmg_account_new(const char *name, const char *url, struct cmg_err *err)
{
    char usual[CMG_STORAGE_URL_MAX];
    if (!account_ok(cmg_str(name))) {
        cmg_fail(err, CMG_ECONF, "not a storage account's name: 3 to 24 of a-z 0-9");
        return NULL;
    }
    snprintf(usual, sizeof(usual), "https://%s.blob.core.windows.net", name);
    struct cmg_str u = cmg_str(url ? url : usual);
    if (u.n && u.p[u.n - 1] == '/')
        u.n--;
    size_t path_at = u.n < CMG_STORAGE_URL_MAX ? path_of(u) : 0;
    if (!path_at) {
        cmg_fail(err, CMG_ECONF,
                 "storage account %s: not the URL of a blob service, such as "
                 "https://%s.blob.core.windows.net",
                 name, name);
        return NULL;
    }
    struct cmg_account *a = cmg_alloc(sizeof(*a));
    cmg_str_put(a->name, sizeof(a->name), cmg_str(name));
    cmg_str_put(a->url, sizeof(a->url), u);
    a->path_at = path_at;
    return a;
}

static void forget_sas(struct cmg_account *a)
{
    if (a->sas)
        explicit_bzero(a->sas, sizeof(*a->sas));
    free(a->sas);
    a->sas = NULL;
}

void cmg_account_free(struct cmg_account *a)
{
    if (!a)
        return;
    forget_sas(a);
    explicit_bzero(a->key, sizeof(a->key));
    free(a);
}

/* Credentials -------------------------------------------------------------------------- */

/* Files end in line ends, and editors add what they like. */
static struct cmg_str without_margins(struct cmg_str s)
{
    while (s.n && strchr(" \t\r\n", s.p[0]) && s.p[0])
        s = cmg_str_from(s, 1);
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]) && s.p[s.n - 1])
        s.n--;
    return s;
}

enum cmg_rc cmg_account_use_key(struct cmg_account *a, struct cmg_str text, struct cmg_err *err)
{
    unsigned char key[KEY_MAX];
    size_t n = 0;
    struct cmg_str s = without_margins(text);
    if (s.n > KEY_TEXT_MAX || cmg_base64_room(s.n) > sizeof(key) ||
        cmg_base64_get(CMG_BASE64, s, key, &n) != CMG_OK || n < KEY_MIN) {
        explicit_bzero(key, sizeof(key));
        return cmg_fail(err, CMG_ECONF,
                        "storage account %s: not a shared key; allowed: its base64 text alone",
                        a->name);
    }
    forget_sas(a);
    memcpy(a->key, key, n);
    a->nkey = n;
    explicit_bzero(key, sizeof(key));
    return CMG_OK;
}

enum cmg_rc cmg_account_use_sas(struct cmg_account *a, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_sas *sas = cmg_alloc(sizeof(*sas));
    struct cmg_err why = { 0 };
    if (cmg_sas_read(without_margins(text), sas, &why) != CMG_OK) {
        explicit_bzero(sas, sizeof(*sas));
        free(sas);
        return cmg_fail(err, CMG_ECONF, "storage account %s: %s", a->name, why.text);
    }
    forget_sas(a);
    explicit_bzero(a->key, sizeof(a->key));
    a->nkey = 0;
    a->sas = sas;
    return CMG_OK;
}

const char *cmg_account_name(const struct cmg_account *a)
{
    return a->name;
}

const char *cmg_account_url(const struct cmg_account *a)
{
    return a->url;
}

const char *cmg_account_path(const struct cmg_account *a)
{
    return a->url + a->path_at;
}

bool cmg_account_has_key(const struct cmg_account *a)
{
    return a->nkey > 0;
}

const struct cmg_sas *cmg_account_sas(const struct cmg_account *a)
{
    return a->sas;
}

void cmg_account_sign(const struct cmg_account *a, struct cmg_str text, char out[CMG_SIGNED_TEXT])
{
    unsigned char mac[CMG_SHA256_BYTES];
    if (!a->nkey)
        abort();
    cmg_hmac_sha256((struct cmg_str){ (const char *)a->key, a->nkey }, text, mac);
    cmg_base64_put(CMG_BASE64, (struct cmg_str){ (const char *)mac, sizeof(mac) }, out);
}
