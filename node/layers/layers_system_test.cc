// SPDX-License-Identifier: Apache-2.0
// Real trees through the real sandbox, by the program that does it on a node.  Needs root.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>

#include "base/beneath.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/temporary_directory.h"
#include "node/layers/layer_format.h"

namespace bramble::node {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr uint32_t kFrom = 0x20000000;  // the ids on the node that it leaves
constexpr uint32_t kTo = 0x30010000;    // and on the one that it goes to

class LayersTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
    ASSERT_EQ(chmod(directory_.path().c_str(), 0711), 0);
    Make("from", kFrom);
    Make("to", kTo);
  }

  void Make(const std::string& name, uint32_t owner) {
    fs::create_directory(directory_ / name);
    ASSERT_EQ(chown((directory_ / name).c_str(), owner, owner), 0);
    ASSERT_EQ(chmod((directory_ / name).c_str(), 0755), 0);
  }
  fs::path From(const std::string& path) { return directory_ / "from" / path; }
  fs::path To(const std::string& path) { return directory_ / "to" / path; }
  fs::path Stream() { return directory_ / "stream"; }
  void Own(const fs::path& path, uint32_t uid, uint32_t gid) {
    ASSERT_EQ(lchown(path.c_str(), kFrom + uid, kFrom + gid), 0) << path;
  }
  void Write(const std::string& path, const std::string& text, uint32_t uid = 0) {
    std::ofstream(From(path)) << text;
    Own(From(path), uid, uid);
  }

  // What bramble-unpack says.
  absl::StatusOr<json::value> Run(const char* verb, const std::string& tree, uint32_t first_id,
                                  Stdio in, Stdio out) {
    const char* bin = getenv("BRAMBLE_BIN");
    const std::string program =
        std::string(bin == nullptr ? "build/debug/bin" : bin) + "/bramble-unpack";
    BRAMBLE_ASSIGN_OR_RETURN(const Fd upper, OpenDirectory(directory_ / tree));
    BRAMBLE_ASSIGN_OR_RETURN(const Fd answer,
                             OpenFile(directory_ / "answer", O_RDWR | O_CREAT | O_TRUNC, 0600));
    ProcessSpec spec;
    spec.argv = {program,          verb,          "--upper-fd", "3", "--first-id",
                 StrCat(first_id), "--result-fd", "4"};
    spec.in = in;
    spec.out = out;
    spec.err = Stdio::Inherit();
    spec.fds = {{upper.get(), 3}, {answer.get(), 4}};
    BRAMBLE_ASSIGN_OR_RETURN(Process process, Process::Spawn(spec));
    BRAMBLE_RETURN_IF_ERROR(process.Wait().status());
    BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(directory_ / "answer", 1 << 20));
    return ParseJson(text);
  }
  absl::StatusOr<json::value> Pack() {
    BRAMBLE_ASSIGN_OR_RETURN(const Fd out, OpenFile(Stream(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    return Run("pack-layer", "from", kFrom, Stdio::Null(), Stdio::Given(out.get()));
  }
  absl::StatusOr<json::value> Unpack() {
    BRAMBLE_ASSIGN_OR_RETURN(const Fd in, OpenFile(Stream(), O_RDONLY));
    return Run("unpack-layer", "to", kTo, Stdio::Given(in.get()), Stdio::Null());
  }
  void Move() {
    const auto packed = Pack();
    const auto unpacked = Unpack();
    ASSERT_TRUE(packed.ok() && unpacked.ok());
    ASSERT_TRUE(packed->as_object().contains("sha256")) << json::serialize(*packed);
    EXPECT_EQ(*packed, *unpacked);
  }
  static struct stat Look(const fs::path& path) {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info;
  }
  static std::string Attribute(const fs::path& path, const char* name) {
    char value[4096];
    const ssize_t size = lgetxattr(path.c_str(), name, value, sizeof(value));
    return size < 0 ? StrCat("errno ", errno) : std::string(value, static_cast<size_t>(size));
  }

  TemporaryDirectory directory_;
};

TEST_F(LayersTest, OwnersModesTimesAndLinksArrive) {
  ASSERT_EQ(mkdir(From("dir").c_str(), 0700), 0);
  Write("dir/plain", "hello", 1000);
  ASSERT_EQ(chmod(From("dir/plain").c_str(), 04755), 0);
  Write("odd", "x", 65534);
  Write("last", "x", 65535);
  ASSERT_EQ(link(From("dir/plain").c_str(), From("dir/second").c_str()), 0);
  ASSERT_EQ(link(From("dir/plain").c_str(), From("third").c_str()), 0);
  ASSERT_EQ(symlink("/etc/shadow", From("link").c_str()), 0);
  Own(From("link"), 33, 34);
  ASSERT_EQ(mkfifo(From("fifo").c_str(), 0600), 0);
  ASSERT_EQ(chmod(From("fifo").c_str(), 0622), 0);
  ASSERT_EQ(mknod(From("socket").c_str(), S_IFSOCK | 0755, 0), 0);
  for (const char* path : {"dir", "fifo", "socket"}) {
    Own(From(path), 0, 0);
  }
  const timespec times[] = {{0, UTIME_OMIT}, {1000, 123456789}};
  ASSERT_EQ(utimensat(AT_FDCWD, From("dir/plain").c_str(), times, 0), 0);
  ASSERT_EQ(utimensat(AT_FDCWD, From("dir").c_str(), times, 0), 0);
  Move();

  EXPECT_EQ(ReadFile(To("dir/plain"), 100).value(), "hello");
  const struct stat plain = Look(To("dir/plain"));
  EXPECT_EQ(plain.st_uid, kTo + 1000);
  EXPECT_EQ(plain.st_mode & 07777, 04755u);
  EXPECT_EQ(plain.st_nlink, 3u);
  EXPECT_EQ(plain.st_ino, Look(To("third")).st_ino);
  EXPECT_EQ(plain.st_ino, Look(To("dir/second")).st_ino);
  EXPECT_EQ(plain.st_mtim.tv_sec, 1000);
  EXPECT_EQ(plain.st_mtim.tv_nsec, 123456789);
  EXPECT_EQ(Look(To("dir")).st_mtim.tv_nsec, 123456789) << "though files were put into it";
  EXPECT_EQ(Look(To("dir")).st_mode & 07777, 0700u);
  EXPECT_EQ(Look(To("odd")).st_uid, kTo + 65534);
  EXPECT_EQ(Look(To("last")).st_gid, kTo + 65535);
  EXPECT_EQ(fs::read_symlink(To("link")), "/etc/shadow");
  EXPECT_EQ(Look(To("link")).st_gid, kTo + 34);
  EXPECT_TRUE(S_ISFIFO(Look(To("fifo")).st_mode));
  EXPECT_EQ(Look(To("fifo")).st_mode & 07777, 0622u);
  EXPECT_TRUE(S_ISSOCK(Look(To("socket")).st_mode));
}

TEST_F(LayersTest, AttributesHolesWhiteoutsAndOpaqueDirectoriesArrive) {
  Write("file", "x", 7);
  ASSERT_EQ(lsetxattr(From("file").c_str(), "user.note", "a\0b", 3, 0), 0);
  // As the kernel keeps cap_net_bind_service+ep of a container: version 3, with its root's id.
  struct {
    uint32_t magic = 0x03000001;
    uint32_t low[2] = {1u << 10, 0};
    uint32_t high[2] = {0, 0};
    uint32_t root = kFrom;
  } capability;
  ASSERT_EQ(
      lsetxattr(From("file").c_str(), "security.capability", &capability, sizeof(capability), 0), 0)
      << strerror(errno);
  {
    std::ofstream sparse(From("sparse"));
    sparse.seekp(64 << 20);
    sparse << "end";
  }
  Own(From("sparse"), 0, 0);
  ASSERT_EQ(truncate(From("sparse").c_str(), 200 << 20), 0);
  ASSERT_EQ(mknod(From("gone").c_str(), S_IFCHR, makedev(0, 0)), 0);
  Own(From("gone"), 0, 0);
  ASSERT_EQ(mkdir(From("opaque").c_str(), 0755), 0);
  Own(From("opaque"), 0, 0);
  ASSERT_EQ(lsetxattr(From("opaque").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  Move();

  EXPECT_EQ(Attribute(To("file"), "user.note"), std::string("a\0b", 3));
  capability.root = kTo;
  EXPECT_EQ(Attribute(To("file"), "security.capability"),
            std::string(reinterpret_cast<const char*>(&capability), sizeof(capability)));
  const struct stat sparse = Look(To("sparse"));
  EXPECT_EQ(sparse.st_size, 200 << 20);
  EXPECT_LT(sparse.st_blocks * 512, 1 << 20) << "its holes are holes";
  EXPECT_LT(fs::file_size(Stream()), 1u << 20);
  std::ifstream end(To("sparse"));
  end.seekg(64 << 20);
  std::string text(4, 'x');
  end.read(text.data(), 4);
  EXPECT_EQ(text, std::string("end\0", 4));
  const struct stat gone = Look(To("gone"));
  EXPECT_TRUE(S_ISCHR(gone.st_mode));
  EXPECT_EQ(gone.st_rdev, 0u);
  EXPECT_EQ(Attribute(To("opaque"), "trusted.overlay.opaque"), "y");
}

TEST_F(LayersTest, TenThousandFilesArrive) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(mkdir(From(StrCat("d", i)).c_str(), 0755), 0);
    Own(From(StrCat("d", i)), 0, 0);
    for (int j = 0; j < 100; ++j) {
      Write(StrCat("d", i, "/f", j), StrCat(i, " ", j));
    }
  }
  Move();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(ReadFile(To(StrCat("d", i, "/f", 99 - i)), 100).value(), StrCat(i, " ", 99 - i));
  }
}

TEST_F(LayersTest, ADeepTreeArrives) {
  std::string path = "d";
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(mkdir(From(path).c_str(), 0755), 0);
    Own(From(path), 0, 0);
    path += "/d";
  }
  Write(path, "deep");
  Move();
  EXPECT_EQ(ReadFile(To(path), 100).value(), "deep");
}

TEST_F(LayersTest, WhatWasChangedOnTheWayIsNoticed) {
  Write("file", std::string(100'000, 'x'));
  ASSERT_TRUE(Pack().ok());
  std::string bytes = ReadFile(Stream(), 1 << 20).value();
  bytes[bytes.size() / 2] = 'y';
  ASSERT_TRUE(WriteFileAtomically(Stream(), bytes).ok());
  const auto answer = Unpack();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->at("code").as_int64(), static_cast<int>(absl::StatusCode::kDataLoss));
}

TEST_F(LayersTest, AStreamThatEndsEarlyIsNoLayer) {
  Write("file", std::string(100'000, 'x'));
  ASSERT_TRUE(Pack().ok());
  ASSERT_EQ(truncate(Stream().c_str(), 50'000), 0);
  const auto answer = Unpack();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->at("code").as_int64(), static_cast<int>(absl::StatusCode::kDataLoss));
}

TEST_F(LayersTest, AFullDiskSaysSo) {
  Write("file", std::string(3 << 20, 'x'));
  ASSERT_EQ(mount("tmpfs", (directory_ / "to").c_str(), "tmpfs", 0, "size=1m,mode=0755"), 0);
  ASSERT_EQ(chown((directory_ / "to").c_str(), kTo, kTo), 0);
  ASSERT_TRUE(Pack().ok());
  const auto answer = Unpack();
  EXPECT_EQ(umount2((directory_ / "to").c_str(), MNT_DETACH), 0);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->at("code").as_int64(), static_cast<int>(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(std::string(answer->at("message").as_string()), HasSubstr("No space left"));
}

TEST_F(LayersTest, AStreamOfAStrangerReachesNothingOutside) {
  // A symbolic link that leads out, and a file that goes through it.
  std::ofstream stream(Stream(), std::ios::binary);
  LayerEncoder encoder([&](std::string_view bytes) {
    stream << bytes;
    return absl::OkStatus();
  });
  const std::string outside = directory_.path().string();
  ASSERT_TRUE(encoder.Begin().ok());
  ASSERT_TRUE(encoder.Entry({.kind = LayerKind::kDirectory, .mode = 0755}).ok());
  ASSERT_TRUE(encoder.Entry({.kind = LayerKind::kSymlink, .path = "out", .target = outside}).ok());
  ASSERT_TRUE(encoder.Entry({.kind = LayerKind::kFile, .path = "out/stolen", .mode = 04777}).ok());
  ASSERT_TRUE(encoder.End().ok());
  stream.close();
  const auto answer = Unpack();
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->as_object().contains("code"));
  EXPECT_FALSE(fs::exists(directory_ / "stolen"));
}

}  // namespace
}  // namespace bramble::node
