// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/guest_first_start.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/beneath.h"
#include "base/status.h"
#include "node/runtime/first_start_command.h"
#include "node/runtime/guest_accounts.h"
#include "node/runtime/guest_context.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxAccountFile = 1 << 20;
constexpr size_t kMaxKeysFile = 1 << 20;
constexpr size_t kMaxEnded = 16;

// Without the leading '/': beneath the root.
std::string InState(std::string_view name) {
  return StrCat(std::string_view(kFirstStartDirectory).substr(1), "/", name);
}

bool IsThere(int root, std::string_view path) { return OpenBeneath(root, path, O_PATH).ok(); }

absl::Status WithPath(const absl::Status& status, std::string_view path) {
  return Annotate(status, StrCat("/", path, " in the container"));
}

absl::StatusOr<std::optional<std::string>> ReadIfThere(int root, const std::string& path) {
  auto text = ReadBeneath(root, path, kMaxAccountFile);
  if (absl::IsNotFound(text.status())) {
    return std::optional<std::string>();
  }
  if (!text.ok()) {
    return WithPath(text.status(), path);
  }
  return std::optional<std::string>(*std::move(text));
}

// Writes `text` where it is not what `before` was, with the mode that the file had.
absl::Status WriteChanged(int root, const std::string& path, const std::optional<std::string>& text,
                          const std::optional<std::string>& before) {
  if (!text.has_value() || text == before) {
    return absl::OkStatus();
  }
  const auto info = StatBeneath(root, path);
  const mode_t mode = info.ok() ? info->st_mode & 07777 : 0644;
  BRAMBLE_RETURN_IF_ERROR(WithPath(WriteBeneath(root, path, *text, mode), path));
  if (!info.ok()) {
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const Fd file, OpenBeneath(root, path, O_RDONLY | O_NOFOLLOW));
  return fchown(file.get(), info->st_uid, info->st_gid) == 0
             ? absl::OkStatus()
             : WithPath(ErrnoStatus(errno, "chown"), path);
}

struct Owner {
  uid_t uid;
  gid_t gid;
};

// The directory `path`, made and given to `owner` where it is missing; its mode is set if so.
absl::Status MakeOwned(int root, const std::string& path, Owner owner, mode_t mode) {
  if (OpenBeneath(root, path, O_PATH | O_DIRECTORY).ok()) {
    return absl::OkStatus();
  }
  BRAMBLE_RETURN_IF_ERROR(WithPath(MakeDirectoriesBeneath(root, path, 0755), path));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory, OpenBeneath(root, path, O_RDONLY | O_DIRECTORY));
  if (fchown(directory.get(), owner.uid, owner.gid) != 0 || fchmod(directory.get(), mode) != 0) {
    return WithPath(ErrnoStatus(errno, "chown"), path);
  }
  return absl::OkStatus();
}

absl::Status WriteKeys(int root, const GuestUser& account, Owner owner,
                       const std::vector<std::string>& keys) {
  const std::string home =
      account.home.substr(std::min(account.home.find_first_not_of('/'), account.home.size()));
  const std::string ssh = StrCat(home, home.empty() ? "" : "/", ".ssh");
  const std::string path = StrCat(ssh, "/authorized_keys");
  if (!home.empty()) {
    BRAMBLE_RETURN_IF_ERROR(MakeOwned(root, home, owner, account.uid == 0 ? 0700 : 0755));
  }
  if (keys.empty()) {
    return absl::OkStatus();
  }
  BRAMBLE_RETURN_IF_ERROR(MakeOwned(root, ssh, owner, 0700));
  auto before = ReadBeneath(root, path, kMaxKeysFile);
  if (!before.ok() && !absl::IsNotFound(before.status())) {
    return WithPath(before.status(), path);
  }
  const std::string text = WithKeys(before.value_or(""), keys);
  BRAMBLE_RETURN_IF_ERROR(WithPath(WriteBeneath(root, path, text, 0600), path));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd file, OpenBeneath(root, path, O_RDONLY | O_NOFOLLOW));
  return fchown(file.get(), owner.uid, owner.gid) == 0
             ? absl::OkStatus()
             : WithPath(ErrnoStatus(errno, "chown"), path);
}

absl::Status WriteAccount(int root, uint32_t first_id, const api::Context& context) {
  if (context.user.empty() && context.authorized_keys.empty()) {
    return absl::OkStatus();
  }
  AccountFiles files;
  BRAMBLE_ASSIGN_OR_RETURN(files.passwd, ReadIfThere(root, "etc/passwd"));
  BRAMBLE_ASSIGN_OR_RETURN(files.group, ReadIfThere(root, "etc/group"));
  BRAMBLE_ASSIGN_OR_RETURN(files.shadow, ReadIfThere(root, "etc/shadow"));
  const AccountFiles before = files;
  const GuestUser account = AddAccount(files, context.user.empty() ? "root" : context.user,
                                       IsThere(root, "bin/bash") ? "/bin/bash" : "/bin/sh");
  // The user comes last: with it all the rest is there.
  BRAMBLE_RETURN_IF_ERROR(WriteChanged(root, "etc/group", files.group, before.group));
  BRAMBLE_RETURN_IF_ERROR(WriteChanged(root, "etc/shadow", files.shadow, before.shadow));
  BRAMBLE_RETURN_IF_ERROR(WriteChanged(root, "etc/passwd", files.passwd, before.passwd));
  const Owner owner = {first_id + account.uid, first_id + account.gid};
  return WriteKeys(root, account, owner, context.authorized_keys);
}

absl::Status WriteScripts(int root, const std::vector<api::ContextPart>& scripts) {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectoriesBeneath(root, InState("scripts"), 0700));
  for (size_t i = 0; i < scripts.size(); ++i) {
    // In their order also for a shell, of which there are fewer than a hundred.
    const std::string path =
        InState(StrCat("scripts/", i < 9 ? "0" : "", i + 1, "-", scripts[i].name));
    BRAMBLE_RETURN_IF_ERROR(WithPath(WriteBeneath(root, path, scripts[i].content, 0700), path));
  }
  return absl::OkStatus();
}

}  // namespace

api::ContextMode ContextModeOf(int root, std::string_view label) {
  const api::ContextMode told = api::ParseContextMode(label);
  if (told != api::ContextMode::kFindOut) {
    return told;
  }
  return IsThere(root, "usr/bin/cloud-init") ? api::ContextMode::kCloudInit
                                             : api::ContextMode::kMinimal;
}

absl::StatusOr<FirstStart> PrepareFirstStart(int root, uint32_t first_id,
                                             const api::Context& context) {
  const std::vector<api::ContextPart> scripts = ScriptsOf(context);
  if (context.user.empty() && context.authorized_keys.empty() && scripts.empty()) {
    return FirstStart{};
  }
  if (!IsThere(root, InState("prepared"))) {
    BRAMBLE_RETURN_IF_ERROR(WriteAccount(root, first_id, context));
    BRAMBLE_RETURN_IF_ERROR(MakeDirectoriesBeneath(root, "var/lib", 0755));
    BRAMBLE_RETURN_IF_ERROR(WriteScripts(root, scripts));
    // Whoever finds the mark after a power cut finds the rest whole.
    BRAMBLE_ASSIGN_OR_RETURN(const Fd whole, OpenBeneath(root, "/", O_RDONLY | O_DIRECTORY));
    if (syncfs(whole.get()) != 0) {
      return ErrnoStatus(errno, "the container's writable layer");
    }
    BRAMBLE_RETURN_IF_ERROR(WriteBeneath(root, InState("prepared"), "yes\n", 0600));
  }
  if (scripts.empty()) {
    return FirstStart{};
  }
  if (!IsThere(root, InState("begun"))) {
    return FirstStart{.state = FirstStart::State::kDue};
  }
  const auto ended = ReadBeneath(root, InState("ended"), kMaxEnded);
  const auto code = ended.ok() ? ParseExitCode(*ended) : std::nullopt;
  return code.has_value() ? FirstStart{.state = FirstStart::State::kEnded, .code = *code}
                          : FirstStart{.state = FirstStart::State::kCutOff};
}

}  // namespace bramble::node
