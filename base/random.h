// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace bramble {

// Where random numbers come from.  SystemRandom is the kernel's generator; SeededRandom (for tests
// and simulation) repeats itself.
class Random {
 public:
  virtual ~Random() = default;

  // Fills `size` bytes at `out`.
  virtual void Fill(unsigned char* out, size_t size) = 0;

  // Uniform in [0, bound); 0 when bound is 0.
  uint64_t Below(uint64_t bound);
  // `size` random bytes.
  std::string Bytes(size_t size);
};

// getrandom(2): fit for keys and tokens.
class SystemRandom : public Random {
 public:
  void Fill(unsigned char* out, size_t size) override;
};

// splitmix64: equal seeds give equal streams.  Not for secrets.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  void Fill(unsigned char* out, size_t size) override;

 private:
  uint64_t Next();
  uint64_t state_;
};

}  // namespace bramble
