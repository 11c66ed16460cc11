#include "webhook_signature.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::worker_detail {
namespace {

// The example that the libraries of Standard Webhooks share.
TEST(WebhookSignature, AgreesWithThePublishedExample) {
  const auto key = parse_webhook_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  ASSERT_TRUE(key);
  EXPECT_EQ(webhook_signature({*key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                              R"({"test": 2432232314})"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(WebhookSignature, SignsWithEachKeyWhileOneReplacesAnother) {
  const std::string signatures = webhook_signature({"one", "two"}, "id", 1, "body");
  EXPECT_EQ(std::count(signatures.begin(), signatures.end(), ' '), 1);
  EXPECT_EQ(signatures.find("v1,", 1), signatures.find(' ') + 1);
}

TEST(WebhookSecret, IsRefusedWithoutBeingQuoted) {
  for (const std::string bad : {"", "whsec_", "sesame-sesame", "whsec_sesame!!", "whsec_AAAA"}) {
    const auto key = parse_webhook_secret(bad);
    ASSERT_FALSE(key) << bad;
    EXPECT_EQ(key.error().field, "secret");
    EXPECT_EQ(key.error().detail.find("sesame"), std::string::npos);
  }
}

TEST(WebhookSecret, DropsThePaddingOfBase64) {
  // 25 bytes, which base64 pads with two signs.
  const auto key = parse_webhook_secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA==");
  ASSERT_TRUE(key);
  EXPECT_EQ(key->size(), 25U);
  EXPECT_EQ(key->back(), '\x18');
}

}  // namespace
}  // namespace millrace::worker_detail
