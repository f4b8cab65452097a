// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace bramble::controller {

// Where the controller keeps what survives it:
//
//   STATE/
//     controller.db             the store (SQLite; -wal and -shm beside it while it is open)
//     ca.key, ca.crt            the cluster's authority
//     server.key, server.crt    what both listeners show
//     lock                      held by the controller that uses this directory
//     setup-code                0600, until the cluster was initialised
//     blobs/sha256/ab/ab12…     images, named by the SHA-256 of their bytes
//     blobs/incoming/           uploads in one request; emptied at the start
//     blobs/uploads/            uploads that go on after an interruption
//     blobs/damaged/            blobs whose bytes no longer match their name
//     cards/                    base images of cards (NAME.img.zst), which an operator puts there
//     tmp/                      backups on their way out; emptied at the start
//   RUN/
//     ports.json                the ports that were bound
struct StatePaths {
  using Path = std::filesystem::path;
  Path state;
  Path run;

  Path Database() const { return state / "controller.db"; }
  Path CaKey() const { return state / "ca.key"; }
  Path CaCertificate() const { return state / "ca.crt"; }
  Path ServerKey() const { return state / "server.key"; }
  Path ServerCertificate() const { return state / "server.crt"; }
  Path Lock() const { return state / "lock"; }
  Path SetupCode() const { return state / "setup-code"; }
  Path Blobs() const { return state / "blobs"; }
  Path Temporary() const { return state / "tmp"; }
  Path Cards() const { return state / "cards"; }
  Path Ports() const { return run / "ports.json"; }
  Path DhcpLeases() const { return state / "dhcp.leases"; }
  Path Dnsmasq() const { return run / "dnsmasq"; }  // its configuration, written anew at each start
};

// Below StatePaths::Blobs().  `digest` is 64 hexadecimal digits.
struct BlobPaths {
  using Path = std::filesystem::path;
  Path root;

  Path Sha256() const { return root / "sha256"; }
  Path Incoming() const { return root / "incoming"; }
  Path Uploads() const { return root / "uploads"; }
  Path Damaged() const { return root / "damaged"; }
  Path DirectoryOf(std::string_view digest) const { return Sha256() / digest.substr(0, 2); }
  Path FileOf(std::string_view digest) const { return DirectoryOf(digest) / digest; }
};

}  // namespace bramble::controller
