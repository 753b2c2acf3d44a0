#include "common/net/certificates.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

// The numbers of X.509: version 3, and a serial number of 159 bits that is not negative.
constexpr int kVersion3 = 2;
constexpr int kSerialBytes = 20;

// OpenSSL's last error. It never contains a key: its messages are names of functions and reasons.
absl::Status OpenSslError(absl::string_view what) {
  char text[256] = "no reason given";
  if (const unsigned long error = ERR_get_error(); error != 0) {
    ERR_error_string_n(error, text, sizeof(text));
  }
  ERR_clear_error();
  return absl::InternalError(absl::StrCat(what, ": ", text));
}

BioPtr Reader(absl::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, size);
}

// Answers for a password without asking the terminal for one: an encrypted key is refused.
int NoPassword(char*, int, int, void*) { return -1; }

absl::StatusOr<KeyPtr> ParseKey(absl::string_view pem) {
  KeyPtr key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError("it holds no private key in PEM, or an encrypted one");
  }
  return key;
}

absl::StatusOr<std::vector<X509Ptr>> ParseCertificates(absl::string_view pem) {
  if (pem.size() > kMaxPemBytes) return absl::InvalidArgumentError("it is larger than 1 MiB");
  const BioPtr bio = Reader(pem);
  std::vector<X509Ptr> certificates;
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) {
    certificates.emplace_back(one);
  }
  ERR_clear_error();  // the end of the text is an error to OpenSSL
  if (certificates.empty()) return absl::InvalidArgumentError("it holds no certificate in PEM");
  return certificates;
}

absl::StatusOr<CertifiedKey> ToPem(X509* certificate, EVP_PKEY* key) {
  const BioPtr first(BIO_new(BIO_s_mem())), second(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(first.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return OpenSslError("cannot write a certificate");
  }
  return CertifiedKey{Text(first.get()), Text(second.get())};
}

bool AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// A certificate for `key` without issuer, extensions and signature.
absl::StatusOr<X509Ptr> NewCertificate(EVP_PKEY* key, absl::string_view name, Validity validity) {
  X509Ptr certificate(X509_new());
  uint8_t serial[kSerialBytes];
  if (RAND_bytes(serial, sizeof(serial)) != 1) return OpenSslError("no random numbers");
  serial[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial, sizeof(serial), nullptr));
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  // A common name has at most 64 bytes.
  const std::string common(name.substr(0, 64));
  const bool sound =
      X509_set_version(certificate.get(), kVersion3) == 1 &&
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get())) != nullptr &&
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(validity.begin)) !=
          nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(validity.end)) !=
          nullptr &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const uint8_t*>(common.data()),
                                 static_cast<int>(common.size()), -1, 0) == 1 &&
      X509_set_pubkey(certificate.get(), key) == 1;
  if (!sound) return OpenSslError("cannot make a certificate");
  return certificate;
}

absl::StatusOr<KeyPtr> NewKey() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return OpenSslError("cannot make a key");
  return key;
}

absl::StatusOr<absl::Time> ToTime(const ASN1_TIME* time) {
  tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return OpenSslError("a certificate's time");
  return absl::FromTM(parts, absl::UTCTimeZone());
}

absl::StatusOr<Validity> ValidityOf(const X509* certificate) {
  Validity validity;
  ASSIGN_OR_RETURN(validity.begin, ToTime(X509_get0_notBefore(certificate)));
  ASSIGN_OR_RETURN(validity.end, ToTime(X509_get0_notAfter(certificate)));
  return validity;
}

}  // namespace

Validity ValidForDays(int days) {
  const absl::Time now = absl::Now();
  return {now - absl::Minutes(5), now + days * absl::Hours(24)};
}

absl::StatusOr<CertifiedKey> MakeAuthority(absl::string_view name, Validity validity) {
  ASSIGN_OR_RETURN(const KeyPtr key, NewKey());
  ASSIGN_OR_RETURN(const X509Ptr certificate, NewCertificate(key.get(), name, validity));
  X509* self = certificate.get();
  const bool sound =
      X509_set_issuer_name(self, X509_get_subject_name(self)) == 1 &&
      AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign") &&
      AddExtension(self, self, NID_subject_key_identifier, "hash") &&
      X509_sign(self, key.get(), EVP_sha256()) > 0;
  if (!sound) return OpenSslError("cannot make a certificate authority");
  return ToPem(self, key.get());
}

absl::StatusOr<CertifiedKey> MakeCertificate(const CertifiedKey& authority, absl::string_view uri,
                                             Validity validity) {
  ASSIGN_OR_RETURN(const std::vector<X509Ptr> issuers, ParseCertificates(authority.certificate));
  ASSIGN_OR_RETURN(const KeyPtr issuer_key, ParseKey(authority.key));
  X509* issuer = issuers.front().get();
  if (X509_check_ca(issuer) != 1 || X509_check_private_key(issuer, issuer_key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("this is no authority's certificate and key");
  }
  ASSIGN_OR_RETURN(const KeyPtr key, NewKey());
  const absl::string_view role = uri.substr(uri.rfind('/') + 1);
  ASSIGN_OR_RETURN(const X509Ptr certificate, NewCertificate(key.get(), role, validity));
  X509* self = certificate.get();
  const bool sound =
      X509_set_issuer_name(self, X509_get_subject_name(issuer)) == 1 &&
      AddExtension(self, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
      AddExtension(self, issuer, NID_key_usage, "critical,digitalSignature") &&
      AddExtension(self, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
      AddExtension(self, issuer, NID_subject_key_identifier, "hash") &&
      AddExtension(self, issuer, NID_authority_key_identifier, "keyid:always") &&
      AddExtension(self, issuer, NID_subject_alt_name, absl::StrCat("URI:", uri, ",DNS:", role)) &&
      X509_sign(self, issuer_key.get(), EVP_sha256()) > 0;
  if (!sound) return OpenSslError("cannot make a certificate");
  return ToPem(self, key.get());
}

absl::StatusOr<std::string> CertificateUri(absl::string_view pem) {
  ASSIGN_OR_RETURN(const std::vector<X509Ptr> chain, ParseCertificates(pem));
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(chain.front().get(), NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      ASN1_STRING_length(uri));
  }
  if (uris.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the certificate has ", uris.size(),
                     " URIs among its names; it must have one, spiffe://DOMAIN/.../role/ROLE"));
  }
  return uris.front();
}

absl::StatusOr<Validity> CertificateValidity(absl::string_view pem) {
  ASSIGN_OR_RETURN(const std::vector<X509Ptr> chain, ParseCertificates(pem));
  return ValidityOf(chain.front().get());
}

absl::Status CheckCertifiedKey(const CertifiedKey& own, absl::string_view authorities,
                               absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<X509Ptr> chain, ParseCertificates(own.certificate));
  ASSIGN_OR_RETURN(const std::vector<X509Ptr> trusted, ParseCertificates(authorities));
  ASSIGN_OR_RETURN(const KeyPtr key, ParseKey(own.key));
  X509* certificate = chain.front().get();
  if (X509_check_private_key(certificate, key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the private key does not belong to the certificate");
  }
  ASSIGN_OR_RETURN(const Validity validity, ValidityOf(certificate));
  if (now < validity.begin || now > validity.end) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the certificate ", now < validity.begin ? "is not valid before " : "has expired on ",
        absl::FormatTime("%Y-%m-%d %H:%M", now < validity.begin ? validity.begin : validity.end,
                         absl::UTCTimeZone()),
        " UTC"));
  }
  const StorePtr store(X509_STORE_new());
  for (const X509Ptr& one : trusted) X509_STORE_add_cert(store.get(), one.get());
  STACK_OF(X509)* between = sk_X509_new_null();
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(between, chain[i].get());
  const StoreContextPtr context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), certificate, between);
  X509_STORE_CTX_set_time(context.get(), 0, absl::ToTimeT(now));
  const bool trusts = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  sk_X509_free(between);
  ERR_clear_error();
  if (trusts) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("no authority of ca.crt vouches for it: ",
                                                 X509_verify_cert_error_string(error)));
}

absl::StatusOr<std::string> MakeToken() {
  char bytes[32];
  if (RAND_bytes(reinterpret_cast<uint8_t*>(bytes), sizeof(bytes)) != 1) {
    return OpenSslError("no random numbers");
  }
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

bool EqualInConstantTime(absl::string_view text, absl::string_view secret) {
  return text.size() == secret.size() &&
         CRYPTO_memcmp(text.data(), secret.data(), secret.size()) == 0;
}

}  // namespace reckon
