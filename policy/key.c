// key.c: SipHash, and what of a client goes into it.  See key.h.
#include "policy/key.h"

enum { IPV6_NET = 64 / 8, IPV6_SITE = 48 / 8 }; // bytes

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void sip_rounds(uint64_t v[4], unsigned rounds)
{
	while (rounds--) {
		v[0] += v[1], v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1], v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

// SipHash-2-4.  `tweak` changes the key, which keeps kinds and parts apart.
static uint64_t sip_hash(const struct key_secret *secret, uint64_t tweak, struct str s)
{
	uint64_t k0 = secret->at[0] ^ tweak, k1 = secret->at[1];
	uint64_t v[] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
	    k1 ^ 0x7465646279746573};
	uint64_t last = (uint64_t)s.len << 56;
	for (bool more = true; more; s = str_drop(s, 8)) {
		uint64_t block = 0;
		for (size_t i = 0; i < 8 && i < s.len; i++)
			block |= (uint64_t)(unsigned char)s.at[i] << 8 * i;
		more = s.len >= 8;
		block |= more ? 0 : last;
		v[3] ^= block;
		sip_rounds(v, 2);
		v[0] ^= block;
	}
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t key_of(const struct key_secret *secret, uint64_t kind, struct str first, struct str second)
{
	return sip_hash(secret, sip_hash(secret, kind, first), second) | 1;
}

uint64_t key_further(
    const struct key_secret *secret, uint64_t kind, uint64_t key, struct str second)
{
	return key_of(secret, kind, (struct str){(const char *)&key, sizeof(key)}, second);
}

static struct str network(const struct addr *ip, size_t ipv6_len)
{
	if (ip->any.sa_family == AF_INET6)
		return (struct str){(const char *)&ip->v6.sin6_addr, ipv6_len};
	return (struct str){(const char *)&ip->v4.sin_addr, sizeof(ip->v4.sin_addr)};
}

struct str key_ip(const struct addr *ip)
{
	return network(ip, IPV6_NET);
}

struct str key_site(const struct addr *ip)
{
	return network(ip, IPV6_SITE);
}

// Most stores take "Anna" and "anna " for "anna", and who varies them would
// begin anew without end.
struct str key_user(struct str user, char room[KEY_USER_MAX])
{
	user = str_take(str_trim(user), KEY_USER_MAX);
	for (size_t i = 0; i < user.len; i++)
		room[i] =
		    user.at[i] >= 'A' && user.at[i] <= 'Z' ? (char)(user.at[i] | 0x20) : user.at[i];
	return (struct str){room, user.len};
}
