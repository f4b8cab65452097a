// SPDX-License-Identifier: Apache-2.0
#include "base/encoding.h"

#include <gtest/gtest.h>

namespace bramble {
namespace {

TEST(EncodingTest, HexadecimalBothWays) {
  EXPECT_EQ(HexEncode(std::string("\x00\xff\x10", 3)), "00ff10");
  EXPECT_EQ(HexDecode("00FF10").value(), std::string("\x00\xff\x10", 3));
  EXPECT_FALSE(HexDecode("0").ok());
  EXPECT_FALSE(HexDecode("0g").ok());
}

TEST(EncodingTest, Base64IsExact) {
  for (const std::string bytes : {"", "f", "fo", "foo", "\xff\xfe\xfd"}) {
    EXPECT_EQ(Base64Decode(Base64Encode(bytes)).value(), bytes);
  }
  for (const char* text :
       {"Zg", "Zg=", "Zh==", "Zg===", "====", "Z-__", "Zm9v\n", "Zm 9", "=Zg="}) {
    EXPECT_FALSE(Base64Decode(text).ok()) << text;
  }
}

TEST(EncodingTest, Base64UrlIsExact) {
  // RFC 4648, 10.
  EXPECT_EQ(Base64UrlEncode("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64UrlEncode("fooba"), "Zm9vYmE");
  EXPECT_EQ(Base64Encode("foob"), "Zm9vYg==");
  EXPECT_EQ(Base64UrlEncode("\xff\xfe"), "__4");
  for (const std::string bytes : {"", "f", "fo", "foo", "foob", "\xff\xfe\xfd"}) {
    EXPECT_EQ(Base64UrlDecode(Base64UrlEncode(bytes)).value(), bytes);
  }
  for (const char* text : {"Z", "Zg==", "Zm 9", "Zm9+", "Zh"}) {
    EXPECT_FALSE(Base64UrlDecode(text).ok()) << text;
  }
}

TEST(EncodingTest, PercentBothWays) {
  EXPECT_EQ(PercentDecode("a%20b%2Fc+").value(), "a b/c+");
  EXPECT_EQ(PercentEncode("a b/c~"), "a%20b%2Fc~");
  for (const char* text : {"%", "%1", "%zz", "abc%2"}) {
    EXPECT_FALSE(PercentDecode(text).ok()) << text;
  }
}

TEST(EncodingTest, Utf8IsStrict) {
  EXPECT_TRUE(IsUtf8("grün \xe2\x82\xac \xf0\x9f\x8d\x93"));
  for (const char* text : {"\xff", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                           "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

}  // namespace
}  // namespace bramble
