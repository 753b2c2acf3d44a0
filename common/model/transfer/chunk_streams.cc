#include "common/model/transfer/chunk_streams.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/chunk_delta.h"
#include "common/model/transfer/wire.h"
#include "common/net/channel.h"
#include "google/protobuf/io/coded_stream.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "proto/weight_source.grpc.pb.h"

namespace reckon {
namespace {

constexpr char kMethod[] = "/reckon.WeightSource/FetchChunks";
constexpr int kConnections = 4;
// A call asks for few chunks, so that all connections have work until the end, and a deadline can
// be given that does not limit the transfer.
constexpr uint64_t kChunksPerCall = 4;
constexpr absl::Duration kCallTimeout = absl::Minutes(2);
// Between two looks whether the source is silent or the fetch is stopped.
constexpr absl::Duration kLookEvery = absl::Milliseconds(100);

}  // namespace

// One call for a range of chunks, on one connection. When it ends well, the connection's next call
// takes its place. It deletes itself when gRPC is done with it.
class ChunkStreams::Call final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  static void Start(ChunkStreams* streams, size_t connection, Range range) {
    Call* const call = new Call(streams, connection, range);
    {
      absl::MutexLock lock(&streams->mu_);
      streams->calls_.insert(call->context_);
      if (!streams->failure_.ok()) call->context_->TryCancel();
    }
    call->stub_.PrepareBidiStreamingCall(call->context_.get(), kMethod, grpc::StubOptions(), call);
    call->StartWriteLast(&call->request_, grpc::WriteOptions());
    call->StartRead(&call->message_);
    call->StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // the stream has ended
    if (!streams_->OnChunk(next_, Place())) {
      context_->TryCancel();
      return;
    }
    ++next_;
    StartRead(&message_);
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status ended = FromGrpc(status);
    if (ended.ok() && next_ < range_.end) {
      ended = absl::UnavailableError("the source ended its stream early");
    }
    ChunkStreams* const streams = streams_;
    const size_t connection = connection_;
    std::shared_ptr<grpc::ClientContext> context = context_;
    delete this;
    Range range;
    if (streams->OnEnd(std::move(context), ended, &range)) Start(streams, connection, range);
  }

 private:
  Call(ChunkStreams* streams, size_t connection, Range range)
      : streams_(streams),
        older_(streams->older_),
        connection_(connection),
        stub_(streams->channels_[connection]),
        range_(range),
        next_(range.first) {
    FetchChunksRequest request;
    request.set_version(streams_->manifest_.version());
    request.set_first_chunk(range.first);
    request.set_num_chunks(range.end - range.first);
    if (older_ != nullptr) request.set_held_version(older_->manifest.version());
    const grpc::Slice slice(request.SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
    SetDeadline(context_.get(), kCallTimeout);
  }

  // Copies the chunk that has been read to its place and checks it there.
  absl::Status Place() {
    if (next_ == range_.end) {
      return absl::DataLossError("the source sent more chunks than requested");
    }
    const WeightManifest& manifest = streams_->manifest_;
    const uint64_t size = ChunkSize(manifest, next_);
    char* const place = streams_->buffer_ + next_ * manifest.chunk_bytes();
    const absl::Status wrong =
        absl::DataLossError(absl::StrCat("chunk ", next_, " has the wrong index or size"));
    grpc::ProtoBufferReader bytes(&message_);
    google::protobuf::io::CodedInputStream in(&bytes);
    uint64_t index = 0;  // absent: zero
    uint32_t length = 0;
    uint32_t tag = in.ReadTag();
    if (tag == kIndexTag && in.ReadVarint64(&index)) tag = in.ReadTag();
    if (index != next_ || !in.ReadVarint32(&length) || length > size) return wrong;
    if (tag == kDeltaTag && older_ != nullptr) {
      std::string delta;
      if (!in.ReadString(&delta, static_cast<int>(length))) return wrong;
      std::memcpy(place, older_->bytes->bytes().data() + (place - streams_->buffer_), size);
      RETURN_IF_ERROR(ApplyDelta(delta, absl::MakeSpan(place, size)));
    } else if (tag != kDataTag || length != size || !in.ReadRaw(place, static_cast<int>(size))) {
      return wrong;
    }
    return CheckChunk(manifest, next_, {place, size});
  }

  ChunkStreams* const streams_;
  const Weights* const older_;
  const size_t connection_;
  grpc::GenericStub stub_;
  const Range range_;
  uint64_t next_;  // chunk that is to come
  // Shared with who may cancel the call while it ends.
  const std::shared_ptr<grpc::ClientContext> context_ = std::make_shared<grpc::ClientContext>();
  grpc::ByteBuffer request_, message_;
};

ChunkStreams::ChunkStreams(const WeightManifest& manifest, const Weights* older,
                           std::shared_ptr<const Security> security, std::stop_token stop,
                           char* buffer, std::function<void(uint64_t)> arrived)
    : manifest_(manifest),
      older_(older),
      security_(std::move(security)),
      stop_(std::move(stop)),
      buffer_(buffer),
      arrived_(std::move(arrived)) {
  for (uint64_t i = 0; i < Chunks(manifest); ++i) missing_.insert(i);
}

void ChunkStreams::Have(uint64_t chunk) {
  absl::MutexLock lock(&mu_);
  missing_.erase(chunk);
}

bool ChunkStreams::complete() {
  absl::MutexLock lock(&mu_);
  return missing_.empty();
}

absl::Status ChunkStreams::From(const std::string& source, Service service,
                                absl::Duration silence) {
  std::vector<Range> first;  // call of each connection
  channels_.clear();
  {
    absl::MutexLock lock(&mu_);
    failure_ = absl::OkStatus();
    moved_ = absl::Now();
    ranges_.clear();
    for (const uint64_t chunk : missing_) {
      if (ranges_.empty() || ranges_.back().end != chunk ||
          chunk - ranges_.back().first == kChunksPerCall) {
        ranges_.push_back({chunk, chunk});
      }
      ranges_.back().end = chunk + 1;
    }
    while (first.size() < kConnections && !ranges_.empty()) {
      ASSIGN_OR_RETURN(auto channel, MakeChannel(source, security_, service));
      channels_.push_back(std::move(channel));
      first.push_back(ranges_.front());
      ranges_.pop_front();
    }
    running_ = static_cast<int>(first.size());
  }
  for (size_t i = 0; i < first.size(); ++i) Call::Start(this, i, first[i]);
  while (true) {
    std::vector<std::shared_ptr<grpc::ClientContext>> cancelled;
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(this, &ChunkStreams::Over), kLookEvery)) {
        return missing_.empty() ? absl::OkStatus() : failure_;
      }
      if (stop_.stop_requested()) {
        failure_ = absl::CancelledError("stopped");
      } else if (failure_.ok() && absl::Now() - moved_ > silence) {
        failure_ = absl::DeadlineExceededError("no answer");
      }
      if (!failure_.ok()) cancelled.assign(calls_.begin(), calls_.end());
    }
    // Without the lock, which a call that ends at once takes.
    for (const auto& context : cancelled) context->TryCancel();
  }
}

bool ChunkStreams::TakeRange(Range* range) {
  if (ranges_.empty() || !failure_.ok()) {
    --running_;
    return false;
  }
  *range = ranges_.front();
  ranges_.pop_front();
  return true;
}

bool ChunkStreams::OnChunk(uint64_t chunk, const absl::Status& checked) {
  if (checked.ok()) arrived_(chunk);
  absl::MutexLock lock(&mu_);
  if (checked.ok()) {
    missing_.erase(chunk);
    moved_ = absl::Now();
  } else if (failure_.ok()) {
    failure_ = checked;
  }
  return failure_.ok();
}

bool ChunkStreams::OnEnd(std::shared_ptr<grpc::ClientContext> call, const absl::Status& status,
                         Range* range) {
  absl::MutexLock lock(&mu_);
  calls_.erase(call);
  call.reset();  // which holds the channel
  if (!status.ok() && failure_.ok()) failure_ = status;
  return TakeRange(range);
}

}  // namespace reckon
