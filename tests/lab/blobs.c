/* SPDX-License-Identifier: MIT */
/* Prints what our own code sends to blob storage, so that the lab can send it to a real one:
 *
 *   blobs ACCOUNT URL KEY|SAS request VERB CONTAINER BLOB|PREFIX BLOCK|MARKER LENGTH
 *   blobs ACCOUNT URL KEY|SAS share CONTAINER BLOB UNTIL
 *
 * A request is its method and URL, then a line for each field. A share is a URL. The third word is
 * a file's name; what is in it decides what it is. */
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/clock.h"
#include "cmg/net/file.h"
#include "cmg/storage/request.h"

static const char *const verbs[] = {
    "create-container", "list",           "get",   "head", "put", "put-block",
    "put-block-list",   "get-block-list", "delete"
};

static int usage(const char *why)
{
    fprintf(stderr, "blobs: %s\n", why);
    return 2;
}

static struct cmg_account *account_of(char **argv)
{
    struct cmg_err err = { 0 };
    size_t n = 0;
    struct cmg_account *a = cmg_account_new(argv[1], argv[2], &err);
    char *text = cmg_file_read(argv[3], CMG_FILE_SECRET, CMG_SAS_MAX, &n, &err);
    struct cmg_str secret = { text, n };
    bool sas = text && strchr(text, '&');
    if (!a || !text ||
        (sas ? cmg_account_use_sas(a, secret, &err) : cmg_account_use_key(a, secret, &err)) !=
            CMG_OK) {
        usage(err.text);
        cmg_account_free(a);
        a = NULL;
    }
    free(text);
    return a;
}

static int verb_of(const char *name)
{
    for (int i = 0; i <= CMG_BLOB_DELETE; i++)
        if (!strcmp(verbs[i], name))
            return i;
    return -1;
}

static int print_request(const struct cmg_account *a, char **argv)
{
    struct cmg_blob_request r;
    int verb = verb_of(argv[5]);
    if (verb < 0)
        return usage("no such verb");
    struct cmg_blob_op op = { .verb = (enum cmg_blob_verb)verb,
                              .container = argv[6],
                              .blob = cmg_str(argv[7]),
                              .prefix = cmg_str(argv[7]),
                              .block = cmg_str(argv[8]),
                              .marker = cmg_str(argv[8]),
                              .page = verb == CMG_BLOB_LIST ? 2 : 0,
                              .length = strtoul(argv[9], NULL, 10) };
    cmg_blob_request_make(&r, a, &op, cmg_clock_unix());
    printf("%s %s\n", r.method, r.url);
    for (size_t i = 0; i < r.nfields; i++)
        printf("%.*s: %.*s\n", CMG_ARG(r.fields[i].name), CMG_ARG(r.fields[i].value));
    cmg_blob_request_clear(&r);
    return 0;
}

static int print_share(const struct cmg_account *a, char **argv)
{
    char *url = cmg_account_share(a, NULL, argv[5], cmg_str(argv[6]), strtol(argv[7], NULL, 10));
    printf("%s\n", url);
    free(url);
    return 0;
}

int main(int argc, char **argv)
{
    bool request = argc == 10 && !strcmp(argv[4], "request");
    bool share = argc == 8 && !strcmp(argv[4], "share");
    if (!request && !share)
        return usage("wrong words");
    struct cmg_account *a = account_of(argv);
    if (!a)
        return 1;
    int status = request ? print_request(a, argv) : print_share(a, argv);
    cmg_account_free(a);
    return status;
}
