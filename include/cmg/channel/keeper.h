/* SPDX-License-Identifier: MIT */
/* Keeps one channel to one gateway instance alive for as long as it exists: dials, falls
 * back, waits, probes for the better road beside a live channel, drains.
 * plan.c decides which road and when; the keeper carries it out.
 */
#ifndef CMG_CHANNEL_KEEPER_H
#define CMG_CHANNEL_KEEPER_H

#include "cmg/channel/channel.h"
#include "cmg/channel/plan.h"

struct cmg_dialer;
struct cmg_keeper;
struct cmg_proxy;
struct cmg_tls;

/* Borrowed with all that it points at, until cmg_keeper_free or cmg_keeper_reconf. */
struct cmg_keeper_conf {
    const char *label; /* of the gateway in the configuration; names it in events        */
    struct cmg_plan_conf plan;
    const char *service;           /* verified in the gateway's certificate               */
    const char *address;           /* dialed instead; NULL: the service name              */
    const struct cmg_proxy *proxy; /* for the HTTPS road only; NULL: none                 */
    unsigned connect_ms;           /* one attempt, all steps up to the stream             */
    int64_t drain_ms;              /* what a channel that was replaced gets to finish     */
    struct cmg_channel_conf channel;
    const char *upgrade_fields; /* more complete lines for the upgrade request, such as a
                                 * bearer token; NULL: none                               */
};

struct cmg_keeper_events {
    /* A request on one of the keeper's channels; as in struct cmg_channel_events. */
    void (*on_exchange)(void *arg, struct cmg_channel *c, struct cmg_exchange *x,
                        const struct cmg_head *head);
    /* The state or the channel changed; ask cmg_keeper_status. May be NULL. Not a place to
     * free the keeper. */
    void (*on_change)(void *arg, struct cmg_keeper *k);
};

/* `tcp_tls` (ALPN rh2, h2) and `https` (ALPN http/1.1), neither NULL, are kept by reference.
 * `dialer`, `ev` and `arg` are borrowed until cmg_keeper_free, `set` until that or
 * cmg_keeper_publish. Dials from the loop, never from inside this call. */
struct cmg_keeper *cmg_keeper_new(struct cmg_loop *l, struct cmg_dialer *dialer,
                                  const struct cmg_keeper_conf *conf, struct cmg_tls *tcp_tls,
                                  struct cmg_tls *https, const struct cmg_endpoint_set *set,
                                  const struct cmg_keeper_events *ev, void *arg);

/* Other values, in force from the next attempt on; the live channel stays. The gateway, the
 * instance and the connection point's name must be the same ones: another one is another
 * keeper. */
void cmg_keeper_reconf(struct cmg_keeper *k, const struct cmg_keeper_conf *conf);

/* Other certificates or roots, in force from the next attempt on. */
void cmg_keeper_retls(struct cmg_keeper *k, struct cmg_tls *tcp_tls, struct cmg_tls *https);

/* Other endpoints, told to the gateway at once. */
void cmg_keeper_publish(struct cmg_keeper *k, const struct cmg_endpoint_set *set);

/* Stops for good: no more dialing; channels drain and are gone after at most `grace_ms`. Then
 * on_done(arg), once, from the loop: the keeper may be freed in it. A second call does
 * nothing. */
void cmg_keeper_drain(struct cmg_keeper *k, int64_t grace_ms, void (*on_done)(void *arg),
                      void *arg);

/* Cuts whatever is left; nobody hears of it but the listeners of exchanges. Not from inside a
 * callback of the keeper other than on_done. NULL is ignored. */
void cmg_keeper_free(struct cmg_keeper *k);

/* Why another channel was needed: where the attempt before failed, or what became of the channel
 * before. */
enum cmg_keeper_cause {
    CMG_CAUSE_SETUP, /* the first six are enum cmg_dial_step */
    CMG_CAUSE_RESOLVE,
    CMG_CAUSE_CONNECT,
    CMG_CAUSE_PROXY,
    CMG_CAUSE_TLS,
    CMG_CAUSE_UPGRADE,
    CMG_CAUSE_GREETING,
    CMG_CAUSE_LOST,           /* an open one broke                                     */
    CMG_CAUSE_GATEWAY_DRAINS, /* the gateway took its leave                            */
    CMG_CAUSE_MOVED_UP,       /* TCP-TLS opened beside HTTPS                           */
    CMG_CAUSE_CONFIGURATION,  /* its road is not allowed any more                      */
    CMG_KEEPER_CAUSES
};
extern const char *const cmg_keeper_cause_names[]; /* "setup", ... "gateway-drains" ... */

/* Times are those of cmg_loop_now_ms. Strings are good until the loop runs on. */
struct cmg_keeper_status {
    const char *label;
    unsigned instance, instances; /* from 1, as configured                               */
    const char *state;            /* "waiting", "dialing", "greeting", "open", "draining",
                                   * "stopped"                                           */
    int64_t since_ms;             /* in that state                                       */
    bool open;
    bool tried; /* a channel has opened, or every road has failed once: nothing more is to be
                 * expected soon                                                         */
    enum cmg_road road; /* of the channel, or of the next attempt                         */
    uint16_t port;
    int64_t next_ms;   /* waiting: when the next attempt starts; else -1                 */
    unsigned failures; /* attempts since the last open channel                          */
    bool probing;      /* an attempt on TCP-TLS is under way beside the live channel      */
    unsigned draining; /* channels beside, finishing their requests                     */
    uint64_t opened;   /* channels opened since the start                               */
    int64_t opened_ms; /* when the live channel opened; -1: none is open                */
    const struct cmg_channel_info *channel; /* of the live channel; NULL: none is open    */
    struct {                                /* the last failure or loss                   */
        int64_t when_ms;                    /* -1: never                                  */
        enum cmg_road road;
        const char *step; /* "resolve", "connect", "proxy", "tls", "upgrade", "greeting",
                           * "open" (an open channel was lost)                           */
        bool refused;
        struct cmg_err why;
    } error;
    uint64_t reconnects[CMG_KEEPER_CAUSES]; /* since the start                            */
    size_t buffered; /* bytes that its channels hold, those that finish beside included   */
};
void cmg_keeper_status(const struct cmg_keeper *k, struct cmg_keeper_status *out);

#endif
