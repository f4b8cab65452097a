// SPDX-License-Identifier: Apache-2.0
#include "node/network/address_claim.h"

#include <algorithm>
#include <numeric>

namespace bramble::node {
namespace {

constexpr std::chrono::minutes kRivalForgotten{1};

// FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return hash ^ hash >> 32;
}

}  // namespace

AddressSpan NodeRangeOf(Ipv4Prefix prefix) {
  const auto share = [&](uint64_t of_256) { return prefix.At(of_256 * prefix.size() / 256); };
  return {.first = std::max(share(11), prefix.At(2)), .last = share(64) + -1};
}

Ipv4 ChooseAddress(std::string_view serial, AddressSpan range, uint32_t attempt) {
  const uint64_t size = range.size();
  const uint64_t hash = Hash(serial);
  // A step that shares no divisor with the size visits every address once.
  uint64_t step = size <= 2 ? 1 : 1 + (hash >> 20) % (size - 1);
  while (std::gcd(step, size) != 1) {
    step = step % size + 1;
  }
  return range.first + static_cast<int64_t>((hash + step * attempt) % size);
}

void AddressClaim::Begin(Ipv4 candidate, BootTime at) {
  candidate_ = candidate;
  state_ = State::kProbing;
  sent_ = 0;
  wake_ = at;
}

void AddressClaim::NextCandidate(BootTime now) {
  ++conflicts_;
  const auto pause =
      conflicts_ > options_.max_conflicts ? options_.rate_limit : std::chrono::milliseconds(0);
  if (options_.firm && options_.preferred.has_value()) {
    // Nothing else will do: asked for again, slowly.
    Begin(*options_.preferred, now + options_.defend_interval);
    return;
  }
  if (options_.range.size() == 0) {
    state_ = State::kIdle;
    wake_.reset();
    return;
  }
  Begin(ChooseAddress(options_.serial, options_.range, attempt_++), now + pause);
}

std::vector<ArpFrame> AddressClaim::Poll(BootTime now) {
  std::vector<ArpFrame> frames;
  if (!started_) {
    started_ = true;
    if (options_.preferred.has_value()) {
      Begin(*options_.preferred, now);
      state_ = options_.held ? State::kHeld : state_;
    } else if (options_.range.size() > 0) {
      Begin(ChooseAddress(options_.serial, options_.range, attempt_++), now);
    }
  }
  if (rival_.has_value() && now - rival_seen_ >= kRivalForgotten) {
    rival_.reset();
  }
  if (defend_) {
    defend_ = false;
    frames.push_back(ArpAnnouncement(options_.mac, candidate_));
  }
  if (!wake_.has_value() || now < *wake_) {
    return frames;
  }
  if (state_ == State::kProbing && sent_ < options_.probes) {
    frames.push_back(ArpProbe(options_.mac, candidate_));
    ++sent_;
    wake_ = now + (sent_ < options_.probes ? options_.between_probes : options_.after_last_probe);
    return frames;
  }
  if (state_ == State::kProbing) {
    state_ = State::kHeld;
    sent_ = 0;
  }
  if (state_ == State::kHeld && sent_ < options_.announcements) {
    frames.push_back(ArpAnnouncement(options_.mac, candidate_));
    ++sent_;
    wake_ = now + options_.between_announcements;
  }
  if (sent_ >= options_.announcements) {
    wake_.reset();
  }
  return frames;
}

void AddressClaim::OnFrame(const ArpFrame& frame, BootTime now) {
  if (frame.sender_mac == options_.mac || state_ == State::kIdle) {
    return;
  }
  // While probing, another's probe for the same address is a conflict too: two that were switched
  // on together (RFC 5227, 2.1.1).
  const bool uses = frame.sender == candidate_;
  const bool asks = frame.sender.empty() && frame.target == candidate_;
  if (uses || (asks && state_ == State::kProbing)) {
    OnConflict(frame.sender_mac, now);
  }
}

void AddressClaim::OnConflict(const MacAddress& by, BootTime now) {
  rival_ = by;
  rival_seen_ = now;
  if (state_ == State::kProbing) {
    if (sent_ > 0) {
      NextCandidate(now);
    }
    return;
  }
  // RFC 5227, 2.4: (b) defend once in ten seconds, then give up; (c) never give up.
  const bool lately = defended_.has_value() && now - *defended_ < options_.defend_interval;
  if (!lately) {
    defended_ = now;
    defend_ = true;
  } else if (!options_.firm) {
    defended_.reset();
    NextCandidate(now);
  }
}

void AddressClaim::OnLinkUp(BootTime now) {
  if (state_ == State::kHeld) {
    sent_ = 0;
    wake_ = now;
  }
}

}  // namespace bramble::node
