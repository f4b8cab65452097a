// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>

#include "base/certificate.h"
#include "base/check.h"
#include "base/openssl_handles.h"
#include "base/random.h"
#include "base/status.h"

namespace bramble {
namespace {

constexpr size_t kMaxNames = 64;

absl::Status Failed(std::string_view what) {
  return absl::InternalError(StrCat(what, ": ", TakeOpensslError()));
}

// GeneralNames from a certificate request come from outside: nothing that could end a name early.
absl::Status CheckText(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x21 || static_cast<unsigned char>(c) > 0x7e) {
      return absl::InvalidArgumentError("a name in a certificate is printable ASCII");
    }
  }
  return text.empty() || text.size() > 255
             ? absl::InvalidArgumentError("a name in a certificate has 1 to 255 bytes")
             : absl::OkStatus();
}

absl::Status AddName(GENERAL_NAMES* names, int type, std::string_view bytes) {
  ASN1_STRING* text =
      ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
  GENERAL_NAME* name = GENERAL_NAME_new();
  if (text == nullptr || name == nullptr ||
      ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size())) != 1) {
    ASN1_STRING_free(text);
    GENERAL_NAME_free(name);
    return Failed("subjectAltName");
  }
  GENERAL_NAME_set0_value(name, type, text);
  sk_GENERAL_NAME_push(names, name);
  return absl::OkStatus();
}

absl::StatusOr<GeneralNamesPtr> NamesOf(const CertificateSubject& subject) {
  GeneralNamesPtr names(GENERAL_NAMES_new());
  for (const std::string& dns : subject.dns_names) {
    BRAMBLE_RETURN_IF_ERROR(CheckText(dns));
    BRAMBLE_RETURN_IF_ERROR(AddName(names.get(), GEN_DNS, dns));
  }
  for (const std::string& uri : subject.uris) {
    BRAMBLE_RETURN_IF_ERROR(CheckText(uri));
    BRAMBLE_RETURN_IF_ERROR(AddName(names.get(), GEN_URI, uri));
  }
  for (const std::string& address : subject.ip_addresses) {
    char bytes[16];
    size_t size = 0;
    if (::inet_pton(AF_INET, address.c_str(), bytes) == 1) {
      size = 4;
    } else if (::inet_pton(AF_INET6, address.c_str(), bytes) == 1) {
      size = 16;
    } else {
      return absl::InvalidArgumentError(StrCat("\"", address, "\" is not an IP address"));
    }
    BRAMBLE_RETURN_IF_ERROR(AddName(names.get(), GEN_IPADD, std::string_view(bytes, size)));
  }
  return names;
}

absl::Status SetCommonName(X509_NAME* name, std::string_view text) {
  if (text.empty() || text.size() > 64) {
    return absl::InvalidArgumentError("a certificate's common name has 1 to 64 bytes");
  }
  if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size()), -1, 0) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("a certificate's common name is UTF-8");
  }
  return absl::OkStatus();
}

absl::Status AddExtension(X509* x509, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  X509ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  if (extension == nullptr || X509_add_ext(x509, extension.get(), -1) != 1) {
    return Failed("certificate extension");
  }
  return absl::OkStatus();
}

// A certificate without extensions and signature.
absl::StatusOr<X509Ptr> Unsigned(const PublicKey& key, std::string_view common_name,
                                 CertificateDates dates) {
  X509Ptr x509(X509_new());
  X509_set_version(x509.get(), X509_VERSION_3);
  SystemRandom random;
  std::string serial = random.Bytes(16);
  serial[0] = static_cast<char>((serial[0] & 0x7f) | 0x40);  // positive and always 16 bytes
  BignumPtr number(BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509.get()));
  // In days and seconds from 1970: the time_t of armhf ends in 2038.
  const auto set = [](ASN1_TIME* field, WallTime time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const auto rest = std::chrono::floor<std::chrono::seconds>(time - day);
    return ASN1_TIME_adj(field, 0, static_cast<int>(day.time_since_epoch().count()),
                         static_cast<long>(rest.count())) != nullptr;
  };
  if (!set(X509_getm_notBefore(x509.get()), dates.not_before) ||
      !set(X509_getm_notAfter(x509.get()), dates.not_after)) {
    return Failed("certificate dates");
  }
  if (X509_set_pubkey(x509.get(), key.native()) != 1) {
    return Failed("certificate key");
  }
  BRAMBLE_RETURN_IF_ERROR(SetCommonName(X509_get_subject_name(x509.get()), common_name));
  return x509;
}

absl::StatusOr<Certificate> Signed(X509Ptr x509, const PrivateKey& key) {
  if (X509_sign(x509.get(), key.native(), EVP_sha256()) == 0) {
    return Failed("certificate signature");
  }
  return Certificate(std::shared_ptr<X509>(std::move(x509)));
}

std::vector<std::string>* ListFor(CertificateSubject& subject, int type) {
  switch (type) {
    case GEN_DNS:
      return &subject.dns_names;
    case GEN_URI:
      return &subject.uris;
    case GEN_IPADD:
      return &subject.ip_addresses;
    default:
      return nullptr;
  }
}

absl::Status ReadNames(const GENERAL_NAMES* names, CertificateSubject& subject) {
  if (names != nullptr && static_cast<size_t>(sk_GENERAL_NAME_num(names)) > kMaxNames) {
    return absl::InvalidArgumentError("certificate request: too many names");
  }
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    int type = 0;
    const auto* text = static_cast<const ASN1_STRING*>(
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type));
    std::vector<std::string>* list = ListFor(subject, type);
    if (list == nullptr) {
      return absl::InvalidArgumentError("certificate request: a kind of name we do not issue");
    }
    std::string bytes(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
    if (type == GEN_IPADD) {
      char address[INET6_ADDRSTRLEN];
      if ((bytes.size() != 4 && bytes.size() != 16) ||
          ::inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), address,
                      sizeof(address)) == nullptr) {
        return absl::InvalidArgumentError("certificate request: a bad IP address");
      }
      bytes = address;
    } else {
      BRAMBLE_RETURN_IF_ERROR(Annotate(CheckText(bytes), "certificate request"));
    }
    list->push_back(std::move(bytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Certificate> MakeCaCertificate(const PrivateKey& key, std::string_view common_name,
                                              CertificateDates dates) {
  BRAMBLE_ASSIGN_OR_RETURN(X509Ptr x509, Unsigned(key.Public(), common_name, dates));
  X509_set_issuer_name(x509.get(), X509_get_subject_name(x509.get()));
  X509* self = x509.get();
  BRAMBLE_RETURN_IF_ERROR(
      AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  BRAMBLE_RETURN_IF_ERROR(AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign"));
  BRAMBLE_RETURN_IF_ERROR(AddExtension(self, self, NID_subject_key_identifier, "hash"));
  return Signed(std::move(x509), key);
}

absl::StatusOr<Certificate> IssueCertificate(const Issuer& issuer, const PublicKey& key,
                                             const CertificateSubject& subject,
                                             CertificateDates dates, CertificateUse use) {
  BRAMBLE_ASSIGN_OR_RETURN(X509Ptr x509, Unsigned(key, subject.common_name, dates));
  X509* ca = issuer.certificate.native();
  X509_set_issuer_name(x509.get(), X509_get_subject_name(ca));
  const char* purpose = use == CertificateUse::kServer   ? "serverAuth"
                        : use == CertificateUse::kClient ? "clientAuth"
                                                         : "serverAuth,clientAuth";
  BRAMBLE_RETURN_IF_ERROR(AddExtension(x509.get(), ca, NID_basic_constraints, "critical,CA:FALSE"));
  BRAMBLE_RETURN_IF_ERROR(AddExtension(x509.get(), ca, NID_key_usage, "critical,digitalSignature"));
  BRAMBLE_RETURN_IF_ERROR(AddExtension(x509.get(), ca, NID_ext_key_usage, purpose));
  BRAMBLE_RETURN_IF_ERROR(AddExtension(x509.get(), ca, NID_subject_key_identifier, "hash"));
  BRAMBLE_RETURN_IF_ERROR(AddExtension(x509.get(), ca, NID_authority_key_identifier, "keyid"));
  BRAMBLE_ASSIGN_OR_RETURN(const GeneralNamesPtr names, NamesOf(subject));
  if (sk_GENERAL_NAME_num(names.get()) > 0 &&
      X509_add1_ext_i2d(x509.get(), NID_subject_alt_name, names.get(), 0, 0) != 1) {
    return Failed("subjectAltName");
  }
  return Signed(std::move(x509), issuer.key);
}

absl::StatusOr<std::string> MakeCertificateRequest(const PrivateKey& key,
                                                   const CertificateSubject& subject) {
  X509ReqPtr request(X509_REQ_new());
  X509_REQ_set_version(request.get(), X509_REQ_VERSION_1);
  BRAMBLE_RETURN_IF_ERROR(
      SetCommonName(X509_REQ_get_subject_name(request.get()), subject.common_name));
  BRAMBLE_ASSIGN_OR_RETURN(const GeneralNamesPtr names, NamesOf(subject));
  if (sk_GENERAL_NAME_num(names.get()) > 0) {
    STACK_OF(X509_EXTENSION)* list = nullptr;
    const int added = X509V3_add1_i2d(&list, NID_subject_alt_name, names.get(), 0, 0);
    const ExtensionsPtr extensions(list);
    if (added != 1 || X509_REQ_add_extensions(request.get(), extensions.get()) != 1) {
      return Failed("subjectAltName");
    }
  }
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (X509_REQ_set_pubkey(request.get(), key.native()) != 1 ||
      X509_REQ_sign(request.get(), key.native(), EVP_sha256()) == 0 ||
      PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    return Failed("certificate request");
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

absl::StatusOr<CertificateRequest> ParseCertificateRequest(std::string_view pem) {
  constexpr size_t kMaxPem = 16 * 1024;
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min(pem.size(), kMaxPem))));
  X509ReqPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (request == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError("certificate request: not PKCS #10 in PEM");
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("certificate request: not signed by the key in it");
  }
  CertificateRequest parsed;
  EVP_PKEY_up_ref(key);
  // By way of its encoding, which checks that it is P-256.
  const PublicKey any(std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free));
  absl::StatusOr<PublicKey> checked = PublicKey::FromDer(any.Der());
  if (!checked.ok()) {
    return Annotate(checked.status(), "certificate request");
  }
  parsed.key = *std::move(checked);
  char name[256] = {};
  if (X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request.get()), NID_commonName, name,
                                sizeof(name)) > 0) {
    parsed.subject.common_name = name;
  }
  const ExtensionsPtr extensions(X509_REQ_get_extensions(request.get()));
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  BRAMBLE_RETURN_IF_ERROR(ReadNames(names.get(), parsed.subject));
  return parsed;
}

}  // namespace bramble
