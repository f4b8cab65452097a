// SPDX-License-Identifier: Apache-2.0
#include "api/public_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/strings.h"

namespace bramble::api {
namespace {

using ::testing::HasSubstr;

// Made by ssh-keygen of OpenSSH 9.2.
constexpr char kEd25519[] =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFehgrrWBv7nn74gfCImceREzxN1bo4x1Ew3NdtWKAWQ"
    " ada@lab";
constexpr char kRsa[] =
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDc9mRMPEiAhmzn2j9ouJpWHfvEqKu+tCh62pbsAO4Q"
    "aaP98cDBtLitto4i7wsILmhprmDLS0zNvipSxYZfccjLKzLuYpLYKGqkNGZ2N08KlCtEE4qF4okwMIFk"
    "M61sgyyPgRmuKhUCk+fYCmvd2T+EYb5NssrYY89d4q3bj8urIg2r2uTz2AUdZolAudOpjaKRqq0umAFB"
    "dybumF1GqKGsHIb+Wtaa8AO9hv93rVRFwxJ54ZjxDE9sdBhPLuzZriHzPnbZCi2i5tsyy2fRDVmzaqTy"
    "CF8z5Gs7j8ARXmut6j1NbW68PgJccbLHSZudwOsUxQlvZAPLIJ0ROEu9GvdP ada@lab";
constexpr char kEcdsa256[] =
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBF5BqkNK"
    "ypeqDIWaohiHC82lynQEsCavsoF2l7udrnvqpO7yEXMVliFWuhq5aUlDPbi1XT2fhRNoS+NX8NeQR8E="
    " ada@lab";
constexpr char kEcdsa384[] =
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBDyTsi0I"
    "9ESnKOm3nJq9pL6lI6sJyS65VzVQHtmJzsOkNqOwwR/W8mt0FF416IljDGQVOAR5Wq3qqjBfEgZIx8BU"
    "t3eI4ZIXyDFKNKrkunfPuKjAvC2XLeeqs9oIxQYsUg== ada@lab";
constexpr char kEcdsa521[] =
    "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBABepfFp"
    "Cs3lkZsQsec0Zk5LP/VXVHDKU56EJa634OiGyiFa+Lw0LiLwwJD7qWkq6e5DppQhB/J7xxEcKNqj+cy+"
    "SQEPuggmP/IvnFUdORIJ16YGhjGM29lcW1pMC9ZB1FLLaYJGn6pbjNczutDB45IaYSOqygoHl1sg6YBo"
    "QnLbGa81XQ== ada@lab";

std::string Field(std::string_view text) {
  const auto length = static_cast<char>(text.size());
  return StrCat(std::string("\0\0\0", 3), std::string(1, length), text);
}
std::string Line(std::string_view type, std::string_view blob) {
  return StrCat(type, " ", Base64Encode(blob));
}
std::string Refusal(std::string_view text) {
  const auto key = ParsePublicKey(text);
  return key.ok() ? "taken" : std::string(key.status().message());
}

TEST(PublicKeyTest, EveryTypeOfOpenSshIsReadAndWrittenBack) {
  const std::pair<const char*, int> keys[] = {
      {kEd25519, 256}, {kRsa, 2048}, {kEcdsa256, 256}, {kEcdsa384, 384}, {kEcdsa521, 521}};
  for (const auto& [text, bits] : keys) {
    const auto key = ParsePublicKey(StrCat(text, "\r\n"));

    ASSERT_TRUE(key.ok()) << text << ": " << key.status();
    EXPECT_EQ(key->bits, bits);
    EXPECT_EQ(key->comment, "ada@lab");
    EXPECT_EQ(key->str(), text);
  }
}

TEST(PublicKeyTest, AKeyOfASecurityKeyHasItsApplication) {
  const std::string type = "sk-ssh-ed25519@openssh.com";
  const std::string blob = StrCat(Field(type), Field(std::string(32, 'k')), Field("ssh:"));

  EXPECT_TRUE(ParsePublicKey(Line(type, blob)).ok());
  EXPECT_FALSE(ParsePublicKey(Line(type, blob.substr(0, blob.size() - 8))).ok());
}

TEST(PublicKeyTest, ACommentMayHaveSpacesOrBeMissing) {
  const std::string bare = std::string(kEd25519).substr(0, std::string(kEd25519).rfind(' '));

  EXPECT_EQ(ParsePublicKey(bare).value().comment, "");
  EXPECT_EQ(ParsePublicKey(bare + "  Ada of the lab ").value().comment, "Ada of the lab");
}

TEST(PublicKeyTest, WhatIsNoPublicKeyIsToldApart) {
  EXPECT_THAT(Refusal("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n"), HasSubstr("private key"));
  EXPECT_THAT(Refusal("PuTTY-User-Key-File-3: ssh-ed25519"), HasSubstr("private key"));
  EXPECT_THAT(Refusal("---- BEGIN SSH2 PUBLIC KEY ----"), HasSubstr("ssh-keygen -i"));
  EXPECT_THAT(Refusal(StrCat("command=\"reboot\" ", kEd25519)), HasSubstr("options"));
  EXPECT_THAT(Refusal("ssh-dss AAAA"), HasSubstr("DSA"));
  EXPECT_THAT(Refusal("ssh-ed25519-cert-v01@openssh.com AAAA"), HasSubstr("certificate"));
  EXPECT_THAT(Refusal(StrCat(kEd25519, "\n", kRsa)), HasSubstr("more than one line"));
  EXPECT_THAT(Refusal(""), HasSubstr("empty"));
  EXPECT_THAT(Refusal("ssh-ed25519"), HasSubstr("nothing follows"));
  EXPECT_THAT(Refusal(std::string(20'000, 'x')), HasSubstr("longer"));
}

TEST(PublicKeyTest, EveryDamagedKeyIsRefused) {
  const std::string whole = ParsePublicKey(kEd25519).value().blob;
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(Refusal(Line("ssh-ed25519", whole.substr(0, length))), "taken") << length;
  }
  EXPECT_NE(Refusal(Line("ssh-ed25519", whole + "x")), "taken");
  EXPECT_NE(Refusal(Line("ssh-rsa", whole)), "taken") << "of another type";
  EXPECT_NE(Refusal(StrCat("ssh-ed25519 ", "AAAA*")), "taken");
  EXPECT_NE(Refusal(StrCat(kEd25519, "\x01")), "taken");
  EXPECT_NE(Refusal(StrCat(kEd25519, "\xff")), "taken");
  // A length that runs over the end, or wraps around.
  EXPECT_NE(Refusal(Line("ssh-ed25519", Field("ssh-ed25519") + "\xff\xff\xff\xff")), "taken");
}

TEST(PublicKeyTest, RsaNumbersAreRealAndLargeEnough) {
  const auto rsa = [](std::string_view exponent, std::string_view modulus) {
    return Refusal(Line("ssh-rsa", StrCat(Field("ssh-rsa"), Field(exponent), Field(modulus))));
  };
  const std::string small = "\x7f" + std::string(126, 'a') + "\x01";

  EXPECT_THAT(rsa("\x03", small), HasSubstr("RSA of 1023 bits"));
  EXPECT_THAT(rsa("\x02", small), HasSubstr("RSA numbers")) << "even";
  EXPECT_THAT(rsa("", small), HasSubstr("RSA numbers"));
  EXPECT_THAT(rsa("\x81", small), HasSubstr("RSA numbers")) << "negative";
  EXPECT_THAT(rsa(std::string("\0\x03", 2), small), HasSubstr("RSA numbers")) << "not the shortest";
}

TEST(PublicKeyTest, APointIsOfItsCurve) {
  const auto point = [](std::string_view curve, const std::string& bytes) {
    return Refusal(Line("ecdsa-sha2-nistp256",
                        StrCat(Field("ecdsa-sha2-nistp256"), Field(curve), Field(bytes))));
  };
  const std::string good = "\x04" + std::string(64, 'p');

  EXPECT_EQ(point("nistp256", good), "taken");
  EXPECT_THAT(point("nistp384", good), HasSubstr("no point"));
  EXPECT_THAT(point("nistp256", "\x02" + std::string(32, 'p')), HasSubstr("no point"));
  EXPECT_THAT(point("nistp256", good + "p"), HasSubstr("no point"));
}

}  // namespace
}  // namespace bramble::api
