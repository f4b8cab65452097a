// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/guest_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/encoding.h"
#include "base/json.h"
#include "node/runtime/first_start_command.h"

namespace bramble::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

RuntimeSpec Spec() {
  RuntimeSpec spec;
  spec.id = ContainerId::Trusted("c1");
  spec.hostname = "web";
  spec.rebuild_count = 2;
  spec.nic = RuntimeNic{.mac = "02:42:ac:10:00:40",
                        .address = Ipv4Interface::Parse("172.16.0.64/24").value(),
                        .gateway = Ipv4::Parse("172.16.0.1").value(),
                        .dns = {Ipv4::Parse("172.16.0.11").value()},
                        .search_domain = "bramble.internal",
                        .floating = {Ipv4::Parse("172.16.0.230").value()}};
  return spec;
}

const GuestFile& File(const std::vector<GuestFile>& files, std::string_view end) {
  static const GuestFile kNone;
  for (const GuestFile& file : files) {
    if (file.path.ends_with(end)) {
      return file;
    }
  }
  ADD_FAILURE() << "no file " << end;
  return kNone;
}

// Below the comment: JSON, which is YAML.
json::value Parsed(const GuestFile& file) {
  return json::parse(file.content.substr(file.content.find('\n') + 1));
}

TEST(GuestContextTest, TheSeedNamesTheInstanceByContainerAndRebuild) {
  const auto files =
      SeedFiles(Spec(), {.user_data = "#!/bin/sh\n", .authorized_keys = {"ssh-x \"q"}});

  const json::value meta = Parsed(File(files, "meta-data"));
  EXPECT_EQ(meta.at("instance-id"), "bramble-c1-2");
  EXPECT_EQ(meta.at("local-hostname"), "web");
  EXPECT_EQ(meta.at("public-keys"), (json::array{"ssh-x \"q"}));
  EXPECT_EQ(File(files, "user-data").content, "#!/bin/sh\n") << "as it is";
  for (const GuestFile& file : files) {
    if (file.path.find("seed/nocloud") != std::string::npos) {
      EXPECT_EQ(file.mode, 0600u) << file.path;
    }
  }
}

TEST(GuestContextTest, TheNetworkConfigHasTheAddressThatTheOtherFilesHave) {
  const json::value config = Parsed(File(SeedFiles(Spec(), {}), "network-config"));

  const json::value& eth0 = config.at("ethernets").at("eth0");
  EXPECT_EQ(config.at("version"), 2);
  EXPECT_EQ(eth0.at("addresses"), (json::array{"172.16.0.64/24", "172.16.0.230/32"}));
  EXPECT_EQ(eth0.at("routes").at(0).at("via"), "172.16.0.1");
  EXPECT_EQ(eth0.at("nameservers").at("addresses"), (json::array{"172.16.0.11"}));
}

TEST(GuestContextTest, AUserIsVendorDataBesideThatOfThePerson) {
  const api::Context both = {.vendor_data = "#cloud-config\n{}\n", .user = "ada"};

  EXPECT_THAT(File(SeedFiles(Spec(), {.user = "ada"}), "vendor-data").content,
              HasSubstr("\"name\":\"ada\""));
  EXPECT_THAT(File(SeedFiles(Spec(), both), "vendor-data").content, HasSubstr("multipart/mixed"));
  EXPECT_EQ(File(SeedFiles(Spec(), {.vendor_data = "x"}), "vendor-data").content, "x");
}

TEST(GuestContextTest, PartsAreBase64SoThatNoneHoldsTheBoundary) {
  const std::string evil = "--=_bramble_context--\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n";
  const std::string text = MultipartOf(
      {{"text/plain", "a \"b\\.txt", evil}, {"text/x-shellscript", "run.sh", "#!/bin/sh\n"}});

  size_t boundaries = 0;
  for (size_t at = 0; (at = text.find("\n--=_bramble_context", at)) != std::string::npos; ++at) {
    ++boundaries;
  }
  EXPECT_EQ(boundaries, 3u);
  EXPECT_THAT(text, HasSubstr("filename=\"a \\\"b\\\\.txt\""));
  EXPECT_THAT(text, HasSubstr(Base64Encode("#!/bin/sh\n")));
}

TEST(GuestContextTest, VariablesAreQuotedForAShell) {
  const auto files = ContextFiles(Spec(), {.authorized_keys = {"ssh-a", "ssh-b"},
                                           .variables = {{"ONEAPP_X", "a'b $(c) `d`\n\"e\""}}});

  const GuestFile& script = File(files, "context.sh");
  EXPECT_EQ(script.path, "context/context.sh");
  EXPECT_EQ(script.mode, 0600u);
  EXPECT_EQ(script.directory_mode, 0700u);
  EXPECT_EQ(
      script.content,
      "# Context variables, written by Bramble.\n"
      "ONEAPP_X='a'\\''b $(c) `d`\n\"e\"'\nSET_HOSTNAME='web'\nSSH_PUBLIC_KEY='ssh-a\nssh-b'\n");
}

TEST(GuestContextTest, SecretsAreFilesOfTheirOwn) {
  const auto files = ContextFiles(Spec(), {.secrets = {{"db", std::string("\0s", 2)}}});

  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].path, "context/secrets/db");
  EXPECT_EQ(files[0].content, std::string("\0s", 2));
  EXPECT_EQ(files[0].mode, 0600u);
  EXPECT_EQ(files[0].directory_mode, 0700u);
}

TEST(GuestContextTest, WhatAnImageCannotUseIsNamed) {
  const api::Context context = {
      .parts = {{"text/x-shellscript", "run.sh", ""}, {"text/cloud-config", "c", ""}},
      .vendor_data = "x",
      .authorized_keys = {"k"}};

  EXPECT_THAT(UnusedBy(api::ContextMode::kCloudInit, context), IsEmpty());
  EXPECT_THAT(UnusedBy(api::ContextMode::kMinimal, context),
              ElementsAre("user data of type text/cloud-config (c)", "vendor data"));
  EXPECT_EQ(UnusedBy(api::ContextMode::kNone, context).size(), 4u);
  EXPECT_THAT(UnusedBy(api::ContextMode::kMinimal, {.user_data = "#!/bin/sh"}), IsEmpty());
  EXPECT_THAT(UnusedBy(api::ContextMode::kMinimal, {.user_data = "#cloud-config"}),
              ElementsAre("user data"));
}

TEST(FirstStartCommandTest, WhatTheContainerPrintsIsOneOfTheStates) {
  EXPECT_EQ(ParseFirstStart("ended 0\n").state, FirstStart::State::kEnded);
  EXPECT_EQ(ParseFirstStart("ended 3\n").code, 3);
  EXPECT_EQ(ParseFirstStart("due\n").state, FirstStart::State::kDue);
  for (const char* text :
       {"", "cut-off\n", "ended\n", "ended 300\n", "ended -1\n", "ended 1x\n", "ended  1\n"}) {
    EXPECT_EQ(ParseFirstStart(text).state, FirstStart::State::kCutOff) << text;
  }
}

}  // namespace
}  // namespace bramble::node
