// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/certificate.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/temporary_directory.h"

namespace bramble {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

WallTime At(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

TEST(HashTest, MatchesTheStandardsVectors) {
  // FIPS 180-4's "abc"; RFC 4231, test case 2.
  EXPECT_EQ(Sha256("abc").Hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HmacSha256("Jefe", "what do ya want for nothing?").Hex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  Sha256Stream stream;
  stream.Update("a");
  stream.Update("bc");
  EXPECT_EQ(stream.Finish(), Sha256("abc"));
  EXPECT_EQ(Sha256Digest::FromHex(Sha256("abc").Hex()).value(), Sha256("abc"));
  EXPECT_FALSE(Sha256Digest::FromHex("ba78").ok());
}

TEST(HashTest, ComparesInConstantTime) {
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abcd"));
}

TEST(KeyTest, SavedKeyIsPrivateAndTheSame) {
  const TemporaryDirectory dir;
  const PrivateKey key = PrivateKey::LoadOrCreate(dir / "key.pem").value();

  EXPECT_EQ(PrivateKey::LoadOrCreate(dir / "key.pem")->Spki(), key.Spki());
  struct stat info;
  ASSERT_EQ(::stat((dir / "key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  ASSERT_EQ(::chmod((dir / "key.pem").c_str(), 0644), 0);
  const absl::Status status = PrivateKey::Load(dir / "key.pem").status();
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("chmod 600"));
}

TEST(KeyTest, BrokenKeyFileIsNotReplaced) {
  const TemporaryDirectory dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "key.pem", "garbage", 0600).ok());

  EXPECT_TRUE(absl::IsInvalidArgument(PrivateKey::LoadOrCreate(dir / "key.pem").status()));
  EXPECT_EQ(ReadFile(dir / "key.pem", 100).value(), "garbage");
}

TEST(KeyTest, SignatureIsTheKeysAndTheMessages) {
  const PrivateKey key = PrivateKey::Generate();
  const std::string signature = key.Sign("time");

  EXPECT_TRUE(key.Public().Verify("time", signature).ok());
  EXPECT_TRUE(PublicKey::FromDer(key.Public().Der())->Verify("time", signature).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(key.Public().Verify("tame", signature)));
  EXPECT_TRUE(absl::IsPermissionDenied(PrivateKey::Generate().Public().Verify("time", signature)));
  EXPECT_FALSE(PublicKey::FromDer(key.Public().Der() + "x").ok());
}

class CertificateTest : public ::testing::Test {
 protected:
  PrivateKey ca_key_ = PrivateKey::Generate();
  Certificate ca_ = MakeCaCertificate(ca_key_, "Bramble", {At(1000), At(2'000'000'000)}).value();
  PrivateKey key_ = PrivateKey::Generate();
};

TEST_F(CertificateTest, LeafSaysWhatItWasIssuedWith) {
  CertificateSubject subject;
  subject.common_name = "controller";
  subject.dns_names = {"controller.bramble.internal", "localhost"};
  subject.ip_addresses = {"172.16.0.1", "::1"};
  subject.uris = {"bramble:node:abc"};

  const Certificate issued =
      IssueCertificate({ca_, ca_key_}, key_.Public(), subject,
                       {At(1'600'000'000), At(4'000'000'000)}, CertificateUse::kServerAndClient)
          .value();
  const Certificate leaf = Certificate::FromPem(issued.Pem()).value();

  EXPECT_EQ(leaf.CommonName(), "controller");
  EXPECT_EQ(leaf.DnsNames(), subject.dns_names);
  EXPECT_EQ(leaf.IpAddresses(), subject.ip_addresses);
  EXPECT_EQ(leaf.Uris(), subject.uris);
  EXPECT_EQ(leaf.NotBefore(), At(1'600'000'000));
  EXPECT_EQ(leaf.NotAfter(), At(4'000'000'000));
  EXPECT_EQ(leaf.Spki(), key_.Spki());
  EXPECT_EQ(leaf.Key().Spki(), key_.Spki());
  EXPECT_EQ(leaf.SerialHex().size(), 32u);
  EXPECT_TRUE(leaf.CheckSignedBy(ca_).ok());
  EXPECT_NE(leaf.SerialHex(), ca_.SerialHex());
  EXPECT_EQ(Certificate::ChainFromPem(leaf.Pem() + ca_.Pem())->size(), 2u);
}

TEST_F(CertificateTest, AnotherCasLeafIsRefused) {
  const PrivateKey other_key = PrivateKey::Generate();
  const Certificate other =
      MakeCaCertificate(other_key, "Bramble", {At(1000), At(2'000'000'000)}).value();
  const Certificate leaf = IssueCertificate({other, other_key}, key_.Public(), {.common_name = "n"},
                                            {At(1000), At(2'000'000'000)}, CertificateUse::kClient)
                               .value();

  EXPECT_TRUE(absl::IsPermissionDenied(leaf.CheckSignedBy(ca_))) << "the same name, another key";
}

TEST_F(CertificateTest, BadNamesAreRefused) {
  const auto issue = [this](CertificateSubject subject) {
    return IssueCertificate({ca_, ca_key_}, key_.Public(), subject, {At(1000), At(2000)},
                            CertificateUse::kClient)
        .status();
  };

  EXPECT_TRUE(absl::IsInvalidArgument(issue({.common_name = ""})));
  EXPECT_TRUE(absl::IsInvalidArgument(issue({.common_name = std::string(65, 'x')})));
  EXPECT_TRUE(
      absl::IsInvalidArgument(issue({.common_name = "n", .dns_names = {std::string("a\0b", 3)}})));
  EXPECT_TRUE(absl::IsInvalidArgument(issue({.common_name = "n", .ip_addresses = {"1.2.3"}})));
}

TEST_F(CertificateTest, RequestCarriesKeyAndNamesAndIsSignedByTheKey) {
  CertificateSubject subject;
  subject.common_name = "pi4";
  subject.dns_names = {"pi4.node.bramble.internal"};
  subject.uris = {"bramble:node:abc"};
  const std::string pem = MakeCertificateRequest(key_, subject).value();

  const CertificateRequest request = ParseCertificateRequest(pem).value();

  EXPECT_EQ(request.key.Spki(), key_.Spki());
  EXPECT_EQ(request.subject.common_name, "pi4");
  EXPECT_THAT(request.subject.dns_names, ElementsAre("pi4.node.bramble.internal"));
  EXPECT_THAT(request.subject.uris, ElementsAre("bramble:node:abc"));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseCertificateRequest("garbage").status()));
  // One byte of the signature changed.
  std::string tampered = pem;
  const size_t end = tampered.rfind("\n-----END");
  tampered[end - 6] = tampered[end - 6] == 'A' ? 'B' : 'A';
  EXPECT_TRUE(absl::IsInvalidArgument(ParseCertificateRequest(tampered).status()));
}

}  // namespace
}  // namespace bramble
