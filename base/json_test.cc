// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble {
namespace {

using ::testing::HasSubstr;

TEST(ParseJsonTest, RefusesWhatIsTooDeepTooLongNotUtf8OrHasAKeyTwice) {
  EXPECT_TRUE(ParseJson(R"({"a":[1,{"b":"c:\":"}]})").ok());
  EXPECT_THAT(MessageOf(ParseJson(std::string(40, '[') + std::string(40, ']')).status()),
              HasSubstr("deeper than 32"));
  EXPECT_THAT(MessageOf(ParseJson("[1,2,3]", 4).status()), HasSubstr("limit is 4"));
  EXPECT_FALSE(ParseJson("\"\xff\xfe\"").ok());
  EXPECT_THAT(MessageOf(ParseJson(R"({"a":1,"a":2})").status()), HasSubstr("same key twice"));
  EXPECT_FALSE(ParseJson("{} {}").ok());
  EXPECT_FALSE(ParseJson("").ok());
}

TEST(JsonObjectReaderTest, NamesThePathOfTheFirstFailure) {
  const json::value value = ParseJson(R"({"name":"web","uses":0,"tags":["a",2]})").value();
  JsonObjectReader reader(value, "token");

  EXPECT_EQ(reader.String("name"), "web");
  EXPECT_EQ(reader.Int("uses", {.min = 1, .max = 9}), 0);
  reader.StringList("tags");

  EXPECT_EQ(MessageOf(reader.Finish()), "token.uses: must be from 1 to 9");
}

TEST(JsonObjectReaderTest, RefusesUnknownKeysOnlyWhenAsked) {
  const json::value value = ParseJson(R"({"name":"web","colour":"red"})").value();
  JsonObjectReader strict(value, "container", UnknownKeys::kRefuse);
  JsonObjectReader lenient(value, "container");

  strict.String("name");
  lenient.String("name");

  EXPECT_EQ(MessageOf(strict.Finish()), "container: unknown field \"colour\"");
  EXPECT_TRUE(lenient.Finish().ok());
}

TEST(JsonObjectReaderTest, RefusesControlCharactersUnlessAllowed) {
  const json::value value = ParseJson(R"({"a":"x\u0007y"})").value();
  JsonObjectReader reader(value, "o");
  JsonObjectReader allowing(value, "o");

  reader.String("a");
  EXPECT_EQ(allowing.String("a", {.allow_control = true}), "x\ay");

  EXPECT_EQ(MessageOf(reader.Finish()), "o.a: contains a control character");
  EXPECT_TRUE(allowing.Finish().ok());
}

TEST(JsonObjectReaderTest, SaysWhatIsMissing) {
  const json::value value = ParseJson("{}").value();
  JsonObjectReader reader(value, "node");
  reader.Bool("cordoned");
  EXPECT_EQ(MessageOf(reader.Finish()), "node.cordoned: missing");

  JsonObjectReader not_an_object(ParseJson("3").value(), "node");
  EXPECT_EQ(MessageOf(not_an_object.Finish()), "node: expected an object");
}

}  // namespace
}  // namespace bramble
