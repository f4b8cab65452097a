// SPDX-License-Identifier: Apache-2.0
// Keys, and what `container run` tells a container at its first start.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/context.h"
#include "base/file.h"
#include "tools/bramble/session_testing.h"

namespace bramble::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAda[] =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFehgrrWBv7nn74gfCImceREzxN1bo4x1Ew3NdtWKAWQ"
    " ada@lab";

class ContainerContextTest : public ::testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& text) {
    const std::filesystem::path path = terminal_.directory() / name;
    EXPECT_TRUE(WriteFileAtomically(path, text, 0600).ok());
    return path.string();
  }
  int Run(std::vector<std::string> more) {
    std::vector<std::string> words = {"container", "run", "web", "--image", "busybox", "--no-wait"};
    words.insert(words.end(), more.begin(), more.end());
    return terminal_.Run(words);
  }
  api::Context Sent() {
    const json::value body = json::parse(controller_.requests().at(0).body);
    return api::ContextFromJson(body.at("context"), "context", UnknownKeys::kRefuse).value();
  }

  FakeTerminal terminal_;
  FakeController& controller_ = terminal_.controller();
};

TEST_F(ContainerContextTest, PairsBecomePartsAndKeysAsStratusLabHadThem) {
  const std::string script = File("run.sh", "#!/bin/sh\n");
  const std::string key = File("key.pub", StrCat("# mine\n\n", kAda, "\n"));

  ASSERT_EQ(Run({"--context", "x-shellscript," + script, "--context", "ssh," + key, "--context",
                 "text/cloud-config," + script, "--key", "bob", "--user", "ada", "--set",
                 "ONEAPP_SITE=a=b", "--set-secret", "db=" + script}),
            0)
      << terminal_.err();

  const api::Context context = Sent();
  EXPECT_THAT(context.parts,
              ElementsAre(api::ContextPart{"text/x-shellscript", "run.sh", "#!/bin/sh\n"},
                          api::ContextPart{"text/cloud-config", "run.sh", "#!/bin/sh\n"}));
  EXPECT_THAT(context.authorized_keys, ElementsAre(kAda));
  EXPECT_THAT(context.keys, ElementsAre("bob"));
  EXPECT_EQ(context.user, "ada");
  EXPECT_EQ(context.variables.at("ONEAPP_SITE"), "a=b");
  EXPECT_EQ(context.secrets.at("db"), "#!/bin/sh\n");
}

TEST_F(ContainerContextTest, RawUserDataIsAllOfItAndTheRestIsSaid) {
  const std::string script = File("run.sh", "#!/bin/sh\n");
  const std::string raw = File("raw", "#cloud-config\n{}\n");

  ASSERT_EQ(Run({"--context", "x-shellscript," + script, "--context", "none," + raw}), 0);

  EXPECT_EQ(Sent().user_data, "#cloud-config\n{}\n");
  EXPECT_THAT(Sent().parts, ElementsAre());
  EXPECT_THAT(terminal_.err(), HasSubstr("run.sh is not used"));
}

TEST_F(ContainerContextTest, WithoutAFlagNothingIsSaid) {
  ASSERT_EQ(Run({}), 0);
  EXPECT_THAT(controller_.requests().at(0).body, Not(HasSubstr("context")));
}

TEST_F(ContainerContextTest, TheFileThatIsTooMuchIsNamedAndByHowMuch) {
  const std::string small = File("small.sh", std::string(60'000, 'x'));
  const std::string large = File("large.sh", std::string(6'000, 'x'));

  EXPECT_EQ(Run({"--context", "x-shellscript," + small, "--context", "x-shellscript," + large}), 1);

  EXPECT_THAT(terminal_.err(), HasSubstr("large.sh: 6000 bytes"));
  EXPECT_THAT(terminal_.err(), HasSubstr("at most 65536: 490 too many"));
  EXPECT_TRUE(controller_.requests().empty());
}

TEST_F(ContainerContextTest, MisuseIsFoundBeforeAnythingIsAsked) {
  const std::string script = File("run.sh", "#!/bin/sh\n");
  for (const std::vector<std::string>& flags :
       std::vector<std::vector<std::string>>{{"--context", script},
                                             {"--context", "," + script},
                                             {"--context", "x-shellscript,"},
                                             {"--context", "multipart/mixed," + script},
                                             {"--user", "Ada Lovelace"},
                                             {"--set", "A B=c"},
                                             {"--set", "novalue"},
                                             {"--set-secret", "../x=" + script}}) {
    EXPECT_EQ(Run(flags), 2) << flags[1];
  }
  EXPECT_EQ(Run({"--context", "ssh," + script}), 1) << "no key in it";
  EXPECT_EQ(Run({"--user-data", "/nowhere/x"}), 1);
  EXPECT_TRUE(controller_.requests().empty());
}

TEST_F(ContainerContextTest, APrivateKeyIsNotSent) {
  const std::string key = File("id", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n");

  EXPECT_EQ(terminal_.Run({"key", "add", "ada", key}), 1);

  EXPECT_THAT(terminal_.err(), HasSubstr("private key"));
  EXPECT_TRUE(controller_.requests().empty());
}

TEST_F(ContainerContextTest, AKeyIsAddedFromAFileOrStandardInputAndDeleted) {
  EXPECT_EQ(terminal_.Run({"key", "add", "ada", File("ada.pub", StrCat(kAda, "\n"))}), 0)
      << terminal_.err();
  EXPECT_EQ(json::parse(controller_.requests().back().body),
            (json::value{{"name", "ada"}, {"public_key", kAda}}));
  terminal_.Type(kAda);
  EXPECT_EQ(terminal_.Run({"key", "add", "bob", "-"}), 0) << terminal_.err();
  EXPECT_EQ(terminal_.Run({"key", "list", "-o", "name"}), 0);
  EXPECT_EQ(terminal_.out(), "ada\nbob\n");
  EXPECT_EQ(terminal_.Run({"key", "delete", "ada"}), 0);
}

}  // namespace
}  // namespace bramble::cli
