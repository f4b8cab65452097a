// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/asio.h"
#include "node/network/arp_frame.h"

#include "absl/status/statusor.h"

namespace bramble::node {

// ARP on one segment.  PacketArpChannel is the real one; that of FakeLan lives beside this file.
// Loop only.
class ArpChannel {
 public:
  virtual ~ArpChannel() = default;
  virtual absl::Status Send(const ArpFrame& frame) = 0;
  // `listener` is called on the loop for each ARP frame that others sent.
  virtual void OnFrame(std::function<void(const ArpFrame&)> listener) = 0;
  // Of the interface; what frames of the node itself are sent from.
  virtual MacAddress mac() const = 0;
};

// A packet socket (packet(7)).  Needs CAP_NET_RAW.
class PacketArpChannel : public ArpChannel {
 public:
  enum class Hear {
    kOwn,        // what the interface takes for itself: broadcasts, and what is sent to its MAC
    kEverything  // what passes a port of a bridge too
  };
  // kNotFound: no such interface.
  static absl::StatusOr<std::unique_ptr<PacketArpChannel>> Open(asio::io_context& loop,
                                                                const std::string& interface,
                                                                Hear hear);
  ~PacketArpChannel() override;

  absl::Status Send(const ArpFrame& frame) override;
  void OnFrame(std::function<void(const ArpFrame&)> listener) override;
  MacAddress mac() const override { return mac_; }

 private:
  struct Socket;
  PacketArpChannel(std::shared_ptr<Socket> socket, MacAddress mac)
      : socket_(std::move(socket)), mac_(mac) {}

  const std::shared_ptr<Socket> socket_;
  const MacAddress mac_;
};

}  // namespace bramble::node
