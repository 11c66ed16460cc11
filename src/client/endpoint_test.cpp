#include <millrace/client/endpoint.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace millrace::client {
namespace {

TEST(ParseUrl, ReadsHostPortPathAndQuery) {
  const auto read = parse_url("http://example.org:8080/hooks/done?x=1#part", "url");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->where.host, "example.org");
  EXPECT_EQ(read->where.port, 8080);
  EXPECT_EQ(read->target, "/hooks/done?x=1");
}

TEST(ParseUrl, TakesPort80AndTheRootWhereNoneIsNamed) {
  const auto read = parse_url("http://example.org", "url");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->where.port, 80);
  EXPECT_EQ(read->target, "/");
}

TEST(ParseUrl, ReadsAddressesOfBothFamilies) {
  const auto six = parse_url("http://[::1]:7070", "url");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->where.host, "::1");
  EXPECT_EQ(six->where.host_header(), "[::1]:7070");
  const auto four = parse_url("http://127.0.0.1:7070/", "url");
  ASSERT_TRUE(four);
  EXPECT_EQ(four->where.text(), "http://127.0.0.1:7070");
}

TEST(ParseUrl, ReadsAUnixSocket) {
  const auto read = parse_url("unix:/srv/data/millrace.sock", "url");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->where.over, endpoint::transport::unix_socket);
  EXPECT_EQ(read->where.path, "/srv/data/millrace.sock");
  EXPECT_EQ(read->where.text(), "unix:/srv/data/millrace.sock");
}

TEST(ParseUrl, RefusesWithTheNameOfTheField) {
  for (const char* bad : {"", "example.org", "ftp://x", "http://", "http://:80", "http://h:0",
                          "http://h:65536", "http://h:8x", "http://user:pw@h/", "http://h/a b",
                          "http://[::1", "http://[::1]x", "unix:"}) {
    const auto read = parse_url(bad, "--url");
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().kind, errc::invalid_argument) << bad;
    EXPECT_EQ(read.error().field, "--url") << bad;
  }
}

TEST(ParseUrl, KeepsCredentialsOutOfItsMessage) {
  const auto read = parse_url("http://user:secret@example.org/", "--url");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().detail.find("secret"), std::string::npos);
}

TEST(ParseUrl, TakesTlsAndItsPort) {
  const auto read = parse_url("https://example.org/hook", "--http");
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->where.tls);
  EXPECT_EQ(read->where.port, 443);
  EXPECT_EQ(read->where.text(), "https://example.org:443");
  EXPECT_EQ(parse_url(read->where.text(), "x")->where, read->where);
  EXPECT_EQ(parse_url("https://example.org:8443", "x")->where.port, 8443);
  EXPECT_FALSE(parse_url("http://example.org", "x")->where.tls);
}

class ResolveEndpoint : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "millrace-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void put_socket() const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    const std::string path = directory_ / socket_file_name;
    std::memcpy(at.sun_path, path.c_str(), path.size() + 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ::close(fd);
  }

  std::filesystem::path directory_;
};

TEST_F(ResolveEndpoint, PrefersTheFlagThenTheVariableThenTheSocketThenLoopback) {
  EXPECT_EQ(resolve_endpoint({.data_directory = directory_})->text(), "http://127.0.0.1:7070");
  put_socket();
  EXPECT_EQ(resolve_endpoint({.data_directory = directory_})->over,
            endpoint::transport::unix_socket);
  EXPECT_EQ(resolve_endpoint({.variable = "", .data_directory = directory_})->over,
            endpoint::transport::unix_socket);
  EXPECT_EQ(resolve_endpoint({.variable = "http://b:2", .data_directory = directory_})->host, "b");
  EXPECT_EQ(resolve_endpoint({.flag = "http://a:1", .variable = "http://b:2"})->host, "a");
}

TEST_F(ResolveEndpoint, NamesTheSourceOfABadAddress) {
  EXPECT_EQ(resolve_endpoint({.flag = "nowhere"}).error().field, "--url");
  EXPECT_EQ(resolve_endpoint({.variable = "nowhere"}).error().field, "MILLRACE_URL");
  EXPECT_EQ(resolve_endpoint({.flag = "http://a:1/path"}).error().field, "--url");
}

}  // namespace
}  // namespace millrace::client
