// SPDX-License-Identifier: Apache-2.0
// bramble-first-boot: makes a card the node that its bramble.toml describes.  It runs at every boot
// before the network and the agent, and does what is not yet done: a power cut at any point costs
// nothing but the next boot's doing it again.
//
//   bramble-first-boot          grows the root, makes host keys, writes what bramble.toml asks for
//   bramble-first-boot --wipe   when the node has joined: takes the secrets off the boot partition
#include <fcntl.h>
#include <linux/blkpg.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "sdcard-image/card/card_settings.h"
#include "sdcard-image/disk/byte_device.h"
#include "sdcard-image/firstboot/growth.h"
#include "sdcard-image/firstboot/node_files.h"

namespace bramble::sdcard {
namespace {

constexpr char kBoot[] = "/boot/firmware";
constexpr char kHostKeys[] = "/etc/ssh";
constexpr std::chrono::minutes kGrowLimit{15};
constexpr std::chrono::minutes kKeysLimit{5};
constexpr uid_t kFirstUserId = 1000;  // Debian's, /etc/login.defs, "UID_MIN"
constexpr size_t kMaxIdentityBytes = 1 << 20;
constexpr int kMaxWaitsForIdentity = 30;
constexpr std::chrono::seconds kWaitForIdentity{1};

void Say(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

std::string Trimmed(const std::filesystem::path& path) {
  std::string text = ReadFile(path, 4096).value_or("");
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\0')) {
    text.pop_back();
  }
  return text;
}

// The partition that / is on, as the kernel's directory for it.
absl::StatusOr<std::filesystem::path> RootPartition() {
  struct stat info;
  if (::stat("/", &info) != 0) {
    return ErrnoStatus(errno, "/");
  }
  std::error_code error;
  const auto path = std::filesystem::canonical(
      StrCat("/sys/dev/block/", major(info.st_dev), ":", minor(info.st_dev)), error);
  if (error || !std::filesystem::exists(path / "partition")) {
    return absl::NotFoundError("/ is on no partition");
  }
  return path;
}

absl::Status TellKernel(int disk, int number, const MbrPartition& grown) {
  blkpg_partition partition = {};
  partition.start = static_cast<long long>(grown.offset());
  partition.length = static_cast<long long>(grown.bytes());
  partition.pno = number;
  blkpg_ioctl_arg arg = {};
  arg.op = BLKPG_RESIZE_PARTITION;
  arg.datalen = sizeof(partition);
  arg.data = &partition;
  return ::ioctl(disk, BLKPG, &arg) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "BLKPG");
}

absl::Status GrowPartition(const std::filesystem::path& partition) {
  const int number = std::atoi(Trimmed(partition / "partition").c_str());
  const std::string disk_name = "/dev/" + partition.parent_path().filename().string();
  if (number < 1 || number > 4) {
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto disk,
                           FileDevice::Open(disk_name, FileDevice::Mode::kReadWrite));
  BRAMBLE_ASSIGN_OR_RETURN(std::string sector, disk->Read(0, kMbrBytes));
  BRAMBLE_ASSIGN_OR_RETURN(const Mbr mbr, ParseMbr(sector));
  const std::optional<Mbr> grown = PlanGrowth(mbr, number, disk->size());
  if (grown.has_value()) {
    const MbrPartition& entry = grown->partitions[static_cast<size_t>(number - 1)];
    Say(StrCat("root partition: from ", mbr.partitions[static_cast<size_t>(number - 1)].bytes(),
               " to ", entry.bytes(), " bytes"));
    // Only the four entries: boot code and id stay as they are.  One sector, written whole.
    sector.replace(446, 64, FormatMbr(*grown).substr(446, 64));
    BRAMBLE_RETURN_IF_ERROR(disk->WriteAt(0, sector));
    if (::fsync(disk->fd()) != 0) {
      return ErrnoStatus(errno, disk_name);
    }
  }
  // Also when only the table was written before the power went.
  const MbrPartition& entry =
      (grown.has_value() ? *grown : mbr).partitions[static_cast<size_t>(number - 1)];
  if (std::to_string(entry.sectors) != Trimmed(partition / "size")) {
    return TellKernel(disk->fd(), number, entry);
  }
  return absl::OkStatus();
}

// Does nothing, in a moment, when it fills its partition already.
absl::Status GrowRoot() {
  BRAMBLE_ASSIGN_OR_RETURN(const std::filesystem::path partition, RootPartition());
  BRAMBLE_RETURN_IF_ERROR(GrowPartition(partition));
  const Command resize{.argv = {"resize2fs", "/dev/" + partition.filename().string()},
                       .deadline = kGrowLimit};
  return RunCommandForOutput(resize).status();
}

// A key whose writing was cut off is no key.
absl::Status MakeHostKeys() {
  std::error_code ignored;
  bool whole = false;
  for (const auto& entry : std::filesystem::directory_iterator(kHostKeys, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("ssh_host_")) {
      continue;
    }
    if (entry.file_size(ignored) == 0 ||
        (!name.ends_with(".pub") && Trimmed(entry.path()).find("-----END") == std::string::npos &&
         entry.file_size(ignored) < 4096)) {
      std::filesystem::remove(entry.path(), ignored);
    } else {
      whole = whole || name == "ssh_host_ed25519_key";
    }
  }
  const Command make{.argv = {"ssh-keygen", "-A"}, .deadline = kKeysLimit};
  BRAMBLE_RETURN_IF_ERROR(RunCommandForOutput(make).status());
  if (!whole) {
    ::sync();
  }
  return absl::OkStatus();
}

absl::Status Put(const NodeFile& file) {
  const std::filesystem::path path = file.path;
  if (file.absent) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return absl::OkStatus();
  }
  if (const auto there = ReadFile(path, 1 << 20); there.ok() && *there == file.bytes) {
    return absl::OkStatus();
  }
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(path.parent_path(), 0755));
  return WriteFileAtomically(path, file.bytes, file.mode);
}

bool IsMounted(const std::filesystem::path& directory) {
  struct stat here;
  struct stat above;
  return ::stat(directory.c_str(), &here) == 0 &&
         ::stat(directory.parent_path().c_str(), &above) == 0 && here.st_dev != above.st_dev;
}

// What is on the boot partition; bramble.toml wins over what Raspberry Pi Imager left.  An error
// says why that is not to be told: it is not mounted (a damaged file system), holds nothing, or
// what it holds does not parse.
absl::StatusOr<CardSettings> ReadSettings() {
  const std::filesystem::path boot = kBoot;
  if (!IsMounted(boot)) {
    return absl::UnavailableError("the boot partition is not mounted");
  }
  absl::StatusOr<CardSettings> preseed = absl::NotFoundError("");
  if (const auto text = ReadFile(boot / kPreseedFile, kMaxSettingsBytes); text.ok()) {
    preseed = ParsePreseed(*text, std::string(kPreseedFile));
    if (!preseed.ok()) {
      Say(std::string(MessageOf(preseed.status())));
    }
  }
  const auto text = ReadFile(boot / kSettingsFile, kMaxSettingsBytes);
  if (text.ok()) {
    BRAMBLE_ASSIGN_OR_RETURN(const CardSettings card,
                             ParseCardSettings(*text, std::string(kSettingsFile)));
    return Merge(preseed.value_or(CardSettings()), card);
  }
  if (absl::IsNotFound(text.status()) && preseed.ok()) {
    return preseed;
  }
  return Annotate(text.status(), "the boot partition");
}

bool HasJoined() {
  const std::filesystem::path state = kNodeStateDirectory;
  return HasIdentity(ReadFile(state / "identity.0", kMaxIdentityBytes).value_or(""),
                     ReadFile(state / "identity.1", kMaxIdentityBytes).value_or(""));
}

bool IsListed(const std::filesystem::path& file, const std::string& user) {
  const std::string text = "\n" + ReadFile(file, 1 << 20).value_or("");
  return text.find("\n" + user + ":") != std::string::npos;
}

// A user for people, as Imager lets one choose; root has the same keys.  One whose making was cut
// off is made anew.
absl::Status MakeUser(const CardSettings& settings) {
  if (settings.user.empty() || settings.user == "root") {
    return absl::OkStatus();
  }
  const passwd* there = ::getpwnam(settings.user.c_str());
  if (there != nullptr && there->pw_uid < kFirstUserId) {
    return absl::InvalidArgumentError(
        StrCat("\"", settings.user, "\" is an account of the system's own: choose another name"));
  }
  const std::string home = "/home/" + settings.user;
  const std::string keys_file = home + "/.ssh/authorized_keys";
  std::error_code ignored;
  if (!IsListed("/etc/passwd", settings.user) || !IsListed("/etc/shadow", settings.user) ||
      !std::filesystem::exists(home, ignored)) {
    (void)RunCommandForOutput({.argv = {"userdel", "--force", "--remove", settings.user}});
    std::vector<std::string> argv = {"useradd", "--create-home", "--shell", "/bin/bash"};
    if (!settings.user_password_hash.empty()) {
      argv.insert(argv.end(), {"--password", settings.user_password_hash});
    }
    argv.push_back(settings.user);
    BRAMBLE_RETURN_IF_ERROR(RunCommandForOutput({.argv = argv}).status());
  }
  if (std::filesystem::exists(keys_file, ignored)) {
    return absl::OkStatus();
  }
  std::string keys;
  for (const std::string& key : settings.ssh_keys) {
    keys += key + "\n";
  }
  const std::string directory = home + "/.ssh";
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  // The user's before it bears its name: what is there is whole.
  const std::string part = keys_file + ".part";
  BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(part, keys, 0600));
  BRAMBLE_RETURN_IF_ERROR(
      RunCommandForOutput({.argv = {"chown", "-R", settings.user + ":", directory}}).status());
  std::error_code error;
  std::filesystem::rename(part, keys_file, error);
  return error ? absl::InternalError(StrCat(keys_file, ": ", error.message())) : absl::OkStatus();
}

absl::Status SetTimezone(const std::string& zone) {
  const std::filesystem::path file = "/usr/share/zoneinfo/" + zone;
  std::error_code error;
  if (zone.empty() || !std::filesystem::exists(file, error)) {
    return absl::OkStatus();
  }
  std::filesystem::remove("/etc/localtime.new", error);
  std::filesystem::create_symlink(file, "/etc/localtime.new", error);
  std::filesystem::rename("/etc/localtime.new", "/etc/localtime", error);
  return error ? absl::InternalError(StrCat("/etc/localtime: ", error.message()))
               : absl::OkStatus();
}

int Prepare() {
  // What cannot be read must not take from a node what it was told before: Wi-Fi, its name.
  const absl::StatusOr<CardSettings> read = ReadSettings();
  const CardSettings settings = read.value_or(CardSettings());
  const bool keep = !read.ok() && WasMadeHere(ReadFile(kNodeToml, kMaxSettingsBytes).value_or(""));
  std::string serial = Trimmed("/proc/device-tree/serial-number");
  const std::string name = FallbackName(serial, Trimmed("/etc/machine-id"));
  int failures = 0;
  const auto note = [&failures](std::string_view what, const absl::Status& status) {
    if (!status.ok()) {
      ++failures;
      Say(StrCat(what, ": ", MessageOf(status)));
    }
  };
  note(keep ? "kept as it was" : "nothing is set", read.status());
  if (!keep) {
    for (const NodeFile& file : NodeFiles(settings, name, HasJoined())) {
      note(file.path, Put(file));
    }
    const std::string hostname = settings.hostname.empty() ? name : settings.hostname;
    if (::sethostname(hostname.data(), hostname.size()) != 0) {
      note("host name", ErrnoStatus(errno, hostname));
    }
  }
  if (!settings.wifi.ssid.empty()) {
    note("wifi", RunCommandForOutput(
                     {.argv = {"systemctl", "start", "--no-block", "wpa_supplicant@wlan0.service"}})
                     .status());
  }
  note("user", MakeUser(settings));
  note("time zone", SetTimezone(settings.timezone));
  note("ssh host keys", MakeHostKeys());
  if (settings.grow) {
    note("growing the root file system", GrowRoot());
  }
  return failures == 0 ? 0 : 1;
}

// Over the old bytes, in place: nothing of a secret stays in a cluster that is free.
absl::Status WipeSecretsIn(const std::filesystem::path& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxSettingsBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::OkStatus();
  }
  BRAMBLE_RETURN_IF_ERROR(text.status());
  if (!HoldsSecrets(*text)) {
    return absl::OkStatus();
  }
  std::string clean = WithoutSecrets(*text);
  clean.resize(std::max(clean.size(), text->size()), '\n');
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_WRONLY));
  BRAMBLE_RETURN_IF_ERROR(WriteAll(fd.get(), clean, path.string()));
  return ::fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path.string());
}

int Wipe() {
  // The record is there as soon as the agent begins to write it.
  for (int waits = 0; !HasJoined() && waits < kMaxWaitsForIdentity; ++waits) {
    std::this_thread::sleep_for(kWaitForIdentity);
  }
  if (!HasJoined() || !IsMounted(kBoot)) {
    Say(HasJoined() ? "the boot partition is not mounted: its secrets stay"
                    : "not joined yet: the secrets stay");
    return 1;
  }
  // What makes the token needless is on the card before the token goes.
  ::sync();
  // Wi-Fi is needed at every boot; its settings are kept on the root before they go from here.
  absl::Status status = WipeSecretsIn(std::filesystem::path(kBoot) / kSettingsFile);
  status.Update(WipeSecretsIn(std::filesystem::path(kBoot) / kPreseedFile));
  std::error_code ignored;
  std::filesystem::remove(kJoinTokenFile, ignored);
  ::sync();
  if (!status.ok()) {
    Say(std::string(MessageOf(status)));
  }
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace bramble::sdcard

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--wipe") {
    return bramble::sdcard::Wipe();
  }
  if (argc != 1) {
    std::fprintf(stderr, "usage: bramble-first-boot [--wipe]\n");
    return 2;
  }
  return bramble::sdcard::Prepare();
}
