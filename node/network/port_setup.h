// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/asio.h"
#include "base/ip.h"
#include "base/log.h"
#include "node/network/rate_plan.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// The addresses of a running container's eth0.
struct InsideAddresses {
  pid_t init_pid = 0;
  uint64_t init_start_ticks = 0;
  Ipv4Interface address;  // its own, set before init ran: left alone
  std::vector<Ipv4> floating;
};

// The kernel's side of containers' links.  IpPortSetup is the real one; FakePortSetup lives beside
// this file.  Loop only; one call at a time.
class PortSetup {
 public:
  virtual ~PortSetup() = default;

  // Limits the ports that are there, and takes away what is left of others.
  virtual asio::awaitable<absl::Status> SetRates(std::vector<PortRate> rates) = 0;

  // Gives eth0 its floating addresses, and takes from it the rest of the cluster's prefix; what was
  // added comes back.  kNotFound: the container has ended.
  virtual asio::awaitable<absl::StatusOr<std::vector<Ipv4>>> SetAddresses(
      InsideAddresses addresses) = 0;
};

// By `ip`, `tc` and `nsenter`.
class IpPortSetup : public PortSetup {
 public:
  explicit IpPortSetup(Logger log) : log_(log) {}
  asio::awaitable<absl::Status> SetRates(std::vector<PortRate> rates) override;
  asio::awaitable<absl::StatusOr<std::vector<Ipv4>>> SetAddresses(
      InsideAddresses addresses) override;

 private:
  const Logger log_;
  // Limited ports: of which index, and how.
  std::map<std::string, std::pair<int64_t, PortRate>> set_;
  bool swept_ = false;  // what an agent before this one left is looked after
};

}  // namespace bramble::node
