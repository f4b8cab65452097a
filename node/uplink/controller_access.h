// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/ip.h"
#include "base/tls.h"

#include "absl/status/statusor.h"

namespace bramble::node {

inline constexpr uint16_t kControllerPort = 8444;

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
