// SPDX-License-Identifier: Apache-2.0
#include "base/tls.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/status.h"
#include "base/tls_testing.h"

namespace bramble {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// What a server that answers with what it learnt of its client says.
class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Router router;
    auto answer = [this](Request& request) {
      peer_ = request.connection->peer();
      version_ = request.connection->version();
      exported_ = request.connection->ExportKeyingMaterial("EXPORTER-bramble-join").value();
      return Response{.body = std::string("{}")};
    };
    router.Add("GET", "/", {.direct = answer});
    server_ = std::make_unique<LoopbackServer>(loop_, ca_, std::move(router));
  }

  absl::Status Get(std::shared_ptr<TlsClientContext> context) {
    HttpClientOptions options = server_->ClientOptions(ca_);
    options.tls = std::move(context);
    HttpClient client(options);
    auto reply = RunOnLoop(loop_, client.Send({}));
    if (reply.ok()) {
      TlsStream* stream = RunOnLoop(loop_, client.Connect()).value();
      our_export_ = stream->ExportKeyingMaterial("EXPORTER-bramble-join").value();
      server_peer_ = stream->peer();
    }
    return reply.status();
  }

  Certificate ClientCertificate(const PrivateKey& key, CertificateDates dates) {
    CertificateSubject subject;
    subject.common_name = "node";
    return ca_.Issue(key.Public(), subject, dates, CertificateUse::kClient);
  }

  asio::io_context loop_;
  TestCa ca_;
  std::unique_ptr<LoopbackServer> server_;
  TlsPeer peer_;
  TlsPeer server_peer_;
  std::string version_;
  std::string exported_;
  std::string our_export_;
};

TEST_F(TlsTest, ExporterIsTheSameAtBothEnds) {
  ASSERT_TRUE(Get(ca_.Pinned()).ok());

  EXPECT_EQ(exported_.size(), 32u);
  EXPECT_EQ(exported_, our_export_);
  EXPECT_EQ(version_, "TLSv1.3");
  EXPECT_EQ(server_peer_.spki, ca_.server_key.Spki());
}

TEST_F(TlsTest, ExporterDiffersBetweenConnections) {
  ASSERT_TRUE(Get(ca_.Pinned()).ok());
  const std::string first = exported_;

  ASSERT_TRUE(Get(ca_.Pinned()).ok());

  EXPECT_NE(exported_, first);
}

TEST_F(TlsTest, RefusesAnotherKeyThanThePinnedOne) {
  const Sha256Digest other = PrivateKey::Generate().Spki();

  const absl::Status status = Get(ca_.ClientContext(PinnedKey{other}));

  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(other.Hex()));
}

TEST_F(TlsTest, PinnedKeyIsEnoughWhateverTheDates) {
  CertificateSubject subject;
  subject.common_name = "controller";
  ca_.server = ca_.Issue(ca_.server_key.Public(), subject, TestCa::Dates(-900, -800),
                         CertificateUse::kServer);
  SetUp();

  EXPECT_TRUE(Get(ca_.Pinned()).ok());
  const absl::Status by_ca = Get(ca_.ClientContext(IssuedByCa{ca_.certificate}));
  EXPECT_TRUE(absl::IsPermissionDenied(by_ca)) << by_ca;
  EXPECT_THAT(std::string(MessageOf(by_ca)), HasSubstr("expired"));
}

TEST_F(TlsTest, ChecksDatesAtTheClocksTime) {
  FakeClock clock;
  clock.SetWall(SystemClock().Wall() + 24h * 365);
  TlsClientOptions options;
  options.check = IssuedByCa{ca_.certificate};
  options.clock = &clock;

  const absl::Status late = Get(TlsClientContext::Make(options).value());
  clock.SetWall(SystemClock().Wall());
  const absl::Status now = Get(TlsClientContext::Make(options).value());

  EXPECT_TRUE(absl::IsPermissionDenied(late)) << late;
  EXPECT_TRUE(now.ok()) << now;
}

TEST_F(TlsTest, ChecksTheName) {
  EXPECT_TRUE(Get(ca_.ClientContext(IssuedByCaForName{ca_.certificate, "127.0.0.1"})).ok());
  EXPECT_TRUE(Get(ca_.ClientContext(IssuedByCaForName{ca_.certificate, "localhost"})).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(
      Get(ca_.ClientContext(IssuedByCaForName{ca_.certificate, "elsewhere"}))));
  EXPECT_TRUE(absl::IsPermissionDenied(
      Get(ca_.ClientContext(IssuedByCaForName{ca_.certificate, "127.0.0.2"}))));
}

TEST_F(TlsTest, RefusesAnotherCa) {
  const TestCa other;

  EXPECT_TRUE(absl::IsPermissionDenied(Get(ca_.ClientContext(IssuedByCa{other.certificate}))));
  EXPECT_TRUE(
      absl::IsPermissionDenied(Get(ca_.ClientContext(IssuedBySystemCaForName{"localhost"}))));
}

TEST_F(TlsTest, ClientWithoutCertificateIsToldApartFromOneWithAGoodOne) {
  const PrivateKey key = PrivateKey::Generate();
  const Certificate certificate = ClientCertificate(key, TestCa::Dates(-1, 1));

  ASSERT_TRUE(Get(ca_.Pinned()).ok());
  EXPECT_EQ(peer_.state, PeerCertificate::kNone);
  ASSERT_TRUE(Get(ca_.ClientContext(PinnedKey{ca_.server_key.Spki()}, {certificate}, key)).ok());
  EXPECT_EQ(peer_.state, PeerCertificate::kValid);
  EXPECT_EQ(peer_.spki, key.Spki());
  EXPECT_EQ(peer_.certificate.CommonName(), "node");
}

TEST_F(TlsTest, ExpiredClientCertificateConnectsAndIsSeenAsExpired) {
  const PrivateKey key = PrivateKey::Generate();
  for (const auto& dates : {TestCa::Dates(-900, -800), TestCa::Dates(800, 900)}) {
    const Certificate certificate = ClientCertificate(key, dates);

    ASSERT_TRUE(Get(ca_.ClientContext(PinnedKey{ca_.server_key.Spki()}, {certificate}, key)).ok());

    EXPECT_EQ(peer_.state, PeerCertificate::kExpired);
    EXPECT_EQ(peer_.spki, key.Spki());
  }
}

TEST_F(TlsTest, ForeignClientCertificateConnectsAndIsSeenAsInvalid) {
  const TestCa other;
  const PrivateKey key = PrivateKey::Generate();
  CertificateSubject subject;
  subject.common_name = "node";
  const Certificate foreign =
      other.Issue(key.Public(), subject, TestCa::Dates(-1, 1), CertificateUse::kClient);
  const Certificate for_servers =
      ca_.Issue(key.Public(), subject, TestCa::Dates(-1, 1), CertificateUse::kServer);

  for (const Certificate& certificate : {foreign, for_servers}) {
    ASSERT_TRUE(Get(ca_.ClientContext(PinnedKey{ca_.server_key.Spki()}, {certificate}, key)).ok());
    EXPECT_EQ(peer_.state, PeerCertificate::kInvalid);
  }
}

TEST_F(TlsTest, NewCertificateIsServedFromTheNextConnectionOn) {
  auto context = ca_.ServerContext();
  Router router;
  router.Add("GET", "/", {.direct = [](Request&) { return Response{}; }});
  HttpServer server(loop_, std::move(router), {}, {});
  const uint16_t port = server.Listen({"127.0.0.1", 0}, context).value();
  CertificateSubject subject;
  subject.common_name = "controller";
  subject.dns_names = {"renamed"};

  const Certificate renamed =
      ca_.Issue(ca_.server_key.Public(), subject, TestCa::Dates(-1, 1), CertificateUse::kServer);
  ASSERT_TRUE(context->SetCertificate({renamed}, ca_.server_key).ok());

  auto stream = RunOnLoop(
      loop_, TlsStream::Connect(ca_.ClientContext(IssuedByCaForName{ca_.certificate, "renamed"}),
                                {"127.0.0.1", port}, 5s));
  EXPECT_TRUE(stream.ok()) << stream.status();
}

TEST_F(TlsTest, KeyOfAnotherCertificateIsRefused) {
  TlsServerOptions options;
  options.chain = {ca_.server};
  options.key = PrivateKey::Generate();

  EXPECT_TRUE(absl::IsInvalidArgument(TlsServerContext::Make(options).status()));
}

TEST_F(TlsTest, ServerThatIsNotThereIsUnavailable) {
  auto stream = RunOnLoop(loop_, TlsStream::Connect(ca_.Pinned(), {"127.0.0.1", 1}, 5s));

  EXPECT_TRUE(absl::IsUnavailable(stream.status())) << stream.status();
  EXPECT_THAT(std::string(MessageOf(stream.status())), HasSubstr("127.0.0.1:1"));
}

TEST_F(TlsTest, ServerThatNeverAnswersIsGivenUpInTime) {
  // A listener that nobody accepts from.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 8), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);

  auto stream = RunOnLoop(
      loop_, TlsStream::Connect(ca_.Pinned(), {"127.0.0.1", ntohs(address.sin_port)}, 50ms));

  EXPECT_TRUE(absl::IsDeadlineExceeded(stream.status())) << stream.status();
  ::close(listener);
}

}  // namespace
}  // namespace bramble
