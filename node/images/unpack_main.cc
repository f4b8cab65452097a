// SPDX-License-Identifier: Apache-2.0
// bramble-unpack: unpacks one image without privileges.
//
//   bramble-unpack --digest SHA256 --archive FILE --into DIRECTORY --first-id N
//                  [--max-bytes N] [--max-entries N]
//
// FILE's SHA-256 is compared first.  DIRECTORY is made (mode 0755, owned by N) and must not exist.
// Prints {"entries", "unpacked_bytes", "skipped_devices", "architecture"} and exits 0, or
// {"code", "message"} and exits 1.  2: misuse.  Run as root; what reads the archive is not.
//
// Also packs and unpacks the writable layers of containers: node/layers/layer_command.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <map>
#include <string>

#include "base/fd.h"
#include "base/json.h"
#include "base/status.h"
#include "base/strings.h"
#include "node/images/sandbox.h"
#include "node/images/unpack.h"
#include "node/layers/layer_command.h"

#include "absl/strings/numbers.h"

namespace bramble::node {
namespace {

struct Arguments {
  std::string digest;
  std::string archive;
  std::string into;
  uint32_t first_id = 0;
  UnpackLimits limits;
};

absl::StatusOr<Arguments> ReadArguments(int argc, char** argv) {
  std::map<std::string, std::string> given;
  for (int i = 1; i + 1 < argc; i += 2) {
    given[argv[i]] = argv[i + 1];
  }
  Arguments arguments;
  int64_t first_id = 0;
  const auto number = [&given](const char* flag, int64_t& value) {
    const auto found = given.find(flag);
    return found == given.end() || (absl::SimpleAtoi(found->second, &value) && value > 0);
  };
  arguments.digest = given["--digest"];
  arguments.archive = given["--archive"];
  arguments.into = given["--into"];
  const bool good = argc % 2 == 1 && number("--first-id", first_id) &&
                    number("--max-bytes", arguments.limits.unpacked.count) &&
                    number("--max-entries", arguments.limits.entries) &&
                    Sha256Digest::FromHex(arguments.digest).ok() && !arguments.archive.empty() &&
                    !arguments.into.empty() && first_id >= 65536 && first_id < UINT32_MAX - 65536;
  if (!good) {
    return absl::InvalidArgumentError(
        "usage: bramble-unpack --digest SHA256 --archive FILE --into DIRECTORY --first-id N "
        "(65536 or more) [--max-bytes N] [--max-entries N]");
  }
  arguments.first_id = static_cast<uint32_t>(first_id);
  return arguments;
}

absl::StatusOr<Fd> MakeTree(const Arguments& arguments) {
  if (::mkdir(arguments.into.c_str(), 0755) != 0) {
    return ErrnoStatus(errno, arguments.into);
  }
  Fd tree(::open(arguments.into.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!tree.valid() || ::fchown(tree.get(), arguments.first_id, arguments.first_id) != 0 ||
      ::fchmod(tree.get(), 0755) != 0) {
    return ErrnoStatus(errno, arguments.into);
  }
  return tree;
}

std::string StatusText(const absl::Status& status) {
  return json::serialize(json::object{{"code", static_cast<int>(status.code())},
                                      {"message", std::string(MessageOf(status))}});
}

// In the sandbox: its answer, as text.
std::string CheckAndUnpack(int archive, const Arguments& arguments) {
  const absl::StatusOr<Sha256Digest> digest = HashFile(archive);
  if (!digest.ok()) {
    return StatusText(digest.status());
  }
  if (digest->Hex() != arguments.digest) {
    return StatusText(absl::DataLossError(StrCat("the image's archive has SHA-256 ", digest->Hex(),
                                                 " and should have ", arguments.digest)));
  }
  const absl::StatusOr<UnpackResult> result = Unpack(archive, arguments.limits);
  if (!result.ok()) {
    return StatusText(result.status());
  }
  return json::serialize(json::object{{"entries", result->entries},
                                      {"unpacked_bytes", result->unpacked.count},
                                      {"skipped_devices", result->skipped_devices},
                                      {"architecture", result->architecture}});
}

absl::StatusOr<std::string> Run(const Arguments& arguments) {
  const Fd archive(::open(arguments.archive.c_str(), O_RDONLY | O_CLOEXEC));
  if (!archive.valid()) {
    return ErrnoStatus(errno, arguments.archive);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const Fd tree, MakeTree(arguments));
  SandboxOptions options;
  options.root = tree.get();
  options.first_id = arguments.first_id;
  options.max_file = arguments.limits.unpacked;
  const auto work = [&] { return CheckAndUnpack(archive.get(), arguments); };
  BRAMBLE_ASSIGN_OR_RETURN(std::string text, RunInSandbox(options, work));
  // Published by a rename only when all of it is on the disk.
  if (::syncfs(tree.get()) != 0) {
    return ErrnoStatus(errno, arguments.into);
  }
  return text;
}

int Main(int argc, char** argv) {
  // Names in archives are UTF-8; the locale is loaded before the sandbox hides its files.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  if (argc > 1 && IsLayerCommand(argv[1])) {
    return RunLayerCommand(argc, argv);
  }
  const absl::StatusOr<Arguments> arguments = ReadArguments(argc, argv);
  if (!arguments.ok()) {
    std::fprintf(stderr, "%s\n", std::string(MessageOf(arguments.status())).c_str());
    return 2;
  }
  const absl::StatusOr<std::string> text = Run(*arguments);
  const std::string shown = text.ok() ? *text : StatusText(text.status());
  std::printf("%s\n", shown.c_str());
  return text.ok() && text->find("\"code\"") == std::string::npos ? 0 : 1;
}

}  // namespace
}  // namespace bramble::node

int main(int argc, char** argv) { return bramble::node::Main(argc, argv); }
