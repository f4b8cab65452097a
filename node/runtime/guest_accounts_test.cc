// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/guest_accounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bramble::node {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(GuestAccountsTest, AUserIsMadeWithTheNextIdAGroupAndNoPassword) {
  AccountFiles files = {.passwd = "root:x:0:0:root:/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh",
                        .group = "root:x:0:\nusers:x:1001:\n",
                        .shadow = "root:*:1:::::\n"};

  const GuestUser ada = AddAccount(files, "ada", "/bin/bash");

  EXPECT_EQ(ada.uid, 1002u);
  EXPECT_EQ(ada.gid, 1002u);
  EXPECT_EQ(ada.home, "/home/ada");
  EXPECT_THAT(*files.passwd, EndsWith("/bin/sh\nada:x:1002:1002::/home/ada:/bin/bash\n"));
  EXPECT_THAT(*files.group, EndsWith("ada:x:1002:\n"));
  EXPECT_THAT(*files.shadow, EndsWith("ada:*:::::::\n"));
}

TEST(GuestAccountsTest, AUserThatIsThereIsLeftAlone) {
  const AccountFiles before = {.passwd = "ada:x:7:8::/srv/ada:/bin/sh\n"};
  AccountFiles files = before;

  const GuestUser ada = AddAccount(files, "ada", "/bin/sh");

  EXPECT_EQ(ada.uid, 7u);
  EXPECT_EQ(ada.home, "/srv/ada");
  EXPECT_EQ(files, before);
}

TEST(GuestAccountsTest, AGroupOfTheNameIsTaken) {
  AccountFiles files = {.passwd = "", .group = "ada:x:50:\n"};

  EXPECT_EQ(AddAccount(files, "ada", "/bin/sh").gid, 50u);
  EXPECT_EQ(*files.group, "ada:x:50:\n");
}

TEST(GuestAccountsTest, ATreeWithoutPasswdGetsOneForAUserAndNoneForRoot) {
  AccountFiles files;
  EXPECT_EQ(AddAccount(files, "root", "/bin/sh").home, "/root");
  EXPECT_EQ(files, AccountFiles());

  EXPECT_EQ(AddAccount(files, "ada", "/bin/sh").uid, 1000u);

  EXPECT_EQ(*files.passwd, "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n");
  EXPECT_FALSE(files.shadow.has_value());
}

TEST(GuestAccountsTest, LinesThatAreNoneAreKeptAndDoNoHarm) {
  AccountFiles files = {.passwd = "::::::\nada\n\nx:x:-5:99999999999::/:/bin/sh\n", .group = "ada"};

  const GuestUser ada = AddAccount(files, "ada", "/bin/sh");

  EXPECT_EQ(ada.uid, 1000u);
  EXPECT_THAT(*files.passwd, HasSubstr("::::::\nada\n\n"));
}

TEST(GuestAccountsTest, AKeyIsAddedOnce) {
  const std::string once = WithKeys("# mine\nssh-rsa X", {"ssh-rsa X", "ssh-ed25519 Y"});

  EXPECT_EQ(once, "# mine\nssh-rsa X\nssh-ed25519 Y\n");
  EXPECT_EQ(WithKeys(once, {"ssh-ed25519 Y"}), once);
}

}  // namespace
}  // namespace bramble::node
