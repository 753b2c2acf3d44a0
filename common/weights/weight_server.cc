#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/net/channel.h"
#include "common/weights/transfer.h"
#include "proto/weight_source.grpc.pb.h"

namespace reckon {
namespace {

class Server : public WeightServer, public WeightSource::Service {
 public:
  ~Server() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  }

  absl::Status Listen(const std::string& listen) {
    size_t colon = listen.rfind(':');
    if (colon == std::string::npos || colon == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("listen address '", listen, "': expected host:port"));
    }
    std::string host = listen.substr(0, colon);
    if (host == "0.0.0.0" || host == "[::]") {
      return absl::InvalidArgumentError(absl::StrCat(
          "listen address '", listen, "': others fetch weights from it, so name this host"));
    }
    int port = 0;
    grpc::ServerBuilder builder;
    ConfigureServer(&builder);
    builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<WeightSource::Service*>(this));
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", listen));
    }
    address_ = absl::StrCat(host, ":", port);
    return absl::OkStatus();
  }

  std::string address() const override { return address_; }

  void Add(uint64_t version, Weights weights) override {
    absl::MutexLock lock(&mu_);
    versions_[version] = std::make_shared<const Weights>(std::move(weights));
  }

  void Drop(uint64_t version) override {
    std::shared_ptr<const Weights> last;  // freed without the lock
    absl::MutexLock lock(&mu_);
    auto found = versions_.find(version);
    if (found == versions_.end()) return;
    last = std::move(found->second);
    versions_.erase(found);
  }

  grpc::Status FetchChunks(grpc::ServerContext* context, const FetchChunksRequest* request,
                           grpc::ServerWriter<WeightChunk>* writer) override {
    std::shared_ptr<const Weights> weights = Find(request->version());
    if (!weights) {
      return ToGrpc(absl::NotFoundError(
          absl::StrCat("weight version ", request->version(), " is not held here")));
    }
    absl::Span<const char> bytes = weights->bytes->bytes();
    uint64_t size = weights->manifest.chunk_bytes();
    uint64_t chunks = weights->manifest.chunk_sha256_size();
    if (request->first_chunk() >= chunks ||
        request->num_chunks() > chunks - request->first_chunk()) {
      return ToGrpc(absl::InvalidArgumentError(
          absl::StrCat("version ", request->version(), " has ", chunks, " chunks, asked from ",
                       request->first_chunk(), " for ", request->num_chunks())));
    }
    WeightChunk chunk;
    for (uint64_t i = 0; i < request->num_chunks(); ++i) {
      uint64_t index = request->first_chunk() + i;
      absl::Span<const char> part = bytes.subspan(index * size, size);
      chunk.set_index(index);
      chunk.set_data(part.data(), part.size());
      if (context->IsCancelled() || !writer->Write(chunk)) break;
    }
    return grpc::Status::OK;
  }

 private:
  std::shared_ptr<const Weights> Find(uint64_t version) {
    absl::MutexLock lock(&mu_);
    auto found = versions_.find(version);
    return found == versions_.end() ? nullptr : found->second;
  }

  absl::Mutex mu_;
  std::map<uint64_t, std::shared_ptr<const Weights>> versions_ ABSL_GUARDED_BY(mu_);
  std::string address_;                   // set once, before it is shared
  std::unique_ptr<grpc::Server> server_;  // last: stops before the versions go
};

}  // namespace

absl::StatusOr<std::unique_ptr<WeightServer>> WeightServer::Start(const std::string& listen) {
  auto server = std::make_unique<Server>();
  absl::Status status = server->Listen(listen);
  if (!status.ok()) return status;
  return server;
}

}  // namespace reckon
