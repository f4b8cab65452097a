// SPDX-License-Identifier: Apache-2.0
#pragma once

// Little-endian numbers in byte strings, as every on-disk format here has them.  The caller keeps
// the offsets inside.

#include <cstdint>
#include <string>
#include <string_view>

namespace bramble::sdcard {

template <typename Number>
Number GetLe(std::string_view bytes, size_t at) {
  Number value = 0;
  for (size_t i = 0; i < sizeof(Number); ++i) {
    value |= static_cast<Number>(static_cast<Number>(static_cast<unsigned char>(bytes[at + i]))
                                 << (8 * i));
  }
  return value;
}
inline uint16_t GetLe16(std::string_view bytes, size_t at) { return GetLe<uint16_t>(bytes, at); }
inline uint32_t GetLe32(std::string_view bytes, size_t at) { return GetLe<uint32_t>(bytes, at); }
inline uint64_t GetLe64(std::string_view bytes, size_t at) { return GetLe<uint64_t>(bytes, at); }

template <typename Number>
void PutLe(std::string& bytes, size_t at, Number value) {
  for (size_t i = 0; i < sizeof(Number); ++i) {
    bytes[at + i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}
inline void PutLe16(std::string& bytes, size_t at, uint16_t value) { PutLe(bytes, at, value); }
inline void PutLe32(std::string& bytes, size_t at, uint32_t value) { PutLe(bytes, at, value); }

}  // namespace bramble::sdcard
