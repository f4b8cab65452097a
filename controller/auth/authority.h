// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/certificate.h"
#include "base/clock.h"
#include "controller/seams.h"
#include "controller/store/paths.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// The cluster's certificate authority: one P-256 key below the state directory, made at the first
// start.  It signs the server's certificate and the nodes', and nothing else.
class Authority : public CertificateIssuer {
 public:
  // Reads CA and server key, and makes what is missing.  Blocks.  kFailedPrecondition: the CA's
  // certificate is not its key's.  `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<Authority>> Open(const StatePaths& paths,
                                                         const Clock& clock);

  absl::StatusOr<std::string> KeyOf(const std::string& csr_pem) override;
  absl::StatusOr<Issued> IssueNode(const std::string& csr_pem, const ClusterId& cluster,
                                   const NodeId& node) override;
  std::string CaPem() const override { return ca_.certificate.Pem(); }
  std::string ServerKeySha256() const override { return std::string(server_key_.Spki().view()); }

  // With the server's key, which every node has pinned.
  std::string Sign(std::string_view message) const { return server_key_.Sign(message); }

  const Issuer& ca() const { return ca_; }

 private:
  Authority(Issuer ca, PrivateKey server_key, const Clock& clock)
      : ca_(std::move(ca)), server_key_(std::move(server_key)), clock_(clock) {}

  const Issuer ca_;
  const PrivateKey server_key_;
  const Clock& clock_;
};

}  // namespace bramble::controller
