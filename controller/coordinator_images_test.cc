// SPDX-License-Identifier: Apache-2.0
#include "controller/coordinator_images.h"

#include "api/problem.h"
#include "controller/coordinator_fixture.h"

namespace bramble::controller {
namespace {

using testing::HasSubstr;
using testing::Not;

class ImagesTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    AddImage();
    AddNode("pi-1");
  }
  absl::Status Delete(const std::string& name) {
    return Do([&](WriteDone done) {
             coordinator_->images().Delete(Admin(), name, {}, std::move(done));
           })
        .status();
  }
  absl::Status Tag(const std::string& name) {
    return Do([&](WriteDone done) {
             coordinator_->images().Tag(Admin(), "busybox", name, {}, std::move(done));
           })
        .status();
  }
  std::string Image(const std::string& name) {
    return *coordinator_->images().Get(Admin(), name)->body;
  }
  void NoteBlobs(bool there) {
    coordinator_->images().NoteBlobs([there](const std::string&) { return there; });
    Settle();
  }
  std::string Cluster() { return *coordinator_->cluster().Get(Admin())->body; }
};

TEST_F(ImagesTest, AnImageInUseIsNotDeletedAndItsUsersAreNamed) {
  for (const char* name : {"web", "db", "mail", "cache"}) {
    ASSERT_TRUE(Create(Request(name)).ok());
  }
  const absl::Status refused = Delete("busybox");
  const api::Problem problem = api::ProblemOf(refused);
  EXPECT_EQ(problem.status, 409);
  EXPECT_EQ(problem.code, "in_use");
  EXPECT_THAT(problem.detail, HasSubstr("4 containers"));
  int named = 0;
  for (const char* name : {"web", "db", "mail", "cache"}) {
    named += problem.detail.find(name) != std::string::npos;
  }
  EXPECT_EQ(named, 3) << "the first few: " << problem.detail;
}

TEST_F(ImagesTest, AnImageWithoutItsBytesSaysSoUntilTheyAreThere) {
  ASSERT_TRUE(Tag("other:1").ok());
  NoteBlobs(true);
  EXPECT_THAT(Image("busybox"), Not(HasSubstr("missing")));

  NoteBlobs(false);
  EXPECT_THAT(Image("busybox"), HasSubstr("\"missing\":true"));
  EXPECT_THAT(Image("other:1"), HasSubstr("\"missing\":true"));
  EXPECT_THAT(Cluster(), HasSubstr("image blob missing: "));
  EXPECT_THAT(Cluster(), HasSubstr("import it again"));
  const uint64_t revision = coordinator_->state().revision();
  NoteBlobs(false);
  EXPECT_EQ(coordinator_->state().revision(), revision) << "said once";
  Restart();
  EXPECT_THAT(Image("busybox"), HasSubstr("\"missing\":true"));

  AddImage();
  EXPECT_THAT(Image("other:1"), Not(HasSubstr("missing"))) << "they are the same bytes";
  EXPECT_THAT(Cluster(), Not(HasSubstr("image blob missing")));
  NoteBlobs(true);
  EXPECT_THAT(Image("busybox"), Not(HasSubstr("missing")));
}

}  // namespace
}  // namespace bramble::controller
