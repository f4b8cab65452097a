// SPDX-License-Identifier: Apache-2.0
#include "controller/auth/authority.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "controller/auth/node_identity.h"

namespace bramble::controller {
namespace {

namespace fs = std::filesystem;

class AuthorityTest : public ::testing::Test {
 protected:
  AuthorityTest() {
    std::string pattern = fs::temp_directory_path() / "bramble-ca-XXXXXX";
    paths_.state = ::mkdtemp(pattern.data());
  }
  ~AuthorityTest() override { fs::remove_all(paths_.state); }

  const ClusterId cluster_ = ClusterId::Parse("c1").value();
  const NodeId node_ = NodeId::Parse("n1").value();
  StatePaths paths_;
  FakeClock clock_;
};

TEST_F(AuthorityTest, IsTheSameAfterARestartAndItsKeysAreSecret) {
  const auto first = Authority::Open(paths_, clock_);
  const auto again = Authority::Open(paths_, clock_);

  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*first)->CaPem(), (*again)->CaPem());
  EXPECT_EQ((*first)->ServerKeySha256(), (*again)->ServerKeySha256());
  EXPECT_EQ(fs::status(paths_.CaKey()).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(AuthorityTest, ANodesCertificateNamesItWhateverItsRequestAskedFor) {
  const auto authority = Authority::Open(paths_, clock_);
  const PrivateKey key = PrivateKey::Generate();
  const std::string csr =
      MakeCertificateRequest(key, {.common_name = "root", .uris = {"urn:bramble:c1:node:other"}})
          .value();

  const auto issued = (*authority)->IssueNode(csr, cluster_, node_);

  ASSERT_TRUE(issued.ok()) << issued.status();
  const Certificate certificate = Certificate::FromPem(issued->certificate_pem).value();
  EXPECT_EQ(NodeIdOf(certificate), node_);
  EXPECT_EQ(certificate.Spki(), key.Spki());
  EXPECT_EQ(issued->key_sha256, key.Spki().Hex());
  EXPECT_LT(certificate.NotBefore(), clock_.Wall());
  EXPECT_TRUE(certificate.CheckSignedBy((*authority)->ca().certificate).ok());
}

TEST_F(AuthorityTest, ACertificateOfAnotherKeyIsRefused) {
  { ASSERT_TRUE(Authority::Open(paths_, clock_).ok()); }
  fs::remove(paths_.CaKey());

  EXPECT_TRUE(absl::IsFailedPrecondition(Authority::Open(paths_, clock_).status()));
}

TEST_F(AuthorityTest, WhatIsNoRequestIsRefused) {
  const auto authority = Authority::Open(paths_, clock_);
  EXPECT_TRUE(absl::IsInvalidArgument((*authority)->KeyOf("nonsense").status()));
}

}  // namespace
}  // namespace bramble::controller
