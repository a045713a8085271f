// exchange.h: NTLM as a server: three messages, and every check of them.
//
// Pure: no socket, no clock, no randomness but what is passed in.  Used by the
// mechanism NTLM (proxy/pop3/sasl_ntlm.c) for the messages and by verifiers
// (backends/verify) for the proof.  Numbers of sections are [MS-NLMP]'s.
//
// Two ways to a finished exchange:
//   ours:     begin (type 1), challenge (type 2, which we made), finish (type 3)
//   a store's: relay (type 1), take_challenge (type 2, the store's), finish (type 3)
// Then exactly one of: prove (we have the NT hash), question and confirm (a
// helper judges, the MIC is left to us), or neither (the store judges).
//
// What finish promises, whoever judges: names that are safe to put into a
// command, a helper's request or a log; a response of a kind that the level
// allows, never LM, never anonymous; and of NTLMv2, that the client answers
// this challenge as it was sent (our names and time), came to the service it
// meant (channel binding, service name) and sent a MIC where it says so or must.
// Those last stand inside what the proof covers, so they hold once it does.
//
// Every *why is static and for the log alone; clients get one text for all.
//
// Not here: signing and sealing of what follows (POP3 has no such thing).
#ifndef POPGATE_PROXY_POP3_NTLM_EXCHANGE_H
#define POPGATE_PROXY_POP3_NTLM_EXCHANGE_H

#include "proxy/base/str.h"

// Longest message taken or made, decoded.
enum { NTLM_MESSAGE_MAX = 8 * 1024 };

// The weakest kind of response that is taken.
enum ntlm_level { NTLM_LEVEL_v2, NTLM_LEVEL_ntlm2, NTLM_LEVEL_v1 };

enum ntlm_binding {
	NTLM_BINDING_off,     // not looked at
	NTLM_BINDING_allow,   // right if there is one
	NTLM_BINDING_require, // there, and right
};

// Borrowed until ntlm_exchange_finish has returned; the exchange may outlive it.
struct ntlm_settings {
	struct str domain;       // UTF-8: NetBIOS domain, TargetName and AV pair 2; not empty
	struct str computer;     // UTF-8: AV pair 1; not empty
	struct str dns_domain;   // UTF-8: AV pair 4; empty: left out
	struct str dns_computer; // UTF-8: AV pair 3; empty: left out
	enum ntlm_level level;
	enum ntlm_binding channel_binding;
	bool require_mic;
	struct str binding;         // 16 bytes, ntlm_binding_hash of this connection; empty: none
	const struct str *services; // host names that a client may have meant
	size_t num_services;        // 0: any
	uint64_t filetime;          // now, in units of 100 ns since 1601
	uint8_t challenge[8];       // random, never used before
};

struct ntlm_exchange;

// Takes type 1 (section 2.2.1.1; from 16 bytes) and makes our type 2.  NULL when
// it is malformed or asks for what is not done.  Nothing of `negotiate` is borrowed.
__attribute__((warn_unused_result)) struct ntlm_exchange *ntlm_exchange_begin(
    const struct ntlm_settings *settings, struct str negotiate, const char **why);

// The same for a store's challenge: takes type 1 alone.  Of the settings, names,
// time and challenge are not used.
__attribute__((warn_unused_result)) struct ntlm_exchange *ntlm_exchange_relay(
    const struct ntlm_settings *settings, struct str negotiate, const char **why);

// The domain (or, of some clients, the user) that type 1 names, ASCII; empty when
// it names none.  Nobody has judged it: good for choosing a store, no more.
struct str ntlm_exchange_offered_domain(const struct ntlm_exchange *exchange);

// Takes the store's type 2.  False when it is malformed.
__attribute__((warn_unused_result)) bool ntlm_exchange_take_challenge(
    struct ntlm_exchange *exchange, struct str challenge, const char **why);

// Type 2, ours or the store's byte for byte; valid until the exchange is freed.
struct str ntlm_exchange_challenge(const struct ntlm_exchange *exchange);

// Takes type 3 (section 2.2.1.3; from 52 bytes) and makes every check that needs
// no key.  False: the exchange is good for nothing but being freed.
__attribute__((warn_unused_result)) bool ntlm_exchange_finish(
    struct ntlm_exchange *exchange, struct str authenticate, const char **why);

// Who, as the client wrote it, in UTF-8; valid until the exchange is freed.  After
// finish.  The user is not empty and has no control bytes, ':', '\\' or '/'; '@'
// only as in "user@domain" with an empty domain.  The domain has none of these, and
// may be empty.  The workstation has no control bytes, may be empty, and is a claim.
struct str ntlm_exchange_user(const struct ntlm_exchange *exchange);
struct str ntlm_exchange_domain(const struct ntlm_exchange *exchange);
struct str ntlm_exchange_workstation(const struct ntlm_exchange *exchange);

// Which kind of response it is, and its word for the log: v2, ntlm2, v1.
enum ntlm_level ntlm_exchange_level(const struct ntlm_exchange *exchange);
const char *ntlm_level_name(enum ntlm_level level);

// Whether the client knows the password of this NT hash (section 3.3), and whether
// its MIC holds if it has one (section 3.2.5.1.2).  The domain is hashed as sent,
// upper-cased and empty, since clients do all three.
__attribute__((warn_unused_result)) bool ntlm_exchange_prove(
    const struct ntlm_exchange *exchange, const uint8_t nt_hash[16], const char **why);

// What a helper is asked; slices are valid until the exchange is freed.  The LM
// response is left out: a helper that falls back to it (LMv2, say) would prove
// nothing about the names, binding and MIC beside the other.
struct ntlm_question {
	uint8_t challenge[8]; // of NTLM2 session security: the hash of both challenges
	struct str nt;
	struct str user, domain;
};
struct ntlm_question ntlm_exchange_question(const struct ntlm_exchange *exchange);

// After a helper's yes: whether the MIC holds, by the session base key (section
// 3.3.2; of NTLMv1 and NTLM2 there is no MIC, and the key is not looked at).
__attribute__((warn_unused_result)) bool ntlm_exchange_confirm(
    const struct ntlm_exchange *exchange, const uint8_t session_base_key[16], const char **why);

// Wipes and frees; *exchange may be NULL and is afterwards.
void ntlm_exchange_free(struct ntlm_exchange **exchange);

#endif
