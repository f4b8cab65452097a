// SPDX-License-Identifier: Apache-2.0
#pragma once

// What each fuzz target defines.  fuzz_main.cc gives it to libFuzzer, with two modes of its own:
//
//   TARGET --seeds DIR     writes Seeds() as files, the corpus to begin with, and ends
//   TARGET [libFuzzer's]   tries inputs; one that crashes is kept as a file
//
// Begin a repair with a unit test beside the parser, with that file's bytes.

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace bramble::fuzz {

// Gives `input` to a parser and uses what it gives, as the product would.  Whatever the bytes are
// this returns; a promise that does not hold is a failed BRAMBLE_CHECK.
void Try(std::string_view input);

// Good inputs, and a few bad ones.  The working directory is the root of the checkout.
std::vector<std::string> Seeds();

inline std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  BRAMBLE_CHECK(file.good() && !text.str().empty(), path.c_str());
  return text.str();
}

inline std::vector<std::string> Lines(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream text(Contents(path));
  for (std::string line; std::getline(text, line);) {
    lines.push_back(line);
  }
  return lines;
}

// Takes the first byte: for a choice that the input makes.
inline uint8_t TakeByte(std::string_view& input) {
  if (input.empty()) {
    return 0;
  }
  const auto byte = static_cast<uint8_t>(input.front());
  input.remove_prefix(1);
  return byte;
}

}  // namespace bramble::fuzz
