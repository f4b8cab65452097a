// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/certificate.h"
#include "base/ids.h"
#include "base/ip.h"
#include "base/tls.h"

#include "absl/status/statusor.h"

namespace bramble::node {

inline constexpr uint16_t kControllerPort = 8444;

// What this node is to its neighbours, and how it knows what the controller signed for them.
struct PeerIdentity {
  NodeId node;
  Certificate certificate;
  PrivateKey key;
  Certificate ca;            // of the cluster
  PublicKey controller_key;  // the pinned one
};

// Where the controller is and how it is dialled with the node's certificate: set by the uplink,
// used for streams and archives.  Loop only.
class ControllerAccess {
 public:
  struct Dial {
    HostPort target;
    std::shared_ptr<TlsClientContext> tls;
  };

  // kUnavailable: no session with a controller.
  absl::StatusOr<Dial> Get() const {
    if (!connected_) {
      return absl::UnavailableError("no controller is connected");
    }
    return dial_;
  }
  void Set(Dial dial) {
    dial_ = std::move(dial);
    connected_ = true;
  }
  void Clear() { connected_ = false; }

 private:
  Dial dial_;
  bool connected_ = false;
};

}  // namespace bramble::node
