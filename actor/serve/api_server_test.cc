#include "actor/serve/api_server.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "actor/serve/http_connections.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_model_runner.h"
#include "tests/support/raw_connection.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using nlohmann::json;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kJson[] = "application/json";
const std::string kKey(40, 'k');

class ApiServerTest : public testing::Test {
 protected:
  void Start(ApiServerOptions options = {}, absl::Duration pass_time = absl::ZeroDuration()) {
    options.max_requests =
        std::min<int64_t>(options.max_requests, 16);  // there are as many threads
    Weights weights = MakeTinyModel();
    SetConfigField("max_position_embeddings", max_positions_, &weights);
    auto model = ServedModel::Load(weights.manifest.texts(), "tiny", "");
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = std::make_unique<ServedModel>(*std::move(model));
    in_pass_ = std::make_unique<absl::Notification>();
    runner_ = std::make_unique<FakeModelRunner>(
        FakeModelRunner::Options{.vocab_size = kTinyVocab,
                                 .max_positions = max_positions_,
                                 .total_pages = total_pages_,
                                 .pass_time = pass_time,
                                 .on_pass = [this] {
                                   if (!in_pass_->HasBeenNotified()) in_pass_->Notify();
                                   if (on_pass_ != nullptr) on_pass_();
                                   return absl::OkStatus();
                                 }});
    batcher_ = std::make_unique<Batcher>(runner_.get(), model_->tokenizer.get(),
                                         BatcherOptions{.max_requests = options.max_requests});
    options.listen.host = "127.0.0.1";
    auto server = ApiServer::Start(std::move(options), model_.get(), batcher_.get());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = std::make_unique<httplib::Client>("127.0.0.1", server_->address().port);
  }
  void TearDown() override {
    if (batcher_ != nullptr) batcher_->Drain(absl::InfinitePast());
    server_.reset();
  }

  json Post(const std::string& path, const json& body, int status = 200,
            const httplib::Headers& headers = {}) {
    const httplib::Result reply = client_->Post(path, headers, body.dump(), kJson);
    EXPECT_TRUE(reply) << path;
    if (!reply) return {};
    EXPECT_EQ(reply->status, status) << reply->body;
    EXPECT_EQ(reply->get_header_value("Content-Type"), kJson);
    return json::parse(reply->body, nullptr, /*allow_exceptions=*/false);
  }
  // The events of a stream, without the last, "[DONE]".
  std::vector<json> Stream(const std::string& path, json body) {
    body["stream"] = true;
    const httplib::Result reply = client_->Post(path, body.dump(), kJson);
    EXPECT_TRUE(reply && reply->status == 200) << path;
    if (!reply) return {};
    EXPECT_EQ(reply->get_header_value("Content-Type"), "text/event-stream");
    std::vector<json> events;
    std::vector<std::string> parts = absl::StrSplit(reply->body, "\n\n", absl::SkipEmpty());
    EXPECT_EQ(parts.empty() ? "" : parts.back(), "data: [DONE]");
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      EXPECT_EQ(parts[i].substr(0, 6), "data: ");
      events.push_back(json::parse(parts[i].substr(6)));
    }
    return events;
  }

  int64_t max_positions_ = 2048, total_pages_ = 4000;
  std::function<void()> on_pass_;
  std::unique_ptr<absl::Notification> in_pass_;  // a request is
  std::unique_ptr<ServedModel> model_;
  std::unique_ptr<FakeModelRunner> runner_;
  std::unique_ptr<Batcher> batcher_;
  std::unique_ptr<ApiServer> server_;
  std::unique_ptr<httplib::Client> client_;
};

const json kCompletion = {{"model", "tiny"}, {"prompt", "Why?"}, {"max_tokens", 24},
                          {"seed", 5},       {"n", 2},           {"logprobs", 2}};
const json kChat = {{"model", "tiny"},   {"max_tokens", 24},
                    {"seed", 5},         {"logprobs", true},
                    {"top_logprobs", 3}, {"messages", {{{"role", "user"}, {"content", "Why?"}}}}};

TEST_F(ApiServerTest, ModelsAndHealth) {
  Start();
  EXPECT_EQ(client_->Get("/health")->status, 200);
  const json list = json::parse(client_->Get("/v1/models")->body);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][0]["max_model_len"], 2048);
  EXPECT_EQ(json::parse(client_->Get("/v1/models/tiny")->body)["id"], "tiny");
  for (const char* path : {"/v1/models/other", "/", "/v1/embeddings"}) {
    const httplib::Result reply = client_->Get(path);
    EXPECT_EQ(reply->status, 404) << path;
    EXPECT_THAT(json::parse(reply->body)["error"]["message"].get<std::string>(),
                HasSubstr(absl::StrCat("there is no GET ", path)));
  }
}

TEST_F(ApiServerTest, ACompletion) {
  Start();
  const json reply = Post("/v1/completions", kCompletion);
  EXPECT_EQ(reply["object"], "text_completion");
  EXPECT_EQ(reply["usage"]["prompt_tokens"], 4);
  ASSERT_EQ(reply["choices"].size(), 2u);
  int64_t tokens = 0;
  for (int i = 0; i < 2; ++i) {
    const json& choice = reply["choices"][i];
    EXPECT_EQ(choice["index"], i);
    const json& logprobs = choice["logprobs"];
    std::string text;
    for (const json& token : logprobs["tokens"]) text += token.get<std::string>();
    if (choice["finish_reason"] == "length") {
      EXPECT_EQ(logprobs["tokens"].size(), 24u);
    } else {
      EXPECT_EQ(choice["finish_reason"], "stop");
      ++tokens;  // the end token
    }
    tokens += static_cast<int64_t>(logprobs["tokens"].size());
    EXPECT_EQ(logprobs["token_logprobs"].size(), logprobs["tokens"].size());
    EXPECT_EQ(logprobs["text_offset"].size(), logprobs["tokens"].size());
    EXPECT_LT(logprobs["token_logprobs"][0].get<double>(), 0);
    EXPECT_EQ(logprobs["text_offset"][0], 0);
  }
  EXPECT_EQ(reply["usage"]["completion_tokens"], tokens);
  EXPECT_EQ(reply["usage"]["total_tokens"], tokens + 4);
  EXPECT_NE(reply["choices"][0]["text"], reply["choices"][1]["text"]);
  EXPECT_EQ(Post("/v1/completions", kCompletion)["choices"], reply["choices"]) << "one seed";
}

TEST_F(ApiServerTest, AStreamSaysWhatTheWholeReplySays) {
  Start();
  const json whole = Post("/v1/completions", kCompletion);
  std::vector<std::string> texts(2);
  std::vector<json> logprobs(2), finish(2);
  for (const json& event : Stream("/v1/completions", kCompletion)) {
    EXPECT_EQ(event["object"], "text_completion");
    EXPECT_FALSE(event.contains("usage"));
    const json& choice = event["choices"][0];
    const int i = choice["index"];
    texts[i] += choice["text"].get<std::string>();
    if (!choice["logprobs"].is_null()) {
      for (const auto& [name, list] : choice["logprobs"].items()) {
        for (const json& each : list) logprobs[i][name].push_back(each);
      }
    }
    if (!choice["finish_reason"].is_null()) finish[i] = choice["finish_reason"];
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(texts[i], whole["choices"][i]["text"].get<std::string>());
    EXPECT_EQ(logprobs[i], whole["choices"][i]["logprobs"]);
    EXPECT_EQ(finish[i], whole["choices"][i]["finish_reason"]);
  }
}

TEST_F(ApiServerTest, AChatAndItsStream) {
  Start();
  const json whole = Post("/v1/chat/completions", kChat);
  EXPECT_EQ(whole["object"], "chat.completion");
  const json& choice = whole["choices"][0];
  EXPECT_EQ(choice["message"]["role"], "assistant");
  ASSERT_FALSE(choice["logprobs"]["content"].empty());
  for (const json& token : choice["logprobs"]["content"]) {
    ASSERT_EQ(token["top_logprobs"].size(), 3u);
    EXPECT_GE(token["top_logprobs"][0]["logprob"], token["top_logprobs"][1]["logprob"]);
    EXPECT_LE(token["logprob"], token["top_logprobs"][0]["logprob"]);
  }
  json body = kChat;
  body["stream_options"] = {{"include_usage", true}};
  const std::vector<json> events = Stream("/v1/chat/completions", body);
  EXPECT_EQ(events.front()["choices"][0]["delta"]["role"], "assistant");
  EXPECT_TRUE(events.back()["choices"].empty());
  EXPECT_EQ(events.back()["usage"], whole["usage"]);
  std::string text;
  json content = json::array();
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    EXPECT_TRUE(events[i]["usage"].is_null());
    const json& each = events[i]["choices"][0];
    text += each["delta"].value("content", "");
    if (each["logprobs"].is_null()) continue;
    for (const json& token : each["logprobs"]["content"]) content.push_back(token);
  }
  EXPECT_EQ(text, choice["message"]["content"].get<std::string>());
  EXPECT_EQ(content, choice["logprobs"]["content"]);
}

TEST_F(ApiServerTest, AnErrorHasTheFormOfOpenAIs) {
  Start();
  const json error = Post("/v1/completions", {{"prompt", "a"}, {"top_p", 2}}, 400)["error"];
  EXPECT_EQ(error["param"], "top_p");
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_TRUE(error["code"].is_null());
  EXPECT_EQ(Post("/v1/completions", {{"prompt", "a"}, {"model", "gpt"}}, 404)["error"]["code"],
            "model_not_found");
  const std::string large(9 << 20, 'a');
  EXPECT_EQ(Post("/v1/completions", {{"prompt", large}}, 413)["error"]["type"],
            "invalid_request_error");
  // What fails before its first token has a status, in a stream as well.
  runner_->FailNextPass(absl::DataLossError("not finite"));
  json body = kCompletion;
  body["stream"] = true;
  EXPECT_EQ(Post("/v1/completions", body, 500)["error"]["type"], "server_error");
  EXPECT_EQ(client_->Get("/health")->status, 503);
  Post("/v1/completions", kCompletion);
  EXPECT_EQ(client_->Get("/health")->status, 200);
}

TEST_F(ApiServerTest, WhenAllAreTakenAFurtherRequestGets429) {
  Start({.max_requests = 1}, absl::Milliseconds(2));
  std::thread other([this] {
    httplib::Client client("127.0.0.1", server_->address().port);
    json body = kCompletion;
    body["stop"] = json::array();
    body["max_tokens"] = 2000;
    // Ends with the batcher.
    const httplib::Result reply = client.Post("/v1/completions", body.dump(), kJson);
    EXPECT_TRUE(reply && reply->status == 503) << (reply ? reply->body : "no reply");
  });
  // Its two choices end by themselves only if both draw an end token within these passes; then the
  // test says so.
  in_pass_->WaitForNotification();
  const httplib::Result reply = client_->Post("/v1/completions", kCompletion.dump(), kJson);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 429) << reply->body;
  EXPECT_EQ(reply->get_header_value("Retry-After"), "1");
  EXPECT_EQ(json::parse(reply->body)["error"]["type"], "rate_limit_error");
  batcher_->Drain(absl::InfinitePast());
  other.join();
  EXPECT_EQ(client_->Get("/health")->status, 503);
}

// The context is longer than what the cache has room for, which is two answers.
TEST_F(ApiServerTest, ChatsWithoutALimitRunTogether) {
  max_positions_ = 8192;
  total_pages_ = 1200;
  size_t most = 0;
  on_pass_ = [&] {
    // The first pass is that of the first chat's prompt.
    EXPECT_TRUE(most > 0 || Await([&] { return batcher_->unfinished() == 2; }));
    most = std::max(most, runner_->sequences());
  };
  Start();
  json body = kChat;
  body.erase("max_tokens");
  const auto ask = [&] {
    httplib::Client client("127.0.0.1", server_->address().port);
    client.set_read_timeout(absl::ToChronoSeconds(kPatience));
    const httplib::Result reply = client.Post("/v1/chat/completions", body.dump(), kJson);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200) << reply->body;
    const json choice = json::parse(reply->body)["choices"][0];
    EXPECT_THAT(choice["finish_reason"], AnyOf("stop", "length"));
  };
  std::thread other(ask);
  ask();
  other.join();
  EXPECT_EQ(most, 2u);
  // What is asked for and does not fit is refused.
  body["max_tokens"] = 6000;
  EXPECT_THAT(Post("/v1/chat/completions", body, 400)["error"]["message"].get<std::string>(),
              HasSubstr("the KV cache has 1200"));
}

TEST_F(ApiServerTest, ABodyThatHasNoBoundIsNotRead) {
  Start();
  const auto refusal = [&](const char* headers) {
    RawConnection connection(server_->address().port);
    EXPECT_TRUE(connection.Send(
        absl::StrCat("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n", headers, "\r\n")));
    const std::string reply = connection.ReadToEnd();  // the server waits for no body
    EXPECT_THAT(reply, HasSubstr("invalid_request_error")) << headers;
    return reply.substr(0, 12);
  };
  EXPECT_EQ(refusal(""), "HTTP/1.1 411");
  EXPECT_EQ(refusal("Transfer-Encoding: chunked\r\n"), "HTTP/1.1 411");
  EXPECT_EQ(refusal("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "HTTP/1.1 411");
  EXPECT_EQ(refusal("Content-Length: 5\r\nContent-Length: 6\r\n"), "HTTP/1.1 411");
  EXPECT_EQ(refusal("Content-Length: 0x5\r\n"), "HTTP/1.1 411");
  EXPECT_EQ(refusal("Content-Length: 5\r\nContent-Encoding: gzip\r\n"), "HTTP/1.1 415");
  EXPECT_EQ(refusal("Content-Length: 5\r\nContent-Encoding: br\r\n"), "HTTP/1.1 415");
}

TEST_F(ApiServerTest, WhatIsNotJsonIsRefusedByName) {
  Start();
  const std::string large = json({{"prompt", std::string(10'000, 'a')}, {"max_tokens", 1}}).dump();
  for (const char* type : {"application/x-www-form-urlencoded", "text/plain",
                           "multipart/form-data; boundary=a", "application/jsonl"}) {
    const httplib::Result reply = client_->Post("/v1/completions", large, type);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 415) << type;
    EXPECT_THAT(json::parse(reply->body)["error"]["message"].get<std::string>(), HasSubstr(type));
  }
  for (const char* type : {"application/json; charset=utf-8", "Application/JSON"}) {
    const httplib::Result reply = client_->Post("/v1/completions", kCompletion.dump(), type);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200) << type;
  }
  RawConnection absent(server_->address().port);
  const std::string body = kCompletion.dump();
  ASSERT_TRUE(absent.Send(
      absl::StrCat("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
                   "Content-Length: ", body.size(), "\r\n\r\n", body)));
  EXPECT_THAT(absent.ReadToEnd(), StartsWith("HTTP/1.1 200"));
  // What the library refuses keeps its status.
  const httplib::Result range = client_->Get("/health", {{"Range", "bytes=a"}});
  ASSERT_TRUE(range);
  EXPECT_EQ(range->status, 416);
  EXPECT_EQ(client_->Get("/" + std::string(9000, 'a'))->status, 414);
}

TEST_F(ApiServerTest, ADeadlineIs504) {
  Start({.request_time = absl::Milliseconds(50)}, absl::Milliseconds(10));
  json body = kCompletion;
  body["max_tokens"] = 2000;
  body["n"] = 8;
  EXPECT_EQ(Post("/v1/completions", body, 504)["error"]["type"], "server_error");
}

TEST_F(ApiServerTest, ARequestWhoseClientGoesIsCancelled) {
  json body = kCompletion;
  body["max_tokens"] = 2000;
  body["n"] = 64;  // some of which draw no end token
  for (const bool stream : {false, true}) {
    Start({}, absl::Milliseconds(2));
    body["stream"] = stream;
    httplib::Client client("127.0.0.1", server_->address().port);
    std::thread stop([&] {
      in_pass_->WaitForNotification();
      client.stop();
    });
    EXPECT_FALSE(client.Post("/v1/completions", body.dump(), kJson)) << stream;
    stop.join();
    batcher_->Drain(absl::InfiniteFuture());
    EXPECT_EQ(runner_->sequences(), 0u);
    TearDown();
  }
}

TEST_F(ApiServerTest, AnotherSitesPageIsRefused) {
  Start();
  const std::string port = absl::StrCat(":", server_->address().port);
  for (const httplib::Headers& headers :
       std::vector<httplib::Headers>{{{"Host", "evil.example" + port}},
                                     {{"Origin", "http://evil.example"}},
                                     {{"Origin", "null"}}}) {
    EXPECT_EQ(Post("/v1/completions", kCompletion, 403, headers)["error"]["type"],
              "permission_error");
  }
  Post("/v1/completions", kCompletion, 200, {{"Host", "localhost" + port}});
  Post("/v1/completions", kCompletion, 200, {{"Origin", "http://localhost:3000"}});
}

// A page may send what it likes as a body.
TEST_F(ApiServerTest, TheBodyOfARefusedRequestIsNoRequest) {
  Start();
  const auto post = [](absl::string_view header, const std::string& body) {
    return absl::StrCat("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n", header,
                        "Content-Length: ", body.size(), "\r\n\r\n", body);
  };
  RawConnection connection(server_->address().port);
  ASSERT_TRUE(
      connection.Send(post("Origin: http://evil.example\r\n", post("", kCompletion.dump()))));
  EXPECT_THAT(connection.ReadToEnd(), StartsWith("HTTP/1.1 403"));
  EXPECT_FALSE(in_pass_->HasBeenNotified());
}

TEST_F(ApiServerTest, AKeyIsNeededWhereThereAreKeys) {
  Start({.api_keys = {kKey, std::string(40, 'l')}});
  EXPECT_EQ(client_->Get("/health")->status, 200);
  EXPECT_EQ(client_->Get("/v1/models")->status, 401);
  for (const std::string& header :
       {std::string(), "Bearer " + kKey + "x", kKey, "Bearer " + kKey.substr(1)}) {
    EXPECT_EQ(
        Post("/v1/completions", kCompletion, 401, {{"Authorization", header}})["error"]["type"],
        "authentication_error");
  }
  Post("/v1/completions", kCompletion, 200, {{"Authorization", "Bearer " + kKey}});
  Post("/v1/completions", kCompletion, 200,
       {{"Authorization", "Bearer " + std::string(40, 'l')}, {"Host", "my.host:80"}});
}

TEST_F(ApiServerTest, WithoutKeysItListensOnLoopbackAlone) {
  auto model = ServedModel::Load(MakeTinyModel().manifest.texts(), "tiny", "");
  ASSERT_TRUE(model.ok());
  FakeModelRunner runner({});
  Batcher batcher(&runner, model->tokenizer.get(), {});
  const auto server = ApiServer::Start({.listen = {.host = "0.0.0.0"}}, &*model, &batcher);
  ASSERT_TRUE(absl::IsFailedPrecondition(server.status())) << server.status();
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("--api_key_file"));
}

TEST_F(ApiServerTest, APortThatIsTakenIsNamed) {
  Start();
  const auto second =
      ApiServer::Start({.listen = server_->address()}, model_.get(), batcher_.get());
  ASSERT_TRUE(absl::IsUnavailable(second.status()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server_->address().ToString()));
}

TEST_F(ApiServerTest, WhatIsNoHttpHarmsNobody) {
  Start();
  for (const char* bytes : {"\r\n\r\n", "GET",
                            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                            "Content-Length: 10\r\n\r\nab",
                            "\x16\x03\x01\x02\x00"}) {
    RawConnection connection(server_->address().port);
    ASSERT_TRUE(connection.Send(bytes));
  }
  Post("/v1/completions", kCompletion);
}

}  // namespace
}  // namespace reckon
