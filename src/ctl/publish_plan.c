/* SPDX-License-Identifier: MIT */
#include "ctl/publish_plan.h"

#include <stdlib.h>
#include <string.h>

#include "cmg/auth/digest.h"
#include "cmg/base/alloc.h"

enum { RETRY_MIN_MS = 500, RETRY_MAX_MS = 30000 };

static bool id_char(char c)
{
    c = cmg_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

enum cmg_rc plan_prefix(const char *content, char out[PLAN_PREFIX], struct cmg_err *err)
{
    size_t n = strlen(content);
    bool ok = n > 0 && n <= PLAN_CONTENT_MAX && !strstr(content, "..") && content[0] != '.' &&
              content[n - 1] != '.';
    for (size_t i = 0; ok && i < n; i++)
        ok = id_char(content[i]);
    if (!ok)
        return cmg_fail(err, CMG_ECONF,
                        "not the id of a content: up to %d letters, digits, dots, hyphens and "
                        "underscores, as in PS100042.3",
                        PLAN_CONTENT_MAX);
    for (size_t i = 0; i < n; i++)
        out[i] = cmg_lower(content[i]);
    out[n] = '/';
    out[n + 1] = '\0';
    return CMG_OK;
}

int64_t plan_bytes(const char *text)
{
    struct cmg_str s = cmg_str(text);
    unsigned shift = 0;
    if (s.n) {
        char unit = cmg_lower(s.p[s.n - 1]);
        shift = unit == 'k' ? 10 : unit == 'm' ? 20 : unit == 'g' ? 30 : 0;
    }
    s.n -= shift != 0;
    int64_t number = cmg_str_number(s);
    return number < 0 || number > INT64_MAX >> shift ? -1 : number << shift;
}

/* --- What is there, what is not ----------------------------------------------------------- */

static int by_blob_name(const void *a, const void *b)
{
    const struct cmg_blob *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static const struct cmg_blob **sorted(const struct cmg_listing *l, size_t n)
{
    const struct cmg_blob **blobs = cmg_alloc((n + 1) * sizeof(struct cmg_blob *));
    for (size_t i = 0; i < n; i++)
        blobs[i] = cmg_listing_at(l, i);
    qsort(blobs, n, sizeof(struct cmg_blob *), by_blob_name);
    return blobs;
}

static struct plan_step compare(const struct folder_file *file, const struct cmg_blob *blob)
{
    bool known = blob && blob->size == file->size && *blob->md5;
    return (struct plan_step){ known ? PLAN_COMPARE : PLAN_SEND, file, blob };
}

struct plan_step *plan_steps(const struct folder *f, const struct cmg_listing *l, size_t prefix,
                             size_t *n)
{
    size_t nblobs = l ? cmg_listing_count(l) : 0, nfiles = 0, left = 0;
    const struct cmg_blob **blobs = sorted(l, nblobs);
    struct plan_step *steps = cmg_alloc((f->n + nblobs + 1) * sizeof(*steps));

    for (size_t i = 0; i < nblobs || nfiles < f->n;) {
        const struct folder_file *file = nfiles < f->n ? &f->files[nfiles] : NULL;
        const struct cmg_blob *blob = i < nblobs ? blobs[i] : NULL;
        int order = !file ? 1 : !blob ? -1 : strcmp(file->name, blob->name + prefix);
        if (order <= 0)
            steps[nfiles++] = compare(file, order ? NULL : blob);
        else
            blobs[left++] = blob; /* left <= i: its place has been read */
        i += order >= 0;
    }
    for (size_t i = 0; i < left; i++)
        steps[nfiles + i] = (struct plan_step){ PLAN_REMOVE, NULL, blobs[i] };
    free(blobs);
    *n = nfiles + left;
    return steps;
}

/* --- Blocks ------------------------------------------------------------------------------- */

void plan_block_id(size_t index, struct cmg_str bytes, unsigned char out[PLAN_BLOCK_ID])
{
    unsigned char digest[CMG_SHA256_BYTES];
    cmg_sha256(bytes, digest);
    for (unsigned i = 0; i < 4; i++)
        out[i] = (unsigned char)(index >> (24 - 8 * i));
    memcpy(out + 4, digest, PLAN_BLOCK_ID - 4);
}

size_t plan_blocks(int64_t size, int64_t block_bytes)
{
    return (size_t)(size / block_bytes + (size % block_bytes != 0));
}

int64_t plan_block_size(int64_t size, int64_t block_bytes, size_t index)
{
    int64_t rest = size - (int64_t)index * block_bytes;
    return rest < block_bytes ? rest : block_bytes;
}

enum cmg_rc plan_fits(const struct folder_file *file, int64_t block_bytes, struct cmg_err *err)
{
    if (plan_blocks(file->size, block_bytes) <= CMG_BLOCKS_MAX)
        return CMG_OK;
    int64_t mib = file->size / CMG_BLOCKS_MAX / (1024 * 1024) + 1;
    return cmg_fail(err, CMG_ECONF, "%s: too large for that block size; give --block-size %lldM",
                    file->name, (long long)mib);
}

static int by_id(const struct cmg_block *a, const unsigned char *id, size_t nid)
{
    if (a->nid != nid)
        return a->nid < nid ? -1 : 1;
    return memcmp(a->id, id, nid);
}

static int by_block(const void *a, const void *b)
{
    const struct cmg_block *x = a, *y = b;
    int order = by_id(x, y->id, y->nid);
    return order ? order : (int)x->committed - (int)y->committed;
}

void plan_blocks_sort(struct cmg_block *blocks, size_t n)
{
    if (n)
        qsort(blocks, n, sizeof(*blocks), by_block);
}

bool plan_block_there(const struct cmg_block *blocks, size_t n,
                      const unsigned char id[PLAN_BLOCK_ID], int64_t size)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_id(&blocks[middle], id, PLAN_BLOCK_ID) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    /* The first of two of one name is the one not yet committed, which is what would be taken. */
    return low < n && by_id(&blocks[low], id, PLAN_BLOCK_ID) == 0 && blocks[low].size == size;
}

/* --- Failures ----------------------------------------------------------------------------- */

static bool passes(enum cmg_rc rc, unsigned status)
{
    if (status)
        return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
               status == 504;
    return rc == CMG_EIO || rc == CMG_ETIMEOUT;
}

int64_t plan_retry_ms(enum cmg_rc rc, unsigned status, unsigned tries, uint32_t dice)
{
    if (!passes(rc, status))
        return -1;
    int64_t step = RETRY_MIN_MS;
    for (unsigned i = 1; i < tries && step < RETRY_MAX_MS; i++)
        step *= 2;
    if (step > RETRY_MAX_MS)
        step = RETRY_MAX_MS;
    return step / 2 + step / 2 * (int64_t)dice / UINT32_MAX;
}

const char *plan_hint(unsigned status, const char *why)
{
    if (status == 403)
        return "check the account's name and key (a SAS must allow to read, list, create, write "
               "and delete), this machine's clock, and the account's firewall";
    if (status == 404)
        return "check the account, its URL and the container";
    if (strstr(why, "ContainerBeingDeleted"))
        return "the container is being deleted; try again in a minute or take another";
    if (strstr(why, "InvalidBlobType"))
        return "there is a blob of that name that is no block blob; remove it first";
    if (status >= 500)
        return "the same command goes on where this one stopped";
    return "";
}
