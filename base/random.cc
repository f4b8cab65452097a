// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace bramble {

uint64_t Random::Below(uint64_t bound) {
  if (bound == 0) {
    return 0;
  }
  // Values past the last whole multiple of `bound` would favour the low numbers.
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  for (;;) {
    uint64_t value = 0;
    Fill(reinterpret_cast<unsigned char*>(&value), sizeof(value));
    if (value < limit) {
      return value % bound;
    }
  }
}

std::string Random::Bytes(size_t size) {
  std::string bytes(size, '\0');
  Fill(reinterpret_cast<unsigned char*>(bytes.data()), size);
  return bytes;
}

void SystemRandom::Fill(unsigned char* out, size_t size) {
  while (size > 0) {
    const ssize_t got = ::getrandom(out, size, 0);
    if (got < 0) {
      BRAMBLE_CHECK(errno == EINTR, "getrandom with no flags fails only by a signal");
      continue;
    }
    out += got;
    size -= static_cast<size_t>(got);
  }
}

uint64_t SeededRandom::Next() {
  // Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators" (2014), splitmix64.
  uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void SeededRandom::Fill(unsigned char* out, size_t size) {
  while (size > 0) {
    const uint64_t value = Next();
    const size_t part = std::min(size, sizeof(value));
    std::memcpy(out, &value, part);
    out += part;
    size -= part;
  }
}

}  // namespace bramble
