// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/asio.h"
#include "base/log.h"
#include "base/scope.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// The kernel's packet filter.  NftPacketFilter is the real one; FakePacketFilter lives beside this
// file.  Loop only.
class PacketFilter {
 public:
  virtual ~PacketFilter() = default;

  // Puts `rules` (of nft_rules.h) in force as a whole: on an error the ones before stay.  One call
  // at a time.
  virtual asio::awaitable<absl::Status> Apply(std::string rules) = 0;

  // `listener` is called on the loop when somebody else touched our tables: `nft flush ruleset`,
  // another firewall that starts.
  virtual void OnTouched(std::function<void()> listener) = 0;
};

// By the program `nft`, and the kernel's notices to find out who else changes our tables
// (nfnetlink; at the latest a check every 30 s).
class NftPacketFilter : public PacketFilter {
 public:
  // Bridged packets pass the rules of inet only where br_netfilter is on; this sees to it.
  // kFailedPrecondition: this kernel has no br_netfilter.
  static absl::StatusOr<std::unique_ptr<NftPacketFilter>> Open(asio::io_context& loop, Logger log);
  ~NftPacketFilter() override;

  asio::awaitable<absl::Status> Apply(std::string rules) override;
  void OnTouched(std::function<void()> listener) override { listener_ = std::move(listener); }

 private:
  struct Notices;
  NftPacketFilter(asio::io_context& loop, std::unique_ptr<Notices> notices, Logger log);
  asio::awaitable<void> Watch();
  asio::awaitable<void> CheckNowAndThen();

  const Logger log_;
  std::unique_ptr<Notices> notices_;
  std::function<void()> listener_;
  bool applying_ = false;
  bool in_force_ = false;
  Scope scope_;
};

// Of a machine that has none: says why, and so no container starts.
class NoPacketFilter : public PacketFilter {
 public:
  explicit NoPacketFilter(absl::Status why) : why_(std::move(why)) {}
  asio::awaitable<absl::Status> Apply(std::string /*rules*/) override { co_return why_; }
  void OnTouched(std::function<void()> /*listener*/) override {}

 private:
  const absl::Status why_;
};

}  // namespace bramble::node
