// SPDX-License-Identifier: Apache-2.0
#include "controller/auth/authority.h"

#include "base/file.h"
#include "base/status.h"
#include "controller/auth/node_identity.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxCertificateBytes = 64 * 1024;
constexpr std::chrono::hours kCaValid{24 * 365 * 30};
constexpr std::chrono::hours kNodeValid{24 * 365};
// A node without a clock comes up with the date of its image: well back.
constexpr std::chrono::hours kBackdated{24 * 365};
constexpr std::string_view kUriStart = "urn:bramble:";
constexpr std::string_view kUriNode = ":node:";

absl::StatusOr<Certificate> LoadOrMakeCa(const StatePaths& paths, const PrivateKey& key,
                                         WallTime now) {
  const absl::StatusOr<std::string> pem = ReadFile(paths.CaCertificate(), kMaxCertificateBytes);
  if (pem.ok()) {
    BRAMBLE_ASSIGN_OR_RETURN(Certificate ca, Certificate::FromPem(*pem));
    if (ca.Spki() != key.Spki()) {
      return absl::FailedPreconditionError(StrCat(
          paths.CaCertificate().string(), ": belongs to another key than ", paths.CaKey().string(),
          "; put back the one that belongs to it, or both from a "
          "backup"));
    }
    return ca;
  }
  if (!absl::IsNotFound(pem.status())) {
    return pem.status();
  }
  BRAMBLE_ASSIGN_OR_RETURN(Certificate ca, MakeCaCertificate(key, "Bramble cluster CA",
                                                             {.not_before = now - kBackdated,
                                                              .not_after = now + kCaValid}));
  BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(paths.CaCertificate(), ca.Pem(), 0644));
  return ca;
}

}  // namespace

std::string NodeUri(const ClusterId& cluster, const NodeId& node) {
  return StrCat(kUriStart, cluster.str(), kUriNode, node.str());
}

NodeId NodeIdOf(const Certificate& certificate) {
  for (const std::string& uri : certificate.Uris()) {
    const size_t at = uri.find(kUriNode);
    if (uri.starts_with(kUriStart) && at != std::string::npos) {
      return NodeId::Parse(std::string_view(uri).substr(at + kUriNode.size())).value_or(NodeId());
    }
  }
  return NodeId();
}

absl::StatusOr<std::unique_ptr<Authority>> Authority::Open(const StatePaths& paths,
                                                           const Clock& clock) {
  Issuer ca;
  BRAMBLE_ASSIGN_OR_RETURN(ca.key, PrivateKey::LoadOrCreate(paths.CaKey()));
  BRAMBLE_ASSIGN_OR_RETURN(ca.certificate, LoadOrMakeCa(paths, ca.key, clock.Wall()));
  BRAMBLE_ASSIGN_OR_RETURN(PrivateKey server_key, PrivateKey::LoadOrCreate(paths.ServerKey()));
  return std::unique_ptr<Authority>(new Authority(std::move(ca), std::move(server_key), clock));
}

absl::StatusOr<std::string> Authority::KeyOf(const std::string& csr_pem) {
  BRAMBLE_ASSIGN_OR_RETURN(const CertificateRequest request, ParseCertificateRequest(csr_pem));
  return request.key.Spki().Hex();
}

absl::StatusOr<CertificateIssuer::Issued> Authority::IssueNode(const std::string& csr_pem,
                                                               const ClusterId& cluster,
                                                               const NodeId& node) {
  BRAMBLE_ASSIGN_OR_RETURN(const CertificateRequest request, ParseCertificateRequest(csr_pem));
  const WallTime now = clock_.Wall();
  // The names are ours: nothing of what the request asks for is taken over but the key.  A node is
  // also a server, of blobs for its neighbours.
  BRAMBLE_ASSIGN_OR_RETURN(
      const Certificate certificate,
      IssueCertificate(ca_, request.key,
                       {.common_name = node.str(), .uris = {NodeUri(cluster, node)}},
                       {.not_before = now - kBackdated, .not_after = now + kNodeValid},
                       CertificateUse::kServerAndClient));
  return Issued{.certificate_pem = certificate.Pem(), .key_sha256 = request.key.Spki().Hex()};
}

}  // namespace bramble::controller
