// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/container_context.h"

#include <sys/stat.h>

#include <algorithm>

#include "api/context.h"
#include "api/public_key.h"
#include "base/file.h"
#include "base/status.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr std::string_view kKeyPart = "ssh";
constexpr std::string_view kWhole = "none";
constexpr size_t kMaxFile = 64 << 20;  // to say by how much it is too large

absl::Status TooLarge(const std::string& file, size_t bytes, size_t all) {
  return absl::InvalidArgumentError(
      StrCat(file, ": ", bytes, " bytes; with it the container is told ", all,
             " bytes at its first start, at most ", api::kMaxContextBytes, ": ",
             all - api::kMaxContextBytes,
             " too many; put what is large into the image, or have a script fetch it"));
}

// Reads the files of one context, and says which one is too much.
class ContextFiles {
 public:
  explicit ContextFiles(api::Context& context) : context_(context) {}

  absl::StatusOr<std::string> Read(const std::string& path) {
    absl::StatusOr<std::string> bytes = ReadFile(path, kMaxFile);
    if (absl::IsResourceExhausted(bytes.status())) {
      struct stat info {};
      const size_t size = ::stat(path.c_str(), &info) == 0 ? static_cast<size_t>(info.st_size) : 0;
      return size > api::kMaxContextBytes ? TooLarge(path, size, context_.bytes() + size)
                                          : bytes.status();
    }
    if (bytes.ok() && context_.bytes() + bytes->size() > api::kMaxContextBytes) {
      return TooLarge(path, bytes->size(), context_.bytes() + bytes->size());
    }
    return bytes;
  }

 private:
  const api::Context& context_;
};

// Each line of a file of public keys.
absl::Status AddKeys(const std::string& path, std::string_view text, api::Context& context) {
  size_t number = 0;
  size_t found = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos || line[0] == '#') {
      continue;
    }
    const absl::StatusOr<api::PublicKey> key = api::ParsePublicKey(line);
    if (!key.ok()) {
      return Annotate(key.status(), StrCat(path, ", line ", number));
    }
    context.authorized_keys.push_back(key->str());
    ++found;
  }
  return found > 0 ? absl::OkStatus()
                   : absl::InvalidArgumentError(StrCat(path, ": holds no public key"));
}

// "x-shellscript,run.sh"
absl::Status AddPair(const std::string& pair, ContextFiles& files, api::Context& context,
                     std::string& whole) {
  const size_t comma = pair.find(',');
  if (comma == std::string::npos || comma == 0 || comma + 1 == pair.size()) {
    return Misuse(StrCat("--context \"", pair,
                         "\": write TYPE,FILE, such as x-shellscript,run.sh or ssh,key.pub"));
  }
  const std::string type = pair.substr(0, comma);
  const std::string path = pair.substr(comma + 1);
  if (type == kWhole) {
    whole = path;  // the last one
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(std::string content, files.Read(path));
  if (type == kKeyPart) {
    return AddKeys(path, content, context);
  }
  const absl::StatusOr<std::string> full = api::ParsePartType(type);
  if (!full.ok()) {
    return Misuse(StrCat("--context \"", pair, "\": ", MessageOf(full.status())));
  }
  context.parts.push_back(
      {.type = *full, .name = path.substr(path.rfind('/') + 1), .content = std::move(content)});
  return absl::OkStatus();
}

absl::Status AddUserData(const Args& args, ContextFiles& files, std::ostream& talk,
                         api::Context& context) {
  std::string whole = args.Text("user-data");
  for (const std::string& pair : args.Texts("context")) {
    BRAMBLE_RETURN_IF_ERROR(AddPair(pair, files, context, whole));
  }
  if (whole.empty()) {
    return absl::OkStatus();
  }
  // As StratusLab had it: raw user data is all of it.
  for (const api::ContextPart& part : context.parts) {
    talk << "bramble: " << Printable(whole) << " is the whole user data: " << Printable(part.name)
         << " is not used\n";
  }
  context.parts.clear();
  BRAMBLE_ASSIGN_OR_RETURN(context.user_data, files.Read(whole));
  return context.user_data.empty() ? absl::InvalidArgumentError(StrCat(whole, ": is empty"))
                                   : absl::OkStatus();
}

absl::Status AddSecrets(const Args& args, ContextFiles& files, api::Context& context) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto secrets, args.Map("set-secret"));
  for (const auto& [name, path] : secrets) {
    if (const absl::Status valid = api::CheckSecretName(name); !valid.ok()) {
      return Misuse(StrCat("--set-secret: ", MessageOf(valid)));
    }
    BRAMBLE_ASSIGN_OR_RETURN(context.secrets[name], files.Read(path));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Flag> ContextFlags() {
  return {
      {.name = "key",
       .value = "KEY",
       .help = "ssh key that may log in: `bramble key add`",
       .repeats = true,
       .completes = Completes::kKeys},
      {.name = "user",
       .value = "NAME",
       .help = "who logs in with the keys, made if need be (root, or the image's own user)"},
      {.name = "context",
       .value = "TYPE,FILE",
       .help = "told at the first start: x-shellscript,run.sh or cloud-config,c.yaml; ssh,key.pub "
               "is a key; none,FILE is the whole user data",
       .repeats = true,
       .completes = Completes::kFiles},
      {.name = "user-data",
       .value = "FILE",
       .help = "user data of cloud-init, as it is",
       .completes = Completes::kFiles},
      {.name = "vendor-data",
       .value = "FILE",
       .help = "vendor data of cloud-init, as it is",
       .completes = Completes::kFiles},
      {.name = "set",
       .value = "KEY=VALUE",
       .help = "variable of /context/context.sh, such as ONEAPP_SITE=north",
       .repeats = true},
      {.name = "set-secret",
       .value = "NAME=FILE",
       .help = "file /context/secrets/NAME in the container, which nothing else shows",
       .repeats = true},
  };
}

absl::Status AddContext(const Args& args, std::ostream& talk, json::object& body) {
  api::Context context;
  ContextFiles files(context);
  context.keys = args.Texts("key");
  context.user = args.Text("user");
  if (args.Has("user")) {
    if (const absl::Status valid = api::CheckLogin(context.user); !valid.ok()) {
      return Misuse(StrCat("--user: ", MessageOf(valid)));
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(context.variables, args.Map("set"));
  for (const auto& [name, value] : context.variables) {
    if (const absl::Status valid = api::CheckVariableName(name); !valid.ok()) {
      return Misuse(StrCat("--set: ", MessageOf(valid)));
    }
  }
  BRAMBLE_RETURN_IF_ERROR(AddUserData(args, files, talk, context));
  if (args.Has("vendor-data")) {
    BRAMBLE_ASSIGN_OR_RETURN(context.vendor_data, files.Read(args.Text("vendor-data")));
  }
  BRAMBLE_RETURN_IF_ERROR(AddSecrets(args, files, context));
  if (context.empty()) {
    return absl::OkStatus();
  }
  BRAMBLE_RETURN_IF_ERROR(api::CheckContext(context, "what the container is told"));
  body["context"] = api::ToJson(context);
  return absl::OkStatus();
}

}  // namespace bramble::cli
