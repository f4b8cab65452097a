// SPDX-License-Identifier: Apache-2.0
// libFuzzer's entry points, for every target.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/fuzz/fuzz.h"

namespace {

void WriteSeeds(const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  int number = 0;
  for (const std::string& seed : bramble::fuzz::Seeds()) {
    std::ofstream(directory / ("seed-" + std::to_string(number++)), std::ios::binary) << seed;
  }
  std::printf("%d seeds\n", number);
}

}  // namespace

// Names and signatures are libFuzzer's (LLVM, docs/LibFuzzer).
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc == 3 && std::string_view((*argv)[1]) == "--seeds") {
    WriteSeeds((*argv)[2]);
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bramble::fuzz::Try(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
