// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_cluster.h"
#include "controller/listing.h"
#include "controller/node_health.h"
#include "controller/signed_clock.h"

namespace bramble::controller {

class LedgerCluster : public ClusterService {
 public:
  struct Settings {
    std::string certificate_sha256;
    std::chrono::milliseconds setup_code_valid;
  };
  LedgerCluster(Ledger& ledger, NodeHealth& health, SignedClock& signed_clock, Settings settings);

  // Makes the set-up code of a cluster that is not initialised.
  void Start();

  absl::StatusOr<Rendered> Get(const Principal& who) override;
  std::string SetupCode() const override;
  void Init(ClusterInit request, WriteDone done) override;
  void LeaveAdoption(const Principal& who, WriteOptions options, WriteDone done) override;
  void AllowMoves(const Principal& who, WriteOptions options, WriteDone done) override;
  absl::StatusOr<Rendered> ListUsers(const Principal& who, const ListQuery& query) override;
  void NoteCertificate(ServerCertificateNote note) override;
  int64_t SignedTimeMs() override { return signed_clock_.Now(); }

  absl::StatusOr<Principal> Authenticate(std::string_view bearer) const;

 private:
  absl::Status CheckSetupCode(const std::string& code);
  api::Cluster Describe() const;

  Ledger& ledger_;
  NodeHealth& health_;
  SignedClock& signed_clock_;
  Settings settings_;
  std::string setup_code_;
  BootTime setup_ends_{};
  int attempts_left_ = 0;
  // The bearer token that was shown last, and its hash: one request asks more than once.
  mutable std::string bearer_;
  mutable std::string bearer_hash_;
};

}  // namespace bramble::controller
