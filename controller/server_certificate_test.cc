// SPDX-License-Identifier: Apache-2.0
#include "controller/server_certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;

class ServerCertificateTest : public ::testing::Test {
 protected:
  ServerCertificateTest() {
    std::string pattern = fs::temp_directory_path() / "bramble-cert-XXXXXX";
    paths_.state = ::mkdtemp(pattern.data());
    ca_.key = PrivateKey::Generate();
    const CertificateDates dates{.not_before = now_ - std::chrono::hours(1),
                                 .not_after = now_ + std::chrono::hours(24 * 3650)};
    ca_.certificate = MakeCaCertificate(ca_.key, "test", dates).value();
  }
  ~ServerCertificateTest() override { fs::remove_all(paths_.state); }

  ServerCertificate Ensure(const std::vector<std::string>& names, WallTime now) {
    auto server = EnsureServerCertificate(paths_, ca_,
                                          {.dns_names = names, .ip_addresses = {"127.0.0.1"}}, now);
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }

  const WallTime now_{std::chrono::seconds(1'790'000'000)};
  StatePaths paths_;
  Issuer ca_;
};

TEST_F(ServerCertificateTest, IsKeptWhileNothingChanges) {
  const ServerCertificate first = Ensure({"pi"}, now_);
  const ServerCertificate again = Ensure({"pi"}, now_ + std::chrono::hours(24));

  EXPECT_TRUE(first.renewed);
  EXPECT_EQ(first.why, "") << "there was none before";
  EXPECT_FALSE(again.renewed);
  EXPECT_EQ(first.chain[0].Fingerprint(), again.chain[0].Fingerprint());
}

TEST_F(ServerCertificateTest, IsMadeAnewForANewNameAndTheKeyStays) {
  const ServerCertificate first = Ensure({"pi"}, now_);
  const ServerCertificate renamed = Ensure({"pi", "lab"}, now_);

  EXPECT_TRUE(renamed.renewed);
  EXPECT_EQ(first.key.Spki(), renamed.key.Spki());
  EXPECT_THAT(renamed.chain[0].DnsNames(), Contains("lab"));
  EXPECT_EQ(renamed.why, "it did not name what this machine is called now: lab");
  const ServerCertificate fewer = Ensure({"pi"}, now_);
  EXPECT_FALSE(fewer.renewed) << "a name that is gone does no harm";
}

TEST_F(ServerCertificateTest, IsMadeAnewForANewAddress) {
  Ensure({"pi"}, now_);
  const auto moved = EnsureServerCertificate(
      paths_, ca_, {.dns_names = {"pi"}, .ip_addresses = {"127.0.0.1", "192.0.2.7"}}, now_);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->why, "it did not name what this machine is called now: 192.0.2.7");
  EXPECT_THAT(moved->chain[0].IpAddresses(), Contains("192.0.2.7"));
}

TEST_F(ServerCertificateTest, IsMadeAnewWhenItsFileIsDamaged) {
  Ensure({"pi"}, now_);
  std::ofstream(paths_.ServerCertificate()) << "damaged";
  EXPECT_EQ(Ensure({"pi"}, now_).why, "it could not be read");
}

TEST_F(ServerCertificateTest, IsMadeAnewAtTwoThirdsOfItsLife) {
  Ensure({"pi"}, now_);
  EXPECT_FALSE(Ensure({"pi"}, now_ + std::chrono::hours(24 * 240)).renewed);
  EXPECT_EQ(Ensure({"pi"}, now_ + std::chrono::hours(24 * 250)).why,
            "two thirds of its life were over");
}

TEST_F(ServerCertificateTest, ThisMachineIsKnownByItsNamesAndAddresses) {
  const ServerNames names = LocalServerNames({"cluster.example", "192.0.2.7"});

  EXPECT_THAT(names.dns_names, Contains("localhost"));
  EXPECT_THAT(names.dns_names, Contains("cluster.example"));
  EXPECT_THAT(names.ip_addresses, Contains("127.0.0.1"));
  EXPECT_THAT(names.ip_addresses, Contains("192.0.2.7"));
}

}  // namespace
}  // namespace bramble::controller
