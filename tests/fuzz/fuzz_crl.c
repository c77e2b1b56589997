/* SPDX-License-Identifier: MIT */
/* Whatever a distribution point sends: it is taken only when our CA signed it, and then it is a
 * list of that CA; what is refused has a reason and leaves the table as it was. */
#include <unistd.h>

#include "cmg/net/crl.h"
#include "fuzz.h"

/* A CA whose lists are in the corpus; its key is not kept. */
static const char ca[] = "-----BEGIN CERTIFICATE-----\n"
                         "MIIBizCCATGgAwIBAgIUPeeomGmeQUcWxAfSC96E2Xl3KjEwCgYIKoZIzj0EAwIw\n"
                         "EjEQMA4GA1UEAwwHRnV6eiBDQTAgFw0yNjExMjIwNzQ5NTFaGA8yMTI2MTAyOTA3\n"
                         "NDk1MVowEjEQMA4GA1UEAwwHRnV6eiBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
                         "A0IABNwjLHKO+G60d2L3RQi5JNVsq2nfZ0lDrw86kUfyij4ik5/8+Qav0PjYJW0y\n"
                         "RpBR3Kj1DOBRg5sgOv3A9XOb0tyjYzBhMB0GA1UdDgQWBBRNK+w2iwUud6krgrmv\n"
                         "37qngNZdITAfBgNVHSMEGDAWgBRNK+w2iwUud6krgrmv37qngNZdITAPBgNVHRMB\n"
                         "Af8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAKBggqhkjOPQQDAgNIADBFAiAxPTDh\n"
                         "7JmQDjKiKz0EElZn4Kf36dIEEHe4yRk/xmcK9AIhAKlHuFyp6oPdhPfocBBl92hm\n"
                         "bXz+vXYMpMaQ0gLKWTNd\n"
                         "-----END CERTIFICATE-----\n";

static struct cmg_trust *trust_of_file(void)
{
    char path[] = "/tmp/fuzz-crl-XXXXXX";
    struct cmg_err err;
    int fd = mkstemp(path);
    hold(fd >= 0 && write(fd, ca, sizeof(ca) - 1) == (ssize_t)(sizeof(ca) - 1), "there is a file");
    close(fd);
    struct cmg_trust *trust = cmg_trust_load(path, &err);
    unlink(path);
    hold(trust != NULL, "there is a CA");
    return trust;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct cmg_trust *trust;
    struct cmg_crl_about about[4];
    struct cmg_err err = { .text = "" };
    bool changed;
    if (!trust)
        trust = trust_of_file();

    struct cmg_crls *t = cmg_crls_new(trust);
    const struct cmg_str in = { (const char *)p, n };
    enum cmg_rc rc = cmg_crls_put(t, "http://a/crl", in, 0, &changed, &err);
    size_t found = cmg_crls_about(t, "http://a/crl", about, 4);
    hold(changed == (rc == CMG_OK), "a first list is a change, and nothing else is");
    hold((found > 0) == (rc == CMG_OK), "what is taken is there, what is refused is not");
    hold(rc == CMG_OK || err.text[0], "a refusal has a reason");
    for (size_t i = 0; i < found; i++)
        hold(strcmp(about[i].issuer, "Fuzz CA") == 0, "only our CA's lists are taken");
    if (rc == CMG_OK) {
        hold(cmg_crls_put(t, "http://a/crl", in, 0, &changed, &err) == CMG_OK && !changed,
             "the same again is no change");
    }
    cmg_crls_free(t);
    return 0;
}
