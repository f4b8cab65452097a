// SPDX-License-Identifier: Apache-2.0
#include "node/health/indicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/file.h"
#include "base/run_on_loop.h"
#include "base/status.h"
#include "base/temporary_directory.h"
#include "base/timer.h"

namespace bramble::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::StartsWith;

TEST(IndicatorTest, ChoosesTheActivityLedOfAPi) {
  EXPECT_EQ(ChooseLed({"PWR", "ACT", "default-on"}), "ACT");
  EXPECT_EQ(ChooseLed({"led1", "led0"}), "led0");
  EXPECT_EQ(ChooseLed({"input3::capslock", "user:green", "eth0-0:amber:lan"}), "user:green");
  EXPECT_EQ(ChooseLed({"input3::capslock", "mmc0::"}), std::nullopt);
  EXPECT_EQ(ChooseLed({}), std::nullopt);
}

TEST(IndicatorTest, ReadsTheActiveTrigger) {
  EXPECT_EQ(ActiveTrigger("none rc-feedback [mmc0] timer\n"), "mmc0");
  EXPECT_EQ(ActiveTrigger("[none] timer"), "none");
  EXPECT_EQ(ActiveTrigger("none timer"), "");
  EXPECT_EQ(ActiveTrigger("broken ["), "");
}

// A file of the fixture keeps the bytes beyond what was written over it, unlike sysfs: what it
// begins with is what was written last.
class LedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(Led());
    ASSERT_TRUE(WriteFileAtomically(Led() / "trigger", "none timer [mmc0]\n").ok());
    ASSERT_TRUE(WriteFileAtomically(Led() / "brightness", "0\n").ok());
  }
  std::filesystem::path Led() { return sys_ / "class/leds/ACT"; }
  std::string Read(const char* file) { return ReadFile(Led() / file, 1000).value_or("?"); }

  static asio::awaitable<absl::Status> UntilTrue(std::function<bool()> holds) {
    for (int i = 0; i < 1000 && !holds(); ++i) {
      co_await SleepFor(milliseconds(5));
    }
    co_return holds() ? absl::OkStatus() : absl::DeadlineExceededError("never came true");
  }
  bool Until(std::function<bool()> holds) {
    return RunOnLoop(loop_, UntilTrue(std::move(holds))).ok();
  }

  TemporaryDirectory sys_;
  asio::io_context loop_;
  LedIndicator indicator_{loop_, sys_.path(), Logger()};
};

TEST_F(LedTest, BlinksAndPutsBackWhatItShowed) {
  EXPECT_EQ(indicator_.Blink(seconds(1)).value(), "ACT");
  EXPECT_THAT(Read("trigger"), StartsWith("none")) << "its own trigger is off meanwhile";
  EXPECT_TRUE(Until([this] { return Read("brightness")[0] == '1'; }));
  EXPECT_TRUE(Until([this] { return Read("brightness")[0] == '0'; }));
  EXPECT_TRUE(Until([this] { return Read("brightness")[0] == '1'; })) << "it blinks";
  EXPECT_TRUE(Until([this] { return Read("trigger").starts_with("mmc0"); }));
  EXPECT_EQ(Read("brightness")[0], '0');
}

TEST_F(LedTest, ASecondRequestDoesNotTakeTheBlinkingForWhatItShowed) {
  ASSERT_TRUE(indicator_.Blink(seconds(60)).ok());
  ASSERT_TRUE(Until([this] { return Read("brightness")[0] == '1'; }));
  // As sysfs would show it.
  ASSERT_TRUE(WriteFileAtomically(Led() / "trigger", "none timer [mmc0]\n").ok());
  ASSERT_TRUE(indicator_.Blink(seconds(1)).ok());
  EXPECT_TRUE(Until([this] { return Read("trigger").starts_with("mmc0"); }));
  EXPECT_EQ(Read("brightness")[0], '0');
}

TEST_F(LedTest, ItIsPutBackWhenTheAgentStops) {
  {
    LedIndicator indicator(loop_, sys_.path(), Logger());
    ASSERT_TRUE(indicator.Blink(seconds(60)).ok());
    ASSERT_TRUE(Until([this] { return Read("brightness")[0] == '1'; }));
  }
  EXPECT_THAT(Read("trigger"), StartsWith("mmc0"));
  EXPECT_EQ(Read("brightness")[0], '0');
}

TEST_F(LedTest, AMachineWithoutLedsSaysSo) {
  std::filesystem::remove_all(sys_ / "class");
  EXPECT_TRUE(absl::IsNotFound(indicator_.Blink(seconds(1)).status()));
}

}  // namespace
}  // namespace bramble::node
