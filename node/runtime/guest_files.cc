// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/guest_files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"

#include "absl/strings/numbers.h"

namespace bramble::node {
namespace {

std::string HostsOf(const RuntimeSpec& spec) {
  std::string names = spec.hostname;
  if (spec.nic.has_value() && !spec.nic->search_domain.empty()) {
    names = StrCat(spec.hostname, ".", spec.nic->search_domain, " ", spec.hostname);
  }
  const bool addressed = spec.nic.has_value() && !spec.nic->address.address.empty();
  return StrCat("127.0.0.1\tlocalhost\n", addressed ? spec.nic->address.address.str() : "127.0.1.1",
                "\t", names, "\n", "::1\tlocalhost ip6-localhost ip6-loopback\n");
}

std::string ResolverOf(const RuntimeNic& nic) {
  std::string text;
  if (!nic.search_domain.empty()) {
    text = StrCat("search ", nic.search_domain, "\n");
  }
  for (const Ipv4 server : nic.dns) {
    text += StrCat("nameserver ", server.str(), "\n");
  }
  return text;
}

// `before` and `after` around each floating address.
std::string FloatingOf(const RuntimeNic& nic, std::string_view before, std::string_view after) {
  std::string text;
  for (const Ipv4 address : nic.floating) {
    text += StrCat(before, address.str(), after);
  }
  return text;
}

std::string NetworkdOf(const RuntimeNic& nic) {
  std::string text =
      StrCat("# Written by Bramble.\n[Match]\nName=eth0\n\n[Network]\nAddress=", nic.address.str(),
             FloatingOf(nic, "\nAddress=", "/32"),
             "\nDHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nKeepConfiguration=static\n");
  if (!nic.gateway.empty()) {
    text += StrCat("Gateway=", nic.gateway.str(), "\n");
  }
  for (const Ipv4 server : nic.dns) {
    text += StrCat("DNS=", server.str(), "\n");
  }
  if (!nic.search_domain.empty()) {
    text += StrCat("Domains=", nic.search_domain, "\n");
  }
  return text;
}

std::string IfupdownOf(const RuntimeNic& nic) {
  // The addresses are there already, and `ip address add` would fail on them.  busybox's ifup adds
  // that of lo too, Debian's leaves it to the kernel; it wants the mask on a line of its own.
  std::string text = StrCat(
      "# Written by Bramble.\nauto lo\niface lo inet loopback\n    pre-up ip -4 address flush dev "
      "lo || true\n    up ip address add 127.0.0.1/8 dev lo || true\n\nauto eth0\niface eth0 inet "
      "static\n    pre-up ip -4 address flush dev eth0 || true\n    address ",
      nic.address.address.str(), "\n    netmask ", nic.address.prefix().mask().str(), "\n");
  if (!nic.gateway.empty()) {
    text += StrCat("    gateway ", nic.gateway.str(), "\n");
  }
  text += FloatingOf(nic, "    up ip address add ", "/32 dev eth0 || true\n");
  return text;
}

std::string NetplanOf(const RuntimeNic& nic) {
  std::string text = StrCat(
      "# Written by Bramble.\nnetwork:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: false\n"
      "      dhcp6: false\n      accept-ra: false\n      link-local: []\n      addresses: [\"",
      nic.address.str(), "\"", FloatingOf(nic, ", \"", "/32\""), "]\n");
  if (!nic.gateway.empty()) {
    text += StrCat("      routes: [{to: default, via: ", nic.gateway.str(), "}]\n");
  }
  std::string servers;
  for (const Ipv4 server : nic.dns) {
    servers += StrCat(servers.empty() ? "" : ", ", server.str());
  }
  if (!servers.empty()) {
    text += StrCat("      nameservers:\n        addresses: [", servers, "]\n");
    if (!nic.search_domain.empty()) {
      text += StrCat("        search: [\"", nic.search_domain, "\"]\n");
    }
  }
  return text;
}

bool IsDirectory(int root, const std::string& path) {
  return OpenBeneath(root, path, O_PATH | O_DIRECTORY).ok();
}

}  // namespace

std::vector<GuestFile> GuestFilesFor(const RuntimeSpec& spec) {
  std::vector<GuestFile> files = {{"etc/hostname", spec.hostname + "\n", ""},
                                  {"etc/hosts", HostsOf(spec), ""}};
  if (!spec.nic.has_value()) {
    return files;
  }
  const RuntimeNic& nic = *spec.nic;
  if (!nic.dns.empty()) {
    files.push_back({"etc/resolv.conf", ResolverOf(nic), ""});
  }
  if (nic.address.address.empty()) {
    return files;
  }
  files.push_back({"etc/systemd/network/05-bramble.network", NetworkdOf(nic), "etc/systemd"});
  files.push_back({"etc/network/interfaces", IfupdownOf(nic), "etc/network"});
  files.push_back({"etc/netplan/90-bramble.yaml", NetplanOf(nic), "etc/netplan", 0600});
  files.push_back({"etc/cloud/cloud.cfg.d/99-bramble.cfg",
                   "# Written by Bramble.\nnetwork: {config: disabled}\n", "etc/cloud"});
  return files;
}

std::string GuestFilesPrint(const RuntimeSpec& spec) {
  std::string print;
  for (const GuestFile& file : GuestFilesFor(spec)) {
    print += StrCat(file.path, "\n", file.content);
  }
  if (!spec.context.empty() || !spec.context_mode.empty()) {
    print += StrCat("context ", spec.context, " ", spec.context_mode, "\n");
  }
  return print;
}

absl::StatusOr<GuestInit> InspectInit(int root) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd sbin, OpenBeneath(root, "sbin", O_PATH | O_DIRECTORY));
  struct stat info = {};
  if (fstatat(sbin.get(), "init", &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return absl::FailedPreconditionError("the image has no /sbin/init");
  }
  std::string target;
  if (S_ISLNK(info.st_mode)) {
    char buffer[4096];
    const ssize_t n = readlinkat(sbin.get(), "init", buffer, sizeof(buffer));
    target.assign(buffer, n > 0 ? static_cast<size_t>(n) : 0);
  }
  const std::string program = target.substr(target.rfind('/') + 1);
  GuestInit init;
  // systemd: init-halt in systemd(1), "Signals".  busybox: init/init.c, SIGUSR2 is power off.
  init.halt_signal = program == "systemd" ? SIGRTMIN + 3 : program == "busybox" ? SIGUSR2 : SIGPWR;
  return init;
}

absl::Status WriteGuestFiles(int root, const std::vector<GuestFile>& files, bool all) {
  for (const GuestFile& file : files) {
    if (!file.if_directory.empty() && !IsDirectory(root, file.if_directory)) {
      continue;
    }
    if (!all) {
      const auto info = StatBeneath(root, file.path);
      if (!info.ok() || !S_ISREG(info->st_mode) || info->st_size != 0) {
        continue;  // as it was left, by whomever
      }
    }
    const std::string directory = file.path.substr(0, file.path.rfind('/'));
    absl::Status status = MakeDirectoriesBeneath(root, directory, file.directory_mode);
    if (status.ok()) {
      status = WriteBeneath(root, file.path, file.content, file.mode);
    }
    if (!status.ok()) {
      return absl::Status(status.code(),
                          StrCat("/", file.path, " in the container: ", MessageOf(status)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int> ParseSignal(std::string_view text) {
  std::string name(text);
  int number = 0;
  if (absl::SimpleAtoi(name, &number) && number > 0 && number < NSIG) {
    return number;
  }
  if (name.starts_with("SIG")) {
    name = name.substr(3);
  }
  if (name.starts_with("RTMIN+") && absl::SimpleAtoi(name.substr(6), &number) && number >= 0 &&
      SIGRTMIN + number <= SIGRTMAX) {
    return SIGRTMIN + number;
  }
  for (number = 1; number < NSIG; ++number) {
    const char* abbreviation = sigabbrev_np(number);
    if (abbreviation != nullptr && name == abbreviation) {
      return number;
    }
  }
  return absl::InvalidArgumentError(StrCat("signal ", text, ": not known"));
}

}  // namespace bramble::node
