// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/card/card_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/token.h"
#include "base/status.h"

namespace bramble::sdcard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE me@laptop";

std::string SomeToken() {
  return api::FormatJoinToken({.controller_key_sha256 = std::string(32, 'k'),
                               .id = TokenId::Parse("tok-0123456789abcdef").value_or(TokenId()),
                               .secret = std::string(16, 's'),
                               .addresses = {"172.16.0.1:8444"}});
}

std::string ErrorOf(std::string_view text) {
  return std::string(MessageOf(ParseCardSettings(text, "bramble.toml").status()));
}

TEST(CardSettingsTest, WhatIsWrittenIsReadBack) {
  CardSettings settings;
  settings.hostname = "pi-01";
  settings.controllers = {"172.16.0.1:8444"};
  settings.ssh_keys = {std::string(kKey)};
  settings.timezone = "Europe/Amsterdam";
  settings.grow = false;
  settings.address = Ipv4Interface::Parse("172.16.0.11/24").value();
  settings.wifi = {.ssid = "a \"quoted\" \\ name", .password = "longenough", .country = "NL"};
  settings.labels = {{"class", "a"}};

  const CardSettings again =
      ParseCardSettings(FormatCardSettings(settings).value(), "bramble.toml").value();

  EXPECT_EQ(again.hostname, "pi-01");
  EXPECT_THAT(again.ssh_keys, ElementsAre(std::string(kKey)));
  EXPECT_EQ(again.wifi.ssid, settings.wifi.ssid);
  EXPECT_EQ(again.address.str(), "172.16.0.11/24");
  EXPECT_EQ(again.labels, settings.labels);
  EXPECT_FALSE(again.grow);
}

TEST(CardSettingsTest, AnEmptyFileIsGoodAndSoIsWhatWeWriteOfNothing) {
  EXPECT_TRUE(ParseCardSettings("", "bramble.toml").ok());
  EXPECT_TRUE(FormatCardSettings({}).ok());
}

TEST(CardSettingsTest, WhatIsWrongIsNamedWithItsLine) {
  EXPECT_THAT(ErrorOf("\nhostname = \"Pi 1\"\n"),
              AllOf(HasSubstr("bramble.toml:2"), HasSubstr("no host name")));
  EXPECT_THAT(ErrorOf("hostnam = \"pi\""), HasSubstr("did you mean \"hostname\""));
  EXPECT_THAT(ErrorOf("join_token = \"brm2.x\""), HasSubstr("join_token"));
  EXPECT_THAT(ErrorOf("ssh_keys = [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]"),
              HasSubstr("public keys"));
  EXPECT_THAT(ErrorOf("[wifi]\nssid = \"x\"\npassword = \"short\""), HasSubstr("8 to 63"));
  EXPECT_THAT(ErrorOf("timezone = \"../../etc/passwd\""), HasSubstr("time zone"));
  EXPECT_THAT(ErrorOf("[network]\naddress = \"172.16.0.300\""), HasSubstr("address"));
}

TEST(CardSettingsTest, ControlCharactersAreNeverWritten) {
  CardSettings settings;
  settings.wifi.ssid = "a\nroot = 1";
  EXPECT_FALSE(FormatCardSettings(settings).ok());
}

TEST(CardSettingsTest, SecretsAreMaskedAndWipedAndNothingElse) {
  const std::string text =
      "# mine\nhostname = \"pi\"\njoin_token = \"brm1.geheim\"\n[wifi]\nssid = \"x\"\n"
      "  password = 'geheim2'\n";

  EXPECT_TRUE(HoldsSecrets(text));
  for (const std::string& changed : {MaskSecrets(text), WithoutSecrets(text)}) {
    EXPECT_THAT(changed, AllOf(Not(HasSubstr("geheim")), HasSubstr("# mine\nhostname = \"pi\""),
                               HasSubstr("ssid = \"x\"")));
  }
  EXPECT_TRUE(ParseCardSettings(WithoutSecrets(text), "bramble.toml").ok());
  EXPECT_FALSE(HoldsSecrets(WithoutSecrets(text)));
  EXPECT_EQ(WithoutSecrets(WithoutSecrets(text)), WithoutSecrets(text));
}

TEST(CardSettingsTest, ASecretOfSeveralLinesGoesWhole) {
  const std::string text = "join_token = \"\"\"\nbrm1.geheim\n\"\"\"\nhostname = \"pi\"\n";
  EXPECT_THAT(WithoutSecrets(text), AllOf(Not(HasSubstr("geheim")), HasSubstr("hostname")));
}

TEST(CardSettingsTest, ATokenSurvives) {
  CardSettings settings;
  settings.join_token = SomeToken();
  const auto text = FormatCardSettings(settings);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(ParseCardSettings(*text, "x")->join_token, settings.join_token);
}

TEST(PreseedTest, TakesWhatImagerWritesAndPassesOverTheRest) {
  const CardSettings settings =
      ParsePreseed(
          StrCat("config_version = 1\n[system]\nhostname = \"pi-07\"\n[user]\nname = \"juf\"\n"
                 "password = \"$6$salt$hash\"\npassword_encrypted = true\n[ssh]\nenabled = true\n"
                 "authorized_keys = [\"",
                 kKey,
                 "\"]\n[wlan]\nssid = \"school\"\npassword = \"welkom123\"\ncountry = \"NL\"\n"
                 "[locale]\ntimezone = \"Europe/Amsterdam\"\nkeymap = \"us\"\n"),
          "rpi-preseed.toml")
          .value();

  EXPECT_EQ(settings.hostname, "pi-07");
  EXPECT_EQ(settings.user, "juf");
  EXPECT_EQ(settings.user_password_hash, "$6$salt$hash");
  EXPECT_EQ(settings.wifi.ssid, "school");
  EXPECT_EQ(settings.timezone, "Europe/Amsterdam");
  EXPECT_THAT(settings.ssh_keys, ElementsAre(std::string(kKey)));
}

TEST(PreseedTest, APasswordInClearIsNotTaken) {
  EXPECT_EQ(
      ParsePreseed("[user]\nname = \"juf\"\npassword = \"geheim\"\n", "p")->user_password_hash, "");
}

TEST(MergeTest, WhatIsSetWins) {
  CardSettings base;
  base.hostname = "a";
  base.timezone = "UTC";
  CardSettings over;
  over.hostname = "b";

  const CardSettings merged = Merge(base, over);

  EXPECT_EQ(merged.hostname, "b");
  EXPECT_EQ(merged.timezone, "UTC");
}

TEST(HostNameOfCardTest, CountsOn) {
  EXPECT_EQ(HostNameOfCard("pi-01", 0), "pi-01");
  EXPECT_EQ(HostNameOfCard("pi-01", 11), "pi-12");
  EXPECT_EQ(HostNameOfCard("pi-9", 1), "pi-10");
  EXPECT_EQ(HostNameOfCard("pi", 0), "pi");
  EXPECT_EQ(HostNameOfCard("pi", 2), "pi-3");
}

}  // namespace
}  // namespace bramble::sdcard
