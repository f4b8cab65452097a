// SPDX-License-Identifier: Apache-2.0
#include "api/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Context Whole() {
  return {.parts = {{"text/x-shellscript", "run.sh", "#!/bin/sh\n\xff"}, {"text/plain", "a", ""}},
          .vendor_data = "#cloud-config\n{}\n",
          .keys = {"ada"},
          .authorized_keys = {"ssh-ed25519 AAAA ada"},
          .user = "ada",
          .variables = {{"ONEAPP_SITE", "it's\nnorth"}},
          .secrets = {{"db.password", std::string("\0\1\2", 3)}}};
}

std::string Refusal(const Context& context) {
  return std::string(CheckContext(context, "context").message());
}

TEST(ContextTest, ItSurvivesJson) {
  const Context context = Whole();

  const auto read = ContextFromJson(json::value(ToJson(context)), "context", UnknownKeys::kRefuse);

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, context);
  EXPECT_EQ(
      ContextFromJson(json::value(ToJson(Context())), "context", UnknownKeys::kRefuse).value(),
      Context());
}

TEST(ContextTest, TheSummaryHoldsNoContentAndNoSecret) {
  const Context context = Whole();
  const ContextSummary summary = SummaryOf(context);

  const std::string text = json::serialize(ToJson(summary));

  EXPECT_THAT(summary.parts, ElementsAre("text/x-shellscript run.sh", "text/plain a"));
  EXPECT_THAT(summary.variables, ElementsAre("ONEAPP_SITE"));
  EXPECT_THAT(text, Not(HasSubstr("north")));
  EXPECT_THAT(text, Not(HasSubstr("db.password")));
  EXPECT_EQ(ContextSummaryFromJson(json::value(ToJson(summary)), "s").value(), summary);
}

TEST(ContextTest, ItsSizeIsLimitedInAllAndTheErrorSaysByHowMuch) {
  Context context;
  context.user_data = std::string(kMaxContextBytes, 'x');
  EXPECT_TRUE(CheckContext(context, "context").ok());

  context.secrets["ab"] = std::string(8, 'x');

  EXPECT_THAT(Refusal(context), HasSubstr("65546 bytes in all; at most 65536, so 10 too many"));
}

TEST(ContextTest, WhatIsNoNameOfItsKindIsRefusedByName) {
  const auto with = [](auto change) {
    Context context;
    change(context);
    return Refusal(context);
  };
  EXPECT_THAT(with([](Context& c) { c.variables["A B"] = ""; }), HasSubstr("variable \"A B\""));
  EXPECT_THAT(with([](Context& c) { c.variables["1A"] = ""; }), HasSubstr("variable"));
  EXPECT_THAT(with([](Context& c) { c.variables["A"] = std::string("x\0y", 3); }),
              HasSubstr("control characters"));
  EXPECT_THAT(with([](Context& c) { c.secrets["../x"] = ""; }), HasSubstr("secret \"../x\""));
  EXPECT_THAT(with([](Context& c) { c.secrets[".x"] = ""; }), HasSubstr("secret"));
  EXPECT_THAT(with([](Context& c) { c.user = "a:b"; }), HasSubstr("user \"a:b\""));
  EXPECT_THAT(with([](Context& c) { c.user = "Ada"; }), HasSubstr("user"));
  EXPECT_THAT(with([](Context& c) { c.keys = {"a b"}; }), HasSubstr("key"));
  EXPECT_THAT(with([](Context& c) {
                c.parts = {{"text/plain", "../x", ""}};
              }),
              HasSubstr("parts[0]"));
  EXPECT_THAT(with([](Context& c) { c.parts = {{"text/plain", "a\nb", ""}}; }), HasSubstr("name"));
  EXPECT_THAT(with([](Context& c) {
                c.parts = {{"text/plain\nX: y", "a", ""}};
              }),
              HasSubstr("type"));
  EXPECT_THAT(with([](Context& c) { c.parts = {{"plain", "a", ""}}; }), HasSubstr("in full"));
  EXPECT_THAT(with([](Context& c) {
                c.parts = {{"text/plain", "a", ""}};
                c.user_data = "x";
              }),
              HasSubstr("there is both"));
}

TEST(ContextTest, TextIsImpliedForATypeWithoutASlash) {
  EXPECT_EQ(ParsePartType("x-shellscript").value(), "text/x-shellscript");
  EXPECT_EQ(ParsePartType("application/octet-stream").value(), "application/octet-stream");
  for (const char* text : {"", "/", "text/", "/plain", "a/b/c", "multipart/mixed", "message/rfc822",
                           "text/plain; charset=x", "X-Shellscript"}) {
    EXPECT_FALSE(ParsePartType(text).ok()) << text;
  }
}

TEST(ContextTest, WhatIsNotBase64OrNotKnownIsRefused) {
  for (const char* text :
       {R"({"user_data_base64":"%%%"})", R"({"secrets_base64":{"a":"x"}})", R"({"user_data":"x"})",
        R"({"parts":[{"type":"text/plain"}]})", R"({"variables":{"A":1}})", "[]", "7"}) {
    EXPECT_FALSE(ContextFromJson(json::parse(text), "context", UnknownKeys::kRefuse).ok()) << text;
  }
}

TEST(ContextTest, AnImagesLabelIsOneOfThreeOrFoundOut) {
  EXPECT_EQ(ParseContextMode("minimal"), ContextMode::kMinimal);
  EXPECT_EQ(ParseContextMode("cloud-init"), ContextMode::kCloudInit);
  EXPECT_EQ(ParseContextMode("none"), ContextMode::kNone);
  EXPECT_EQ(ParseContextMode("perhaps"), ContextMode::kFindOut);
}

}  // namespace
}  // namespace bramble::api
