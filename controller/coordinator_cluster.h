// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"

namespace bramble::controller {

struct ClusterInit {
  std::string setup_code;
  std::string name;  // for the cluster; empty: as configured
};

// The cluster as a whole, and who may use it.
class ClusterService {
 public:
  virtual ~ClusterService() = default;

  virtual absl::StatusOr<Rendered> Get(const Principal& who) = 0;

  // The one-time set-up code; empty once the cluster was initialised or the code ran out.
  virtual std::string SetupCode() const = 0;
  // Spends the set-up code.  Written.object: {"user": "admin", "token": "brmu1.…"}.
  // kPermissionDenied: wrong, run out (30 min) or tried too often; kFailedPrecondition: was done.
  virtual void Init(ClusterInit request, WriteDone done) = 0;

  // After a restore or a roll-back: deletes and moves happen again.
  virtual void LeaveAdoption(const Principal& who, WriteOptions options, WriteDone done) = 0;
  // Lets the mass-loss breaker go: what is lost may be placed elsewhere.
  virtual void AllowMoves(const Principal& who, WriteOptions options, WriteDone done) = 0;

  virtual absl::StatusOr<Rendered> ListUsers(const Principal& who, const ListQuery& query) = 0;

  struct ServerCertificateNote {
    std::string sha256;  // of its DER, hex
    std::string why;     // it was made in place of another
  };
  // Another server certificate is shown from now on: the event cluster.certificate_renewed.
  virtual void NoteCertificate(ServerCertificateNote note) = 0;

  // Now, never below the highest ever given out: what nodes take as time.
  virtual int64_t SignedTimeMs() = 0;
};

}  // namespace bramble::controller
