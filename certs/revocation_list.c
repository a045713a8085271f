// revocation_list.c: what a revocation list tells of.  See revocation_list.h.
#include "certs/revocation_list.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

bool revocation_list_is_delta(const struct X509_crl_st *list)
{
	return X509_CRL_get_ext_by_NID(list, NID_delta_crl, -1) >= 0;
}

// As they are written; newer versions of BoringSSL compare them no more.
static bool is_same_name(GENERAL_NAME *one, GENERAL_NAME *other)
{
	uint8_t *a = NULL, *b = NULL;
	int len = i2d_GENERAL_NAME(one, &a);
	bool is_same =
	    len > 0 && i2d_GENERAL_NAME(other, &b) == len && memcmp(a, b, (size_t)len) == 0;
	OPENSSL_free(a);
	OPENSSL_free(b);
	return is_same;
}

static bool share_a_name(const GENERAL_NAMES *some, const GENERAL_NAMES *others)
{
	for (size_t i = 0; i < sk_GENERAL_NAME_num(some); i++)
		for (size_t j = 0; j < sk_GENERAL_NAME_num(others); j++)
			if (is_same_name(
			        sk_GENERAL_NAME_value(some, i), sk_GENERAL_NAME_value(others, j)))
				return true;
	return false;
}

// Nobody is known to write places as names relative to the authority's.
enum { FULL_NAME = 0 };

static bool is_same_place(const DIST_POINT_NAME *place, const DIST_POINT_NAME *other)
{
	return !place || place->type != FULL_NAME || other->type != FULL_NAME ||
	       share_a_name(place->name.fullname, other->name.fullname);
}

// Whether the certificate says that its list is to be had there.
static bool names_place(const X509 *certificate, const DIST_POINT_NAME *place)
{
	CRL_DIST_POINTS *points =
	    X509_get_ext_d2i(certificate, NID_crl_distribution_points, NULL, NULL);
	bool found = false;
	for (size_t i = 0; i < sk_DIST_POINT_num(points) && !found; i++)
		found = is_same_place(sk_DIST_POINT_value(points, i)->distpoint, place);
	CRL_DIST_POINTS_free(points);
	return found;
}

static bool is_in_scope(const ISSUING_DIST_POINT *scope, const X509 *authority)
{
	if (scope->onlyattr || scope->indirectCRL || scope->onlysomereasons)
		return false;
	if (!authority)
		return !scope->onlyCA;
	return !scope->onlyuser && (!scope->distpoint || names_place(authority, scope->distpoint));
}

bool revocation_list_tells_of(const struct X509_crl_st *list, const struct x509_st *authority)
{
	ISSUING_DIST_POINT *scope =
	    X509_CRL_get_ext_d2i(list, NID_issuing_distribution_point, NULL, NULL);
	bool tells = !scope || is_in_scope(scope, authority);
	ISSUING_DIST_POINT_free(scope);
	ERR_clear_error();
	return tells;
}
