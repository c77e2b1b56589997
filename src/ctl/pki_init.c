/* SPDX-License-Identifier: MIT */
/* cmgctl pki init. */
#include <jansson.h>

#include "cmg/base/clock.h"
#include "cmg/daemon/checks.h"
#include "ctl/commands.h"
#include "ctl/pki_tree.h"
#include "ctl/when.h"

enum { NAME_MAX_BYTES = 64 }; /* of a common name (RFC 5280, ub-common-name) */

static enum cmg_rc check_name(const char *value, struct cmg_err *err)
{
    if (strlen(value) > NAME_MAX_BYTES)
        return cmg_fail(err, CMG_EDENIED, "must not be longer than %d bytes", NAME_MAX_BYTES);
    return cmg_check_name(value, err);
}

static bool twice(const struct pki_site *s, const char *name)
{
    for (size_t i = 0; i < s->npoints; i++)
        if (cmg_str_ieq(cmg_str(s->points[i]), cmg_str(name)))
            return true;
    return false;
}

static enum ctl_exit points_of(const struct ctl_args *a, struct pki_site *s)
{
    size_t n = ctl_count(a, "connection-point");
    if (n > PKI_POINTS_MAX)
        return ctl_misused(a, "--connection-point: at most %d", PKI_POINTS_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *name = ctl_nth(a, "connection-point", i);
        if (twice(s, name))
            return ctl_misused(a, "--connection-point=%s is given twice", name);
        s->points[s->npoints++] = name;
    }
    if (!n)
        s->points[s->npoints++] = ctl_text(a, "connection-point");
    return CTL_OK;
}

static void print_json(const struct pki_site *s, const struct pki_tree *t)
{
    json_t *files = json_array();
    for (size_t i = 0; i < t->n; i++)
        json_array_append_new(
            files, json_pack("{s:s, s:s}", "path", t->files[i].path, "what", t->files[i].what));
    json_t *all = json_pack("{s:s, s:s, s:o}", "hierarchy", s->hierarchy, "service", s->service,
                            "files", files);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static void print_text(const struct pki_site *s, const struct pki_tree *t, const char *folder)
{
    char until[WHEN_TEXT];
    for (size_t i = 0; i < t->n; i++)
        printf("%s/%-50s  %s\n", folder, t->files[i].path, t->files[i].what);
    when_text(s->now + s->crl_days * 86400, until);
    printf("\nNext:\n"
           "  Copy %s/gateway/ to /etc/cmg of the gateway, each of %s/connection-points/ to that\n"
           "  of its connection point; set the url of the management point there.\n"
           "  Keep %s/ca/ off line. Its revocation list runs out %s; before:\n"
           "    cmgctl pki crl --ca=%s/ca/clients-ca.pem --ca-key=%s/ca/clients-ca.key \\\n"
           "        --crl=%s/gateway/clients-ca.crl\n"
           "  Make a token: cmgctl token new --bulk --site=%s/site\n",
           folder, folder, folder, until, folder, folder, folder, folder);
}

static enum ctl_exit run(const struct ctl_args *a)
{
    struct cmg_err err;
    struct pki_tree tree = { 0 };
    struct pki_site s = { .service = ctl_text(a, "service"),
                          .site = ctl_text(a, "site"),
                          .management_point = ctl_text(a, "management-point"),
                          .nclients = (size_t)ctl_number(a, "clients"),
                          .days = ctl_number(a, "days"),
                          .crl_days = ctl_number(a, "crl-days"),
                          .now = cmg_clock_unix() };
    enum ctl_exit status = points_of(a, &s);
    if (status != CTL_OK)
        return status;
    cmg_guid(s.hierarchy);
    pki_site_make(&s, &tree);
    if (pki_tree_write(&tree, ctl_operand(a, 0), &err) != CMG_OK)
        status = ctl_failed(&err);
    else if (ctl_has(a, "json"))
        print_json(&s, &tree);
    else
        print_text(&s, &tree, ctl_operand(a, 0));
    pki_tree_clear(&tree);
    return status;
}

static const struct ctl_option options[] = {
    { .name = "service",
      .value = "NAME",
      .def = "localhost",
      .check = check_name,
      .doc = "Service name of the gateway: what clients and connection points call it." },
    { .name = "connection-point",
      .value = "NAME",
      .def = "cp1",
      .many = true,
      .check = check_name,
      .doc = "Name of a connection point, for its certificate." },
    { .name = "site",
      .value = "CODE",
      .def = "PS1",
      .check = cmg_check_site,
      .doc = "Code of the site." },
    { .name = "management-point",
      .value = "URL",
      .def = "https://mp1.corp.example.com",
      .check = cmg_check_url,
      .doc = "The management point, for the connection points' configuration." },
    { .name = "clients",
      .value = "N",
      .def = "1",
      .min = 0,
      .max = PKI_CLIENTS_MAX,
      .doc = "How many sample client certificates to make." },
    { .name = "days",
      .value = "N",
      .def = "365",
      .min = 1,
      .max = 3650,
      .doc = "How long certificates are valid; the authorities' ten years." },
    { .name = "crl-days",
      .value = "N",
      .def = "30",
      .min = 1,
      .max = 3650,
      .doc = "How long the revocation list of clients is valid." },
    { .name = "json", .doc = "Print what was made as JSON." },
    { 0 },
};

const struct ctl_command ctl_pki_init = {
    .noun = "pki",
    .verb = "init",
    .operands = "DIR",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "Make all keys, certificates and configurations of a first site or a lab.",
    .doc = "DIR gets a folder for each machine: gateway, connection-points/NAME, site (signs "
           "tokens), clients (samples), and ca, whose keys belong off line. No file is ever "
           "overwritten. A company that has its own authorities uses those; then only the key "
           "that signs tokens is of interest.",
    .options = options,
    .run = run,
};
