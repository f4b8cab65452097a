// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tools/bramble/args.h"
#include "tools/bramble/session_testing.h"

namespace bramble::cli {
namespace {

using ::testing::HasSubstr;

TEST(CredentialsTest, SeveralControllersAreKeptPrivateAndChosenByNameOrAddress) {
  FakeTerminal terminal;
  const CredentialStore& store = terminal.credentials();
  const Credential school = {.url = "https://10.0.0.1:8443", .token = "s", .spki_sha256 = "ab"};
  const Credential home = {.url = "https://172.16.0.1:8443", .token = "h", .ca_pem = "P\nEM\n"};

  ASSERT_TRUE(store.Add("school", school).ok());
  ASSERT_TRUE(store.Add("home", home).ok());

  struct stat info = {};
  ASSERT_EQ(::stat(store.file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(*store.Choose(""), home) << "the last one that was added";
  EXPECT_EQ(*store.Choose("school"), school);
  EXPECT_EQ(*store.Choose("10.0.0.1"), school) << "scheme and port have defaults";
  EXPECT_THAT(std::string(store.Choose("work").status().message()),
              HasSubstr("known: home (https://172.16.0.1:8443), school"));
}

TEST(CredentialsTest, WithoutAFileTheNextStepIsNamed) {
  FakeTerminal terminal;
  const absl::Status status = terminal.credentials().Choose("").status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("bramble cluster init"));
}

TEST(CredentialsTest, AFileThatOthersReadOrThatIsBrokenIsRefused) {
  FakeTerminal terminal;
  const CredentialStore& store = terminal.credentials();
  ASSERT_TRUE(store.Add("a", {.url = "https://a:8443", .token = "t", .spki_sha256 = "ab"}).ok());
  ::chmod(store.file().c_str(), 0644);
  EXPECT_THAT(std::string(store.Load().status().message()), HasSubstr("chmod 600"));
  ::chmod(store.file().c_str(), 0600);
  for (const char* text : {"", "{", "[]", R"({"controllers":{"a":{"url":1}}})",
                           R"({"controllers":{"a":{"url":"u","token":"t","extra":1}}})"}) {
    std::ofstream(store.file()) << text;
    EXPECT_TRUE(absl::IsDataLoss(store.Load().status())) << text;
    EXPECT_FALSE(store.Add("b", {}).ok()) << "what is broken is not overwritten";
  }
}

TEST(CredentialsTest, UrlsAndFingerprintsAreReadWhole) {
  EXPECT_EQ(*NormalUrl("172.16.0.1"), "https://172.16.0.1:8443");
  EXPECT_EQ(*NormalUrl("https://pi.example:9000/"), "https://pi.example:9000");
  EXPECT_EQ(*NormalUrl("[fe80::1]"), "https://[fe80::1]:8443");
  for (const char* bad : {"", "http://a:8443", "https://", "https://a:x", "https://a/b", "a b",
                          "https://a:8443@b", "a:999999"}) {
    EXPECT_TRUE(IsMisuse(NormalUrl(bad).status())) << bad;
  }
  const std::string hex(64, 'a');
  EXPECT_EQ(*ParseFingerprint("sha256:" + hex), hex);
  EXPECT_EQ(*ParseFingerprint(std::string(64, 'A')), hex);
  EXPECT_FALSE(ParseFingerprint("sha256:" + hex + "a").ok());
  EXPECT_FALSE(ParseFingerprint("sha256:zz").ok());
}

TEST(CredentialsTest, DirectoryFollowsTheEnvironment) {
  EXPECT_EQ(CredentialStore::DirectoryOf("/x", "/y", "/z"), "/x");
  EXPECT_EQ(CredentialStore::DirectoryOf("", "/y", "/z"), "/y/bramble");
  EXPECT_EQ(CredentialStore::DirectoryOf("", "", "/z"), "/z/.config/bramble");
}

}  // namespace
}  // namespace bramble::cli
