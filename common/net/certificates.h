#ifndef RECKON_COMMON_NET_CERTIFICATES_H_
#define RECKON_COMMON_NET_CERTIFICATES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace reckon {

// X.509 certificates on elliptic curve P-256, as PEM text. The only files that use OpenSSL's
// certificates are this one's and its tests.

// Large enough for a chain or a bundle of authorities.
inline constexpr size_t kMaxPemBytes = 1 << 20;

struct CertifiedKey {
  std::string certificate;
  std::string key;  // private, PKCS #8, not encrypted
};

struct Validity {
  absl::Time begin, end;
};
// From five minutes ago, for clocks that differ, to `days` from now.
Validity ValidForDays(int days);

// Makes a certificate authority with a key of its own. `name` is for humans.
absl::StatusOr<CertifiedKey> MakeAuthority(absl::string_view name, Validity validity);
// Makes a certificate, valid for clients and for servers, whose only name is `uri`.
// INVALID_ARGUMENT: `authority` is no authority's certificate and key.
absl::StatusOr<CertifiedKey> MakeCertificate(const CertifiedKey& authority, absl::string_view uri,
                                             Validity validity);

// The URI of the first certificate of `pem`. INVALID_ARGUMENT: it is no certificate, or it has not
// exactly one URI.
absl::StatusOr<std::string> CertificateUri(absl::string_view pem);
// When the first certificate of `pem` is valid.
absl::StatusOr<Validity> CertificateValidity(absl::string_view pem);
// Whether a process can show `own` to peers that trust the certificates in `authorities`.
// INVALID_ARGUMENT says what is wrong: the key is another's, no authority has signed the
// certificate, or `now` is outside of its validity.
absl::Status CheckCertifiedKey(const CertifiedKey& own, absl::string_view authorities,
                               absl::Time now);

// 256 random bits as hexadecimal digits.
absl::StatusOr<std::string> MakeToken();
// Takes the same time for every text of the length of `secret`.
bool EqualInConstantTime(absl::string_view text, absl::string_view secret);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_CERTIFICATES_H_
